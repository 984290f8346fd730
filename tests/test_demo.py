"""The demo draws each kind of attention as what it is, counts what can be counted by hand, and names what it cannot use."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("matplotlib", reason="needs matplotlib (pip install -e '.[dev]')")

from properties.demo import KINDS, layer, main, said

ROOT = Path(__file__).parents[1]
TOKENS = [str(place) for place in range(7)]
SUMS_TO_ONE = set(KINDS) - {"sigmoid", "softmax-one"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_weights_and_counts(kind: str) -> None:
    shown = layer(KINDS[kind], TOKENS, width=8, heads=2, window=3, seed=1)
    w = shown.weights
    assert w.shape == (2, 7, 7)
    assert bool((w >= 0).all())
    sums = w.double().sum(-1)
    if kind in SUMS_TO_ONE:
        assert bool(((sums - 1).abs() <= 7 * 2.0**-22).all())
    else:
        assert not bool(((sums - 1).abs() <= 7 * 2.0**-22).all())
    assert shown.counts["parameters"] == 4 * 8 * 8
    assert shown.counts["bytes of weights"] == 4 * 2 * 7 * 7
    assert shown.counts["pairs with a weight"] == int((w != 0).sum())


@pytest.mark.parametrize(("length", "width", "heads"), [(5, 8, 2), (9, 12, 3), (12, 32, 4)])
def test_operations_are_those_of_four_projections_and_two_products(length: int, width: int, heads: int) -> None:
    shown = layer(KINDS["full"], [str(x) for x in range(length)], width, heads, window=1, seed=0)
    assert shown.counts["operations of the reference, hidden pairs too"] == 2 * (4 * length * width * width + 2 * length * length * width)


@pytest.mark.parametrize("kind", KINDS)
def test_no_row_has_more_entropy_than_an_even_one_nor_looks_beyond_the_last_token(kind: str) -> None:
    """Also where the weights do not sum to 1: the figures are of rows over their sum. Printed with three digits."""
    lines = said(layer(KINDS[kind], TOKENS * 4, width=8, heads=2, window=3, seed=1)).splitlines()
    for line in lines[-2:]:
        _, entropy, distance, *scores = map(float, line.split())
        assert 0 <= entropy <= math.log(28) + 0.0005
        assert 0 <= distance <= 27
        assert all(0 <= score <= 1 for score in scores)


def test_patterns_are_those_of_their_kind() -> None:
    def pattern(kind: str) -> torch.Tensor:
        return layer(KINDS[kind], TOKENS, width=8, heads=2, window=3, seed=1).weights[0] != 0

    distance = (torch.arange(7)[:, None] - torch.arange(7)).abs()
    assert bool(pattern("full").all())
    assert torch.equal(pattern("causal"), torch.ones(7, 7, dtype=torch.bool).tril())
    assert torch.equal(pattern("sliding-window"), distance < 3)
    assert not bool(pattern("sparsemax").all())


def test_equal_words_attend_alike() -> None:
    """Without positions, and where everything is seen."""
    w = layer(KINDS["full"], ["the", "cat", "and", "the", "dog"], width=8, heads=2, window=1, seed=0).weights
    assert bool(((w[:, 0] - w[:, 3]).abs() <= 2.0**-20).all())
    assert not torch.equal(w[:, 0], w[:, 1])


def test_the_command_writes_pictures_and_prints_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--text", "a b a c", "--width", "6", "--heads", "3", "--attention", "causal"]
    assert main([*arguments, "--out", str(tmp_path / "once")]) == 0
    printed = capsys.readouterr().out
    assert f"{'parameters':<46}{4 * 36:>10}" in printed
    assert {path.name for path in (tmp_path / "once").iterdir()} == {"heads.svg", "flow.svg", "comparison.svg", "head-1.svg", "head-2.svg", "head-3.svg"}
    assert main([*arguments, "--out", str(tmp_path / "again")]) == 0
    for path in (tmp_path / "once").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


@pytest.mark.parametrize("arguments", [["--length", "1", "--heads", "1"], ["--length", "60", "--attention", "linear"]])
def test_it_draws_few_and_many_tokens(arguments: list[str], tmp_path: Path) -> None:
    assert main([*arguments, "--out", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--heads", "5"], "heads 5"),
        (["--length", "-1"], "length 0"),
        (["--length", "0"], "length 0"),
        (["--attention", "magic"], "'magic'"),
        (["--attention", "rotary", "--width", "12"], "even parts"),
        (["--text", "a b", "--length", "3"], "--length 3 with a --text of 2 words"),
        (["--text", ""], "length 0"),
    ],
)
def test_bad_arguments_are_named(arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--out", str(tmp_path)])
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_it_says_so(tmp_path: Path) -> None:
    code = f"import sys; sys.modules['matplotlib'] = None; from properties.demo import main; sys.exit(main(['--out', {str(tmp_path)!r}]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "need the package 'matplotlib'" in done.stderr
    assert done.stderr.count("\n") == 1
