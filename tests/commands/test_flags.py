"""Unknown flags of a verb."""

from __future__ import annotations

import pytest

from segkit.cli import main


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (
            ["predict", "scan.nii.gz", "--overlp", "0.5"],
            "unrecognized arguments: --overlp 0.5. Did you mean --overlap?",
        ),
        (["predict", "scan.nii.gz", "--max_memory=4GB"], "Did you mean --max-memory?"),
        (["train", "scans", "--resum"], "Did you mean --resume?"),
        (
            ["train", "scans", "--max-minutes", "5"],
            "Write overrides as KEY=VALUE. Did you mean trainer.max_minutes?",
        ),
        (["study", "cross_validation", "scans", "--sho"], "Did you mean --show?"),
        (["check", "scans", "--qqqq"], "'segkit check --help' lists the arguments."),
        (["evaluate", "a", "b", "--tolerance", "3"], "Did you mean --tolerance-mm?"),
    ],
)
def test_near_misses(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert hint in capsys.readouterr().err
