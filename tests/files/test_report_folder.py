"""A report replaces only its own files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segkit.errors import UsageError
from segkit.files.report_folder import check_report_folder

NAMES = ("summary.json", "report.html")


def check(folder: Path, *, inputs: dict[str, str] | None = None, overwrite: bool = False) -> None:
    given = {"predictions": "p", "references": "r"} if inputs is None else inputs
    check_report_folder(folder, NAMES, record=NAMES[0], inputs=given, overwrite=overwrite)


def test_new_files_are_written_anywhere(tmp_path: Path) -> None:
    check(tmp_path / "new")
    (tmp_path / "notes.txt").touch()
    check(tmp_path)


def test_the_same_inputs_renew_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("summary.json").write_text(json.dumps({"predictions": "p", "references": "./r"}))
    check(tmp_path)
    check(tmp_path, inputs={"predictions": str(tmp_path / "p"), "references": "x/../r"})


@pytest.mark.parametrize(
    "content",
    ["{}", '{"predictions": "p"}', '{"predictions": "p", "references": 1}', "[]", "half"],
)
def test_files_of_something_else_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(UsageError, match=r"holds summary\.json of another command"):
        check(tmp_path)
    check(tmp_path, overwrite=True)
    (tmp_path / "summary.json").unlink()
    (tmp_path / "report.html").touch()
    with pytest.raises(UsageError, match=r"holds report\.html of .* --overwrite"):
        check(tmp_path)


def test_other_inputs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps({"predictions": "p", "references": "r"}))
    with pytest.raises(UsageError, match="of other inputs"):
        check(tmp_path, inputs={"predictions": "other", "references": "r"})


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file is a file\. Give a folder for the report"):
        check(tmp_path / "file", overwrite=True)
