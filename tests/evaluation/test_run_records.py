"""Reading of run records and predictions.json."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from segkit.evaluation.run_records import failures, read_record, recorded_figures, recorded_scan


def test_a_record_and_its_figures(tmp_path: Path) -> None:
    record = {"versions": {}, "labels": {"liver": {"pieces": 2}, "odd": 3}}
    (tmp_path / "a.json").write_text(json.dumps(record))
    found = read_record(tmp_path / "a.nii.gz")
    assert recorded_figures(found, "liver") == {"pieces": 2}
    assert recorded_figures(found, "odd") == recorded_figures(found, "spleen") == {}


@pytest.mark.parametrize("content", ["", "[]", "{", "{}", '{"labels": {}}', '{"versions": 1}'])
def test_other_files_are_no_records(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    assert read_record(tmp_path / "a.nii.gz") == {}


def test_the_scan_of_a_record_must_still_be_the_same(tmp_path: Path) -> None:
    scan = tmp_path / "scan.nii.gz"
    empty = hashlib.sha256(b"").hexdigest()
    record = {"input": [{"file": str(scan), "sha256": empty}]}
    assert recorded_scan(record) is None
    scan.touch()
    assert recorded_scan(record) == scan
    scan.write_bytes(b"another scan")
    assert recorded_scan(record) is None
    assert recorded_scan({"input": "scan"}) is None
    assert recorded_scan({"input": [3]}) is None


def test_the_scan_of_dicom_slices_is_their_folder(tmp_path: Path) -> None:
    slices = [tmp_path / f"{number}.dcm" for number in range(2)]
    for path in slices:
        path.write_bytes(bytes(128) + b"DICM")
    digest = hashlib.sha256(bytes(128) + b"DICM").hexdigest()
    record = {"input": [{"file": str(path), "sha256": digest} for path in slices]}
    assert recorded_scan(record) == tmp_path


def test_why_predictions_failed_in_all_shards(tmp_path: Path) -> None:
    first = {"a": {"status": "failed", "message": "too dark"}, "b": {"status": "done"}}
    (tmp_path / "predictions-1-of-2.json").write_text(json.dumps(first))
    (tmp_path / "predictions-2-of-2.json").write_text(json.dumps({"c": {"status": "failed"}}))
    assert failures(tmp_path) == {"a": "too dark", "c": ""}
    assert failures(tmp_path / "a.nii.gz") == {}
