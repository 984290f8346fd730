"""The trained model: its tasks are determined, its gates and interventions do what they say, its evidence is of today's code, and it repeats byte for byte."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("matplotlib", reason="needs matplotlib (pip install -e '.[dev]')")

from properties.evidence import BadEvidence
from properties.trained import record
from properties.trained.command import main
from properties.trained.measures import importances, sources_of
from properties.trained.model import HEADS, LAYERS, Transformer, losses
from properties.trained.tasks import COPY, KEYS, LENGTH, LOOKUP, SYMBOLS, TASKS, VOCABULARY, batch, both
from properties.trained.training import Course, TooSlow, held_out, trained
from reports.render_trained import trained_page
from reports.trained import read
from tests.test_reports import book

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "reports"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "properties.trained", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


# ------------------------------------------------------------------------------------------------------- tasks


@pytest.mark.parametrize("task", TASKS)
def test_every_asked_token_stands_behind_an_earlier_occurrence_of_the_asking_one(task: str) -> None:
    """And behind all of its occurrences, so that the answer is determined."""
    drawn = batch(task, 32, torch.Generator().manual_seed(3))
    assert drawn.tokens.shape == (32, LENGTH + 1)
    for tokens, asked in zip(drawn.tokens.tolist(), drawn.asked, strict=True):
        for place in asked.nonzero().flatten().tolist():
            before = {tokens[j + 1] for j in range(place) if tokens[j] == tokens[place]}
            assert before == {tokens[place + 1]}


def test_tasks_share_no_token() -> None:
    random = torch.Generator().manual_seed(0)
    copied, looked_up = (batch(task, 16, random).tokens for task in (COPY, LOOKUP))
    assert copied.max() < SYMBOLS <= looked_up.min()
    assert looked_up.max() < VOCABULARY
    assert both(6, random).tokens.shape == (6, LENGTH + 1)


def test_lookup_asks_for_each_key_once() -> None:
    drawn = batch(LOOKUP, 8, torch.Generator().manual_seed(1))
    assert drawn.asked.sum(1).tolist() == [KEYS] * 8
    asking = drawn.seen[drawn.asked].reshape(8, KEYS)
    assert asking.sort(-1).values.tolist() == [list(range(SYMBOLS, SYMBOLS + KEYS))] * 8


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(ValueError, match="'sort' is unknown; possible are copy, lookup"):
        batch("sort", 1, torch.Generator())


def test_held_out_sequences_are_not_drawn_in_training() -> None:
    seen = {tuple(row) for drawn in held_out().values() for row in drawn.tokens.tolist()}
    for seed in range(3):
        random = torch.Generator().manual_seed(1000 * (seed + 1) + 1)
        assert not seen & {tuple(row) for _ in range(50) for row in both(32, random).tokens.tolist()}


# ------------------------------------------------------------------------------------------------------- the model


@pytest.fixture(scope="module")
def model() -> Transformer:
    return Transformer(5).double().requires_grad_(False)


def test_no_token_sees_a_later_one(model: Transformer) -> None:
    tokens = batch(COPY, 2, torch.Generator().manual_seed(0)).seen
    later = tokens.clone()
    later[:, 20:] = (later[:, 20:] + 1) % SYMBOLS
    assert torch.equal(model(tokens).logits[:, :20], model(later).logits[:, :20])


def test_a_closed_gate_is_a_head_that_weighs_nothing(model: Transformer) -> None:
    drawn = batch(COPY, 3, torch.Generator().manual_seed(0))
    for layer, head in ((0, 1), (1, 3)):
        gates = torch.ones(LAYERS, HEADS, dtype=torch.float64)
        gates[layer, head] = 0
        zeros = torch.zeros(1, LENGTH, LENGTH, dtype=torch.float64)
        closed, empty = model(drawn.seen, gates).logits, model(drawn.seen, replaced={(layer, head): zeros}).logits
        assert torch.equal(closed, empty)
        assert not torch.equal(closed, model(drawn.seen).logits)


def test_a_head_s_own_weights_in_its_place_change_nothing(model: Transformer) -> None:
    drawn = batch(LOOKUP, 3, torch.Generator().manual_seed(0))
    run = model(drawn.seen)
    assert torch.equal(model(drawn.seen, replaced={(1, 2): run.weights[1][:, 2]}).logits, run.logits)


def test_importances_of_heads_are_those_of_gates_moved_by_hand(model: Transformer) -> None:
    """Ablation exactly; the slope by central differences, whose distance to it falls to a quarter where the step is halved."""
    drawn = batch(COPY, 4, torch.Generator().manual_seed(2))
    ablated, sloped = importances(model, drawn)

    def at(gate: float) -> torch.Tensor:
        gates = torch.ones(LAYERS, HEADS, dtype=torch.float64)
        gates[1, 0] = gate
        return losses(model(drawn.seen, gates).logits, drawn)

    def error(step: float) -> float:
        return float(((at(1 + step) - at(1 - step)) / (2 * step)).abs().mean() - sloped[HEADS])

    assert float(ablated[HEADS]) == float((at(0) - at(1)).mean())
    assert 3.5 < error(2.0**-5) / error(2.0**-6) < 4.5


def test_sources_are_where_the_answer_stood(model: Transformer) -> None:
    drawn = batch(LOOKUP, 5, torch.Generator().manual_seed(4))
    asked = torch.full((5,), LENGTH - 2)
    for row, places in enumerate(sources_of(drawn, asked)):
        (place,) = places.nonzero().flatten().tolist()
        assert place < 2 * KEYS
        assert drawn.seen[row, place] == drawn.next[row, LENGTH - 2]
        assert drawn.seen[row, place - 1] == drawn.seen[row, LENGTH - 2]


# ------------------------------------------------------------------------------------------------------- the course


def test_solved_is_from_where_it_stays_so() -> None:
    course = Course(steps=[0, 10, 20, 30], accuracy={COPY: [0.1, 0.995, 0.5, 1.0], LOOKUP: [0.1, 0.2, 0.3, 0.4]})
    assert course.solved(COPY) == 30
    assert course.solved(LOOKUP) is None


def test_training_gives_up_after_its_time() -> None:
    with pytest.raises(TooSlow, match="--seconds"):
        trained(0, 5, seconds=0.0)


# ------------------------------------------------------------------------------------------------------- the evidence, the command, the page


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What two short runs wrote, one of them in a process of its own."""
    folders = [tmp_path_factory.mktemp(name) for name in ("once", "again")]
    done = command("--steps", "3", "--seeds", "4", "--out", str(folders[0]))
    assert done.returncode == 0, done.stderr
    assert "step 3 of 3" in done.stdout
    with alone():
        assert main(["--steps", "3", "--seeds", "4", "--out", str(folders[1])]) == 0
    return folders


@contextmanager
def alone() -> Iterator[None]:
    """Puts back the settings of torch that the command makes."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def test_a_run_repeats_itself_byte_for_byte(short: list[Path]) -> None:
    once, again = ({path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()} for folder in short)
    assert once == again
    assert len(once) == 10


def test_what_a_run_writes_can_be_read_and_shown(short: list[Path]) -> None:
    (found,) = read(short[0] / "evidence")
    assert found.code == record.current()
    assert found.training["steps"] == 3
    page = shown(short[0] / "evidence", found.code)
    assert "One small model" in page
    assert "earlier version" not in page


def shown(folder: Path, code: str) -> str:
    return trained_page(replace(book(), trained=read(folder), code_of_trained=code))


def test_old_evidence_says_so(short: list[Path]) -> None:
    assert "earlier version of the code; `make trained`" in shown(short[0] / "evidence", "0" * 16)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--steps", "0"), "--steps 0"),
        (("--seeds", "-1"), "--seeds [-1]"),
        (("--seeds", "1", "1"), "each once"),
        (("--seconds", "0"), "--seconds 0"),
        (("--epochs", "1"), "--epochs"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert says in capsys.readouterr().err


def test_a_run_that_takes_too_long_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with alone():
        assert main(["--seconds", "1e-9", "--out", str(tmp_path)]) == 1
    assert "allow more with --seconds" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "breaks", [("schema", "x/1"), ("tasks", {"copy": {}}), ("course", {"steps": [0], "loss": {}, "accuracy": {}, "entropy": []}), ("model", {})]
)
def test_a_malformed_file_is_named(breaks: tuple[str, object], short: list[Path], tmp_path: Path) -> None:
    (path,) = (short[0] / "evidence").iterdir()
    document = json.loads(path.read_text())
    document[breaks[0]] = breaks[1]
    (tmp_path / path.name).write_text(json.dumps(document))
    with pytest.raises(BadEvidence, match=path.name):
        read(tmp_path)


def test_the_committed_evidence_is_of_the_code_as_it_is() -> None:
    for found in read(REPORTS / "evidence"):
        assert found.code == record.current(), "what decides the figures has changed; make trained"


def test_the_committed_pictures_are_those_of_the_evidence() -> None:
    for found in read(REPORTS / "evidence"):
        folder = REPORTS / "trained" / found.environment
        drawn = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in folder.glob("*.svg")}
        assert drawn == found.pictures


def test_the_committed_model_has_learnt_both_tasks() -> None:
    for found in read(REPORTS / "evidence"):
        assert {task.name: task.accuracy >= 0.99 for task in found.tasks} == dict.fromkeys(TASKS, True)


def test_the_page_needs_no_torch() -> None:
    missing = "import sys; sys.modules['torch'] = sys.modules['matplotlib'] = None"
    code = f"{missing}; from properties.trained import record; import reports.render_trained; record.current()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
