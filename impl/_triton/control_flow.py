"""The loops of a disassembled function, found from its jumps alone. Pure; knows no instruction set.

A back edge is a jump to an instruction through which every way to the jump leads (its target dominates it). The natural loop of a target is
everything that can reach one of its back edges without passing the target. Aho, Lam, Sethi and Ullman, Compilers, 2nd edition, section 9.6.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One machine instruction.

    `name` is the mnemonic with its modifiers ("LDG.E.128"), `operands` the rest of the line, `guard` its predicate ("@!P0", or "").
    `targets` are the indices of the instructions that it may jump to. `falls`: control may go on to the next instruction.
    """

    name: str
    operands: str = ""
    guard: str = ""
    targets: tuple[int, ...] = ()
    falls: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """A natural loop: `header` and `body` are indices of instructions. `own` is the body without the bodies of loops inside it.

    `parent` is the index, in the same tuple of cycles, of the loop just around it; None for an outermost loop.
    """

    header: int
    body: frozenset[int]
    own: frozenset[int]
    parent: int | None


def cycles(code: Sequence[Instruction]) -> tuple[Cycle, ...]:
    """The natural loops of `code`, in order of their headers; back edges to one header make one loop.

    An instruction that does nothing but jump to itself is no loop: it fills up the end of a function.
    """
    successors = [following(code, i) for i in range(len(code))]
    predecessors: list[list[int]] = [[] for _ in code]
    for i, nexts in enumerate(successors):
        for j in nexts:
            predecessors[j].append(i)
    above = dominators(successors, predecessors)
    bodies: dict[int, set[int]] = {}
    for i, nexts in enumerate(successors):
        for header in nexts:
            if dominates(above, header, i) and (header != i or code[i].falls):
                bodies.setdefault(header, {header}).update(reaching(i, header, predecessors))
    return nested(bodies)


def following(code: Sequence[Instruction], i: int) -> tuple[int, ...]:
    """Where control may go after instruction i."""
    falls = code[i].falls and i + 1 < len(code)
    return (*code[i].targets, i + 1) if falls else code[i].targets


def dominators(successors: Sequence[Sequence[int]], predecessors: Sequence[Sequence[int]]) -> list[int]:
    """The immediate dominator of each instruction; −1, the point before the program, for entries and for what has no other.

    What the first instruction cannot reach (a function that is only called) counts as another entry.
    Cooper, Harvey and Kennedy 2001, "A Simple, Fast Dominance Algorithm", figure 3.
    """
    order, entries = depth_first(successors)
    rank = {i: r for r, i in enumerate(order)} | {-1: len(order)}
    above = dict.fromkeys((*entries, -1), -1)
    changed = True
    while changed:
        changed = False
        for i in reversed(order):
            known = [p for p in predecessors[i] if p in above]
            best = -1 if i in entries else meet(known, above, rank)
            changed |= above.get(i) != best
            above[i] = best
    return [above[i] for i in range(len(successors))]


def depth_first(successors: Sequence[Sequence[int]]) -> tuple[list[int], set[int]]:
    """All instructions in depth-first postorder, and the entries that the walks started from, in order of address."""
    order: list[int] = []
    entries: set[int] = set()
    seen: set[int] = set()
    for entry in range(len(successors)):
        if entry in seen:
            continue
        entries.add(entry)
        seen.add(entry)
        stack = [(entry, iter(successors[entry]))]
        while stack:
            node, nexts = stack[-1]
            child = next((j for j in nexts if j not in seen), None)
            if child is None:
                order.append(node)
                stack.pop()
            else:
                seen.add(child)
                stack.append((child, iter(successors[child])))
    return order, entries


def meet(points: Iterable[int], above: dict[int, int], rank: dict[int, int]) -> int:
    """The nearest common dominator of some instructions, as far as `above` is known."""
    found, *others = points
    for other in others:
        while found != other:
            if rank[found] < rank[other]:
                found = above[found]
            else:
                other = above[other]
    return found


def dominates(above: Sequence[int], upper: int, lower: int) -> bool:
    """Does every way to `lower` lead through `upper`?"""
    while lower not in (upper, -1):
        lower = above[lower]
    return lower == upper


def reaching(tail: int, header: int, predecessors: Sequence[Sequence[int]]) -> set[int]:
    """What can reach `tail` without passing `header`, and `tail` itself."""
    body = {tail} - {header}
    waiting = list(body)
    while waiting:
        fresh = set(predecessors[waiting.pop()]) - body - {header}
        body |= fresh
        waiting.extend(fresh)
    return body


def nested(bodies: dict[int, set[int]]) -> tuple[Cycle, ...]:
    """Cycles in order of their headers, each with its parent: the smallest other body that holds its header."""
    headers = sorted(bodies)
    found = []
    for header in headers:
        around = [h for h in headers if h != header and header in bodies[h]]
        inside = [bodies[h] for h in headers if h != header and h in bodies[header]]
        parent = headers.index(min(around, key=lambda h: len(bodies[h]))) if around else None
        found.append(Cycle(header=header, body=frozenset(bodies[header]), own=frozenset(bodies[header].difference(*inside)), parent=parent))
    return tuple(found)
