"""One trained model's attention as the instruments measured it, with pictures. From the evidence alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from reports.book import Book
from reports.markdown import plain, table
from reports.trained import Task, Trained

OPENING = """**One small model, trained once a seed, and nothing more.** The figures on this page say how these models behave on these sequences. They are
no evidence about attention at large, no claim of the ledger rests on them, and no verdict reads them."""
TASKS = {
    "copy": """**copy**: a prefix of distinct symbols (letters in the pictures), of a length drawn for each sequence, over and over. From the first repeated
symbol on, the next one is determined: it stands behind the symbol's earlier occurrences.""",
    "lookup": """**lookup**: all keys (k) in some order, each with a value (v) behind it, then all keys again in another order. The value after each of
these is determined.""",
}
HEADS = """Means over the rows of the held-out sequences. Entropy in nats; distance in tokens; *previous token*: the weight one token back, over rows from the
second on; *induction*: the weight behind earlier occurrences of the row's own token, over rows that have one. *Ablation*: how much the loss rises with the
head's gate at 0; *gradient*: the mean size of the loss's slope by the gate at 1. The last two columns are the accuracy with other weights in the head's
place: uniform ones over the keys it sees, or its own weights in another sequence."""
IMPORTANCE = "Ablation and gradient answer different questions: the slope at 1 is the start of the way to 0. Their rank correlation over the heads"
ATTRIBUTION = """Which tokens the answer comes from, by four methods, for one answer in each sequence: rollout and the plain product of the heads' mean
weights; the last layer's weights times their gradient of the right answer's logit, sizes summed over heads; and embeddings (token and position together)
times their gradient, sizes of the sums over features: the slope by an embedding's length, which the first layer's normalisation does not see and the
residual stream does. *Largest* is how often the largest share falls on the answer where it stood earlier behind the token that asks; *share* is the mean
share of these places together."""
REPEAT = """`make trained` trains, measures and draws anew (a minute on one core) and writes the same bytes on the same machine; `python -m
properties.trained --help` says more."""


def trained_page(book: Book) -> str:
    """The page. The book must have a trained model."""
    assert book.trained
    parts = [part for found in book.trained for part in _environment(found, found.code == book.code_of_trained, len(book.trained) > 1)]
    return "\n\n".join(["# A trained model", "[All topics](README.md)", OPENING, *TASKS.values(), *parts, "## To repeat it", REPEAT])


def _environment(found: Trained, current: bool, several: bool) -> list[str]:
    """One file's part of the page."""
    stale = [] if current else ["*Trained and measured by an earlier version of the code; `make trained` does it anew.*"]
    return [
        *([f"## {plain(found.environment)}"] if several else []),
        *stale,
        _model(found),
        "## Training",
        *_course(found),
        *_initialisations(found),
        *(part for task in found.tasks for part in _task(found, task)),
    ]


def _model(found: Trained) -> str:
    m, t = found.model, found.training
    return (
        f"The model: {m['layers']} layers of causal attention with {m['heads']} heads each, residual connections and normalisation, "
        f"without feed-forward layers, width {m['width']}, "
        f"{m['vocabulary']} tokens, {m['length']} positions, {m['parameters']} parameters. Trained from seed {t['seed']} with {t['steps']} steps of AdamW "
        f"(rate {t['rate']:g}, decay {t['decay']:g}) on {t['batch']} sequences each, half of either task; measured on {t['held_out']} sequences of each task "
        f"that are held out, in float64, on {plain(found.environment)}."
    )


def _course(found: Trained) -> list[str]:
    """Loss and accuracy along training, thinned, and the picture of the entropies."""
    course = found.course
    shown = [place for place, step in enumerate(course["steps"]) if place % max(1, len(course["steps"]) // 12) == 0 or place == len(course["steps"]) - 1]
    names = [task.name for task in found.tasks]
    header = [" step", *(f" {name}: {what}" for name in names for what in ("loss", "accuracy"))]
    rows = [[str(course["steps"][i]), *(_figure(course[what][name][i]) for name in names for what in ("loss", "accuracy"))] for i in shown]
    chance = "Said at the asked positions, of held-out sequences:"
    return [chance, table(header, rows), *_pictures(found, {"entropy": "Mean entropy of each head's rows along training, over both tasks."})]


def _initialisations(found: Trained) -> list[str]:
    """What the other seeds came to."""
    rows = []
    for x in found.initialisations:
        for name, of in x["tasks"].items():
            best = [f"{b['layer']}.{b['head']} ({_figure(b['score'])})" for b in x["patterns"][name].values()]
            rows.append(
                [
                    str(x["seed"]),
                    plain(name),
                    _figure(of["accuracy"]),
                    "never" if of["solved"] is None else str(of["solved"]),
                    *best,
                    _figure(of["importances"]),
                ]
            )
    header = [" seed", "task", " accuracy", " solved from step", "most on the previous token", "most induction", " importances' rank correlation"]
    return [
        "### Initialisations",
        "The heads with the highest score of each pattern, as layer.head, where training began from each of these seeds:",
        table(header, rows),
    ]


def _task(found: Trained, task: Task) -> list[str]:
    """Figures and pictures of one task."""
    say = f"Accuracy {_figure(task.accuracy)} and loss {_figure(task.loss)} at the asked positions."
    header = ["head", " entropy", " distance", " previous token", " induction", " ablation", " gradient", " accuracy, uniform", " accuracy, another sequence's"]
    rows = [[x.name, *map(_figure, x.figures.values())] for x in task.heads]
    return [
        f"## {plain(task.name.capitalize())}",
        say,
        *_pictures(
            found,
            {
                f"{task.name}-heads": "Every head on one held-out sequence. Rows are queries, columns keys.",
                f"{task.name}-head": "The head that scores highest for induction on the copy task, on the same sequence.",
                f"{task.name}-flow": "The heads' mean weights as a flow through the layers, weights from 0.1 on.",
            },
        ),
        "### Heads",
        HEADS,
        table(header, rows),
        f"{IMPORTANCE}: {_figure(task.importances)}.",
        "### Divergence between heads",
        "Mean Jensen–Shannon divergence of two heads' rows, in nats:",
        table(["head", *(f" {x.name}" for x in task.heads)], [[x.name, *map(_figure, row)] for x, row in zip(task.heads, task.divergence, strict=True)]),
        *_pictures(found, {f"{task.name}-comparison": "The same as a picture."}),
        "### Attribution",
        ATTRIBUTION,
        *_attribution(task),
    ]


def _attribution(task: Task) -> list[str]:
    largest, share, ranks = (task.attribution[name] for name in ("largest_is_source", "share_of_source", "rank_correlation"))
    return [
        table(["method", " largest", " share"], [[plain(name), _figure(largest[name]), _figure(share[name])] for name in largest]),
        "Mean rank correlation of two methods over the tokens that are seen:",
        table(["methods", " rank correlation"], [[plain(name), _figure(x)] for name, x in ranks.items()]),
    ]


def _pictures(found: Trained, wanted: dict[str, str]) -> Iterable[str]:
    """The pictures that there are, each with what it shows."""
    for name, says in wanted.items():
        if name in found.pictures:
            yield f"![{plain(says)}](trained/{found.environment}/{name}.svg)\n\n*{says} One model's behaviour.*"


def _figure(x: float | Sequence[float]) -> str:
    """Three significant digits, four from 0.9 on; a dash for no number."""
    assert isinstance(x, (int, float))
    return "–" if math.isnan(x) else f"{x:.4g}" if abs(x) > 0.9 else f"{x:.3g}"
