"""Reads what a user declares about an implementation: `--limits mask=none,gqa=no`, `--convention dead-rows=nan`, `--arithmetic p-dtype=input`."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from impl.variant import Arithmetic, Conventions, Limits

DTYPES = ("float64", "float32", "float16", "bfloat16")
LAYOUTS = tuple("".join(order) for order in itertools.permutations("BHND"))
Declaration = TypeVar("Declaration", Limits, Conventions, Arithmetic)


class BadDeclaration(ValueError):
    """Raised for an option that cannot be read; the message quotes it and says what is possible."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an option: the fields that a value means, what is possible (for messages), one line of help; and, where it is so, the field and its
    only values."""

    read: Callable[[str], dict[str, Any]]
    possible: str
    help: str
    field: str = ""
    values: tuple[Any, ...] = ()


def one_of(field: str, values: Mapping[str, Any], help: str) -> Key:
    return Key(lambda text: {field: values[text]}, "|".join(values), help, field, tuple(values.values()))


def several(field: str, values: Mapping[str, Any], help: str) -> Key:
    """Some of these values, joined by +."""
    return Key(lambda text: {field: tuple(values[part] for part in text.split("+"))}, "+".join(values), help)


def count(field: str, help: str) -> Key:
    def read(text: str) -> dict[str, Any]:
        if (value := int(text)) < 1:
            raise ValueError(text)
        return {field: value}

    return Key(read, "a number from 1", help)


def widths(text: str) -> dict[str, Any]:
    found = tuple(int(part) for part in text.split("+"))
    if min(found) < 1:
        raise ValueError(text)
    return {"widths": found}


def masks(text: str) -> dict[str, Any]:
    known = {"none", "boolean", "additive"}
    if not set(text.split("+")) <= known:
        raise ValueError(text)
    return {"masks": tuple(dict.fromkeys(("none", *text.split("+"))))}


def layout(text: str) -> dict[str, Any]:
    into, arrow, out = text.partition("->")
    if not arrow or {into, out} - set(LAYOUTS):
        raise ValueError(text)
    return {"layout": text}


def scale(text: str) -> dict[str, Any]:
    return {"yes": {"scale": True, "positive_scale": False}, "positive": {"scale": True, "positive_scale": True}, "no": {"scale": False}}[text]


def stabiliser(text: str) -> dict[str, Any]:
    offset = 0.0 if text == "max" else float(text)
    if not 0 <= offset < 2**10:
        raise ValueError(text)
    return {"stabiliser": offset}


def tile(text: str) -> dict[str, Any]:
    return {"tile": None} if text == "none" else count("tile", "").read(text)


def ulps(text: str) -> dict[str, Any]:
    if not 0 <= float(text) < 2**20:
        raise ValueError(text)
    return {"exp_ulp": float(text)}


YES = {"yes": True, "no": False}


def same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


LIMITS = {
    "mask": Key(masks, "none|boolean|additive|boolean+additive", "masks that may be given"),
    "causal": one_of("causal", YES, "is_causal may be given"),
    "gqa": one_of("grouped_queries", YES, "fewer key heads than query heads"),
    "scale": Key(scale, "yes|positive|no", "scale may be given; only one above 0"),
    "dv": one_of("unequal_widths", {"any": True, "dk": False}, "the values' width: any, or that of the keys"),
    "nk": one_of("unequal_lengths", {"any": True, "nq": False}, "the number of keys: any, or that of the queries"),
    "n-multiple": count("multiple", "lengths are multiples of this"),
    "n-max": count("max_length", "the longest length to be tried (default 4097)"),
    "d": Key(widths, "16+32+64", "the only head widths"),
    "dtypes": several("dtypes", same(*DTYPES), "dtypes of query, key and value"),
    "grad": one_of("gradients", YES, "has gradients"),
    "mask-grad": one_of("mask_gradient", YES, "has a gradient of an additive mask"),
    "empty": one_of("zero_length", YES, "axes of length 0"),
    "axes": one_of("leading_axes", {"any": True, "4": False}, "tensors of 2 and 3 axes too, or of 4 only"),
    "strides": one_of("strides", same("any", "rows", "contiguous"), "memory layouts: any, last axis contiguous, or contiguous"),
}
CONVENTIONS = {
    "dead-rows": one_of("dead_rows", same("zero", "nan", "mean", "any"), "what a row that sees no key is"),
    "causal": one_of("causal", same("top-left", "bottom-right"), "where the diagonal starts if lengths differ"),
    "gqa": one_of("grouped_queries", same("interleaved", "tiled"), "query head h reads key head h // group, or h % key heads"),
    "mask": one_of("mask", same("keep", "block"), "what True means in a boolean mask"),
    "mask+causal": one_of("mask_and_causal", same("both-or-error", "both", "error", "any"), "a mask beside is_causal"),
    "masked-nan": one_of("masked_nan", same("leaks", "blocked", "any"), "NaN in a hidden key or value"),
    "float64": one_of("float64", same("honoured", "as-float32"), "how float64 inputs are computed"),
    "layout": Key(layout, "BHND->BHND, BNHD->BNHD, BHND->BNHD, …", "the axes of inputs and output"),
    "repeats": one_of("repeats", same("bitwise", "within-bounds"), "whether two calls agree to the last bit"),
    "process": one_of("process", same("untouched", "any"), "whether a call may start processes, replace names of torch, print much"),
}
ARITHMETIC = {
    "accumulate": one_of("accumulate", same("default", "input", "float32", "float64"), "dtype of scores and sums; default: float32 for half precisions"),
    "exp-ulp": Key(ulps, "a number from 0", "error of exp and log in units in the last place (default 2)"),
    "p-dtype": one_of("weights", {"accumulate": "accumulator", "input": "input"}, "dtype in which weights meet values"),
    "stabiliser": Key(stabiliser, "max, or a number from 0 below 1024", "how far the subtracted stabiliser may lie from the row's maximum"),
    "tile": Key(tile, "none, or a number from 1", "keys that are folded into the running sums at once"),
    "normalise": one_of("normalise", same("divide", "log-sum-exp"), "divide by the sum, or subtract the log-sum-exp in the exponent"),
    "saved-output": one_of("saved_output", {"accumulate": "accumulator", "input": "input"}, "dtype of the output that backward reads"),
    "recompute": one_of("recompute", same("max-and-sum", "log-sum-exp"), "what backward rebuilds the weights from"),
    "exact-means": one_of("exact_means", YES, "the mean of 2^p equally scored keys is exact"),
}
OPTIONS = {"--limits": LIMITS, "--convention": CONVENTIONS, "--arithmetic": ARITHMETIC}


def declared(option: str, text: str, base: Declaration) -> Declaration:
    """`base` with what `text` (key=value, separated by commas) says. Raises BadDeclaration for an unknown key or value, and for one given twice."""
    keys, seen = OPTIONS[option], set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if name not in keys:
            near = difflib.get_close_matches(name, keys, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise BadDeclaration(f"{option}: unknown key {name!r} in {part!r}; {hint}possible are {', '.join(keys)}")
        if name in seen:
            raise BadDeclaration(f"{option}: {name!r} is given twice in {text!r}")
        seen.add(name)
        try:
            if not equals:
                raise ValueError(part)
            base = replace(base, **keys[name].read(value.strip()))
        except (ValueError, KeyError):
            raise BadDeclaration(f"{option}: {part!r} cannot be read; possible is {name}={keys[name].possible}") from None
    return base


def spelled(limits: Limits, conventions: Conventions, arithmetic: Arithmetic) -> dict[str, dict[str, Any]]:
    """All that is declared, as plain values by option and field."""
    return {option: dataclasses.asdict(part) for option, part in (("limits", limits), ("conventions", conventions), ("arithmetic", arithmetic))}


def from_file(data: Mapping[str, Any]) -> tuple[Limits, Conventions, Arithmetic]:
    """The declarations of a file that defines an Implementation, as its process reported them. Raises BadDeclaration for fields or values that are none."""
    return _checked(Limits, data["limits"]), _checked(Conventions, data["conventions"]), _checked(Arithmetic, data["arithmetic"])


def _checked(kind: type[Declaration], values: Mapping[str, Any]) -> Declaration:
    known = {field.name: field.type for field in dataclasses.fields(kind)}
    if unknown := set(values) - known.keys():
        raise BadDeclaration(f"{kind.__name__} has no {', '.join(sorted(unknown))}; it has {', '.join(known)}")
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    made = kind(**given)
    for name, value in ((name, getattr(made, name)) for name in known):
        if not isinstance(value, type(getattr(kind(), name))) and not (name == "tile" and value is None) and not (name == "widths"):
            raise BadDeclaration(f"{kind.__name__}.{name} is {value!r}, expected {known[name]}")
    if isinstance(made, Arithmetic) and not (0 <= made.stabiliser < 2**10 and 0 <= made.exp_ulp < 2**20):
        raise BadDeclaration(f"Arithmetic has stabiliser {made.stabiliser!r}, exp_ulp {made.exp_ulp!r}; both must be numbers from 0, below 1024 and 2^20")
    for key in OPTIONS[PARTS[kind]].values():
        if key.field and key.values and getattr(made, key.field) not in key.values:
            raise BadDeclaration(f"{kind.__name__}.{key.field} is {getattr(made, key.field)!r}; possible are {', '.join(map(repr, key.values))}")
    return made


PARTS = {Limits: "--limits", Conventions: "--convention", Arithmetic: "--arithmetic"}


def options_help() -> str:
    """Every key of every option with what is possible, for --list-variants."""
    lines = []
    for option, keys in OPTIONS.items():
        lines.append(f"{option}")
        lines += [f"  {name}={key.possible:<44} {key.help}" for name, key in keys.items()]
    return "\n".join(lines)
