"""Markdown that survives GitHub: formulas, tables and links.

GitHub reads emphasis and escapes inside `$…$` and splits a table's cells at every bar, formula or not. So a formula in a line is written
with dollar-backtick delimiters, a displayed one as a fenced `math` block, and bars inside tables as `\\vert` or with a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

TOKEN = re.compile(
    r"(?P<fence>```.*?```)|(?P<escape>\\[\\$`*_|])|\$`(?P<kept>.+?)`\$|(?P<code>`[^`]+`)|\$\$(?P<display>.+?)\$\$|\$(?P<inline>[^\s$](?:[^$]*?[^\s$])?)\$",
    re.DOTALL,
)

Refer = Callable[[str], str]  # makes links of what a text refers to, outside formulas and code


def _as_it_is(text: str) -> str:
    return text


def prose(text: str, refer: Refer = _as_it_is) -> str:
    """Our own Markdown with LaTeX, several paragraphs or one."""
    return _rewritten(text, refer, blocks=True, bars=False).strip()


def line(text: str, refer: Refer = _as_it_is) -> str:
    """Our own Markdown with LaTeX on one line, displayed formulas drawn into it."""
    return " ".join(_rewritten(text, refer, blocks=False, bars=False).split())


def cell(text: str) -> str:
    """`line` for a table, where a bar must not end the cell."""
    return " ".join(_rewritten(text, _as_it_is, blocks=False, bars=True).split())


def plain(text: str) -> str:
    """Text that is no Markdown: every character shows as it is, in a table too."""
    return " ".join(re.sub(r"([\\`*_\[\]|$~#])", r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;").split())


def code(text: str) -> str:
    """A code span; `cell` makes it safe in a table."""
    return f"`{' '.join(text.split())}`" if "`" not in text else plain(text)


def math(latex: str) -> str:
    """A displayed formula."""
    return f"```math\n{latex.strip()}\n```"


def folded(summary: str, markdown: str) -> str:
    """Markdown that opens on a click; GitHub wants the blank lines."""
    return f"<details>\n<summary>{summary}</summary>\n\n{markdown}\n\n</details>"


def link(text: str, target: str) -> str:
    """A link, or the bare text where there is nowhere to go."""
    return f"[{text}]({target})" if target else text


def anchor(id: str) -> str:
    return f'<a id="{id}"></a>'


def slug(heading: str) -> str:
    """A heading as the target of a link."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are Markdown already made safe. Columns whose name starts with a space are aligned right."""
    rule = ["---:" if name.startswith(" ") else "---" for name in header]
    lines = [[name.strip() for name in header], rule, *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def number(x: float | None) -> str:
    """Three significant digits; nothing for no number."""
    return "" if x is None else f"{x:.3g}"


def _rewritten(text: str, refer: Refer, *, blocks: bool, bars: bool) -> str:
    parts, end = [], 0
    for found in TOKEN.finditer(text):
        parts += [refer(_text(text[end : found.start()], bars)), _token(found, blocks, bars)]
        end = found.end()
    joined = "".join([*parts, refer(_text(text[end:], bars))])
    return re.sub(r"\n{3,}", "\n\n", joined)


def _token(found: re.Match[str], blocks: bool, bars: bool) -> str:
    if latex := found["kept"] or found["inline"]:
        return _inline(latex, bars)
    if latex := found["display"]:
        return _block(latex) if blocks else _inline(latex, bars)
    return found[0].replace("|", r"\|") if bars and not found["escape"] else found[0]


def _text(text: str, bars: bool) -> str:
    """Prose between formulas: a `<` that would open a tag is shown instead."""
    text = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)
    return text.replace("|", r"\|") if bars else text


def _inline(latex: str, bars: bool = False) -> str:
    latex = " ".join(latex.split())
    if bars:
        latex = latex.replace(r"\|", r"\Vert ").replace("|", r"\vert ")
    return f"$`{latex}`$"


def _block(latex: str) -> str:
    return f"\n\n{math(latex)}\n\n"
