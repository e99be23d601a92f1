"""The command segkit study: the list of studies, and their help."""

from __future__ import annotations

import pytest

from segkit.cli import main
from segkit.commands.study import STUDIES


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_alone_it_lists_what_there_is(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", *words]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in STUDIES)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cross-validation", "unknown study 'cross-validation'. Did you mean cross_validation?"),
        ("x", "unknown study 'x'. Studies: cross_validation"),
    ],
)
def test_unknown_study(name: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", name]) == 2
    assert message in capsys.readouterr().err


def test_help_says_what_the_overrides_mean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "cross_validation", "--help"]) == 0
    out = capsys.readouterr().out
    assert "trainer.max_minutes (or trainer.max_steps) holds for each fold" in out
    assert "  trainer.foreground=0.5" in out
    assert "\n  fold=" not in out


def test_show_prints_the_composed_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "cross_validation", "scans, new", "seed=3", "--show"]) == 0
    out = capsys.readouterr().out
    assert "  path: scans, new\n" in out
    assert "seed: 3\n" in out


def test_a_fold_is_refused_before_torch(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "cross_validation", "scans", "fold=1", "--show"]) == 2
    assert "fold: a cross-validation trains all folds" in capsys.readouterr().err
