"""Published packages under the same laws: which they keep, and every deviation with its class and a reproduction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from reports.book import Book
from reports.markdown import anchor, cell, code, link, plain, slug, table
from reports.peers import Peer

OPENING = """Each callable was judged as `pytest properties --impl` judges any function, in a pinned environment of its own, under the conventions that its
package documents: what it documents is never held against it. A law that it breaks is traced to a deviation, which is classified. **bug**: it contradicts
the package's own documentation, formula or sibling path. **documented convention**: the package says so, and no declaration of ours expresses it.
**precision**: right up to rounding, but by more than its dtypes allow. **unspecified**: nothing says what should happen. Several laws may break for one
reason. The verdicts speak of these versions on this kind of machine, and of nothing else."""
KINDS = ("bug", "precision", "unspecified", "documented convention")


def peers_page(book: Book) -> str:
    """The page, or a line saying that nobody has been judged."""
    judged = sorted(book.peers, key=lambda peer: (str(peer.about["package"]).lower(), peer.name))
    if not judged:
        return "# Published packages\n\n[All topics](README.md)\n\nNone has been judged yet; `make peers` does."
    packages = {peer.about["package"] for peer in judged}
    kinds = Counter(kind for peer in judged for kind in {(d["kind"], d["title"]) for d in peer.about["deviations"]})
    counts = Counter(kind for kind, _ in kinds)
    counted = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind])
    return "\n\n".join(
        [
            "# Published packages",
            "[All topics](README.md)",
            f"{len(judged)} callables of {len(packages)} packages; {counted or 'no deviation'}.",
            OPENING,
            table(["callable", "package", "verdict", " laws kept", " broken", " not tried", "deviations"], [_row(peer) for peer in judged]),
            *(part for peer in judged for part in _section(peer, book.laws)),
            "## To repeat it",
            "`make peers` sets up the environments (several gigabytes) and judges all of them; `python -m properties.peers NAME` judges one.",
        ]
    )


def _row(peer: Peer) -> list[str]:
    outcomes = Counter(str(law["outcome"]) for law in peer.laws)
    kinds = Counter(str(d["kind"]) for d in peer.about["deviations"])
    tried = len(peer.laws) - outcomes["held"] - outcomes["refuted"]
    said = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind])
    package = f"{plain(str(peer.about['package']))} {plain(str(peer.about['version']))}"
    verdict = str(peer.found.get("verdict", "not judged"))
    return [link(code(peer.name), f"peers.md#{slug(peer.name)}"), package, verdict, str(outcomes["held"]), str(outcomes["refuted"]), str(tried), said]


def _section(peer: Peer, laws: str) -> list[str]:
    about = peer.about
    declared = "; ".join(f"{name} {code(str(about[name]))}" for name in ("limits", "convention", "arithmetic") if about[name])
    facts = f"{plain(str(about['package']))} {plain(str(about['version']))}, called as in {code(str(about['impl']))}. {_sentence(about['states'])}"
    parts = [f"{anchor(slug(peer.name))}\n\n## {peer.name}"]
    parts += [f"{facts} ({link('documentation', str(about['documents']))}.) Declared: {declared or 'nothing, so the defaults of torch'}."]
    if "failed" in peer.found:
        return [*parts, f"It could not be judged: {plain(str(peer.found['failed']))}"]
    if peer.found.get("checks") != laws:
        parts.append("*Judged by an earlier version of the laws.*")
    if not peer.broken:
        tried = sum(int(law["examples"]) for law in peer.laws)
        parts.append(f"No law was broken, on {tried} examples.")
    else:
        parts.append(table(["law broken", " examples", " worst error/bound", "first seen as"], [_law(law) for law in peer.laws if law["outcome"] == "refuted"]))
    if undecided := [str(law["law"]) for law in peer.laws if law["outcome"] in ("undecided", "error")]:
        parts.append(f"Not decided: {plain('; '.join(undecided))}.")
    if peer.unexplained:
        parts.append(f"Not explained yet: {plain('; '.join(peer.unexplained))}.")
    return [*parts, *(text for deviation in about["deviations"] for text in _deviation(deviation))]


def _law(law: Mapping[str, Any]) -> list[str]:
    worst = law["worst_over_bound"]
    return [plain(str(law["law"])), str(law["examples"]), "" if worst is None else str(worst), cell(plain(_short(str(law["detail"]))))]


def _short(text: str, most: int = 160) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _deviation(deviation: Mapping[str, Any]) -> Sequence[str]:
    source = f" ({_source(str(deviation['source']))})" if deviation["source"] else ""
    shown = [f"which prints\n\n```text\n{deviation['shown']}\n```"] if deviation["shown"] else []
    laws = f"Laws: {plain('; '.join(deviation['laws']))}." if deviation["laws"] else ""
    code_block = f"```python\n{str(deviation['reproduce']).strip()}\n```"
    return [f"### {plain(str(deviation['title']))} ({deviation['kind']})", f"{_sentence(deviation['says'])}{source} {laws}".strip(), code_block, *shown]


def _source(text: str) -> str:
    return link("source", text) if text.startswith("http") else plain(text)


def _sentence(text: object) -> str:
    return plain(str(text))
