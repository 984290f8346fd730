"""Three lines of Python that redo a counterexample: the case of a search, read back from its text, put to the claim's exact check."""

from __future__ import annotations

import ast
from fractions import Fraction


class Unreadable(ValueError):
    """Raised for a case that is not written as names with integers, fractions, words and sequences of them."""


def redone(claim: str, counterexample: str) -> str:
    """Python that prints "refuted". `counterexample` is what a search writes: `query = [1, 0], share = 1/2`. Raises Unreadable for anything else."""
    case = read_case(counterexample)
    fractions = ["from fractions import Fraction"] if any(_has_fraction(value) for value in case.values()) else []
    arguments = ", ".join(f"{name}={value!r}" for name, value in case.items())
    return "\n".join([*fractions, "from theorems import CLAIMS", f'print(CLAIMS["{claim}"].holds({arguments}).value)  # refuted'])


def read_case(text: str) -> dict[str, object]:
    """The arguments of a claim's check: lists become tuples, 1/2 a fraction, {0, 1} a frozen set, and a bare word a string."""
    try:
        call = ast.parse(f"case({text})", mode="eval").body
    except SyntaxError as error:
        raise Unreadable(f"{text!r} is no case: {error.msg}") from error
    if not isinstance(call, ast.Call) or call.args or not call.keywords or any(k.arg is None for k in call.keywords):
        raise Unreadable(f"{text!r} is no case: expected name = value, …")
    return {str(k.arg): _value(k.value) for k in call.keywords}


def _value(node: ast.expr) -> object:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=word):
            return word
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return tuple(map(_value, items))
        case ast.Set(elts=items):
            return frozenset(map(_value, items))
        case ast.Dict(keys=[]):
            return frozenset()
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand)
        case ast.BinOp(left=above, op=ast.Div(), right=below):
            return Fraction(_number(above)) / Fraction(_number(below))
    raise Unreadable(f"{ast.unparse(node)!r} is neither a number, a fraction, a word nor a sequence of them")


def _number(node: ast.expr) -> int | Fraction:
    value = _value(node)
    if not isinstance(value, int | Fraction):
        raise Unreadable(f"{ast.unparse(node)!r} is no whole number or fraction")
    return value


def _has_fraction(value: object) -> bool:
    return isinstance(value, Fraction) or (isinstance(value, tuple | frozenset) and any(map(_has_fraction, value)))
