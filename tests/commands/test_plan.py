"""The command segkit plan: a table on standard output and a plan as JSON."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from segkit.cli import main
from segkit.plans.plan_file import read_plan


def test_prints_the_plan_and_writes_it(
    phantom: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plan", str(phantom), "network.features=[4,8]"]) == 0
    assert read_plan(tmp_path / "plan.json").network.encoder[0].layers[0].channels == 4
    out = capsys.readouterr().out
    assert "mirror" in out
    assert "The plan is in plan.json" in out


def test_output_and_overrides_in_any_order(phantom: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "p.json"
    assert (
        main(
            ["plan", str(phantom), "-o", str(out), "network.features=[4,8]", "plan.spacing=[4,4,4]"]
        )
        == 0
    )
    assert read_plan(out).spacing == (4.0, 4.0, 4.0)


def test_the_command_that_it_suggests_fits_the_plan(
    phantom: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [
        "dataset.labels={liver:1}",
        "network.features=[4,8]",
        "plan.spacing=[4,4,4]",
        "fold=1",
        "network=unet",
    ]
    assert main(["plan", str(phantom), *words, "-o", "my plan.json"]) == 0
    command = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert command == [
        "segkit",
        "train",
        f"dataset={phantom}",
        "dataset.labels={liver:1}",
        "fold=1",
        "plan=my plan.json",
    ]
    assert (
        main(
            [
                *command[1:],
                "trainer.max_steps=1",
                "trainer.precision=float32",
                "trainer.layout=contiguous",
            ]
        )
        == 0
    )


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["plan=p.json"], 2, "plan=p.json is for 'segkit train'"),
        (["network.dim=2"], 2, "Did you mean network.dims"),
        (["plan.spacing=[1]"], 2, "plan.spacing must be a list of 3 numbers"),
    ],
)
def test_refused(
    words: list[str],
    code: int,
    message: str,
    phantom: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plan", str(phantom), "-o", str(tmp_path / "p.json"), *words]) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "p.json").exists()


def test_no_dataset_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "nowhere at all"]) == 3
    assert "segkit: error: nowhere at all: expected" in capsys.readouterr().err
