from __future__ import annotations

import json
from pathlib import Path

from segkit.inference.files.outcomes import Outcome, OutcomesFile

EARLIER = {
    "older\n": {"status": "done", "boxes": [1, {"unit": None}], "more": {}},
    "a": {"status": "failed"},
}


def test_the_file_is_json_with_an_indent_of_two_spaces(tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(EARLIER))
    file = OutcomesFile(path)
    file.write([Outcome("a", "done", seconds=1.5, output="a.nii.gz", notes=("one", "two"))])
    file.write([Outcome('"\udcff"', "failed", "line 1\nline 2")])
    done = {"status": "done", "message": "", "seconds": 1.5, "output": "a.nii.gz"}
    failed = {"status": "failed", "message": "line 1\nline 2", "seconds": 0.0, "output": ""}
    content = EARLIER | {"a": {**done, "notes": ["one", "two"]}, '"\udcff"': failed}
    assert path.read_text() == json.dumps(content, indent=2) + "\n"


def test_a_file_without_entries(tmp_path: Path) -> None:
    OutcomesFile(tmp_path / "predictions.json").write([])
    assert (tmp_path / "predictions.json").read_text() == "{}\n"
