"""All pages of the ledger, as text by path. Pure: the same book gives the same bytes."""

from __future__ import annotations

from reports.book import Book
from reports.render_benchmarks import benchmarks_page
from reports.render_disagreements import disagreements_page
from reports.render_explanations import explanations_page, known
from reports.render_gpu import gpu_page
from reports.render_implementations import implementations_page
from reports.render_index import index_page, mutants_page
from reports.render_json import ledger_json
from reports.render_kernels import kernels_page
from reports.render_peers import peers_page
from reports.render_text import text_page
from reports.render_topic import topic_page
from reports.render_trained import trained_page

MARK = "<!-- Written by `python -m reports` from the committed evidence. Edits are lost. -->"
FOLDERS = ("topics", "texts")  # nothing but written pages lives there


def pages(book: Book) -> dict[str, str]:
    """Every page by its path inside the reports folder."""
    markdown = {
        "README.md": index_page(book),
        "implementations.md": implementations_page(book),
        "mutants.md": mutants_page(book),
        "peers.md": peers_page(book),
        **({"kernels.md": kernels_page(book)} if book.kernels else {}),
        **({"how-kernels-work.md": explanations_page(book)} if known(book) else {}),
        **({"benchmarks.md": benchmarks_page(book.benchmarks)} if book.benchmarks else {}),
        **({"gpu.md": gpu_page(book.gpu)} if book.gpu else {}),
        **({"trained.md": trained_page(book)} if book.trained else {}),
        **({"disagreements.md": disagreements_page(book)} if book.disagreements else {}),
        **{f"topics/{topic}.md": topic_page(book, topic) for topic in book.topics},
        **{f"texts/{text.key}.md": text_page(book, text) for text in book.texts},
    }
    return {path: f"{MARK}\n\n{text.strip()}\n" for path, text in markdown.items()} | {"ledger.json": ledger_json(book)}
