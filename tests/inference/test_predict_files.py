"""One flow from files to files: skipped scans, failures, and the files about many scans."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segkit.bundle.bundle import Bundle
from segkit.errors import InputError
from segkit.inference import Predictor
from segkit.inference.files.finalize import FinalizeOptions
from segkit.inference.files.outputs import Job
from segkit.inference.files.scan import Scan
from segkit.inference.predict_files import predict_files
from segkit.inference.request import Files, Request, Shard, request_for

Make = Callable[..., Bundle]
OPTIONS = FinalizeOptions({"bright": 7})


def save(path: Path) -> Path:
    array = np.zeros((9, 9, 9), np.float32)
    array[:4] = 100
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
    return path


def job(folder: Path, name: str) -> Job:
    return Job(Scan(name, (folder / f"{name}.nii",)), folder / "out" / f"{name}.nii.gz")


def test_skipped_scans_come_first_and_a_failure_stops_nothing(
    make_bundle: Make, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    save(tmp_path / "a.nii")
    save(tmp_path / "out" / "c.nii.gz")
    record = tmp_path / "out" / "predictions.json"
    request = Request(
        tuple(job(tmp_path, name) for name in ("missing", "a", "c")),
        OPTIONS,
        existing="continue",
        outcomes_file=record,
    )
    assert [each.scan.id for each in request.pending] == ["missing", "a"]
    outcomes = predict_files(request, Predictor(make_bundle()))
    assert next(outcomes).case == "c"
    assert list(json.loads(record.read_text())) == ["c"]
    assert [(each.case, each.status) for each in outcomes] == [("missing", "failed"), ("a", "done")]
    assert [each["status"] for each in json.loads(record.read_text()).values()] == [
        "skipped",
        "failed",
        "done",
    ]
    labels = nibabel.load(tmp_path / "out" / "a.nii.gz")
    assert np.asarray(labels.dataobj)[0, 0, 0] == 7


def test_without_a_file_for_outcomes_the_first_error_is_raised(
    make_bundle: Make, tmp_path: Path
) -> None:
    request = Request((job(tmp_path, "missing"),), OPTIONS)
    with pytest.raises(InputError, match=r"missing\.nii"):
        list(predict_files(request, Predictor(make_bundle())))


def test_a_skipped_scan_without_its_picture_is_logged(
    make_bundle: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output = save(tmp_path / "a_seg.nii")
    skipped = Job(Scan("a", (save(tmp_path / "a.nii"),)), output, ("preview",))
    request = Request((skipped,), OPTIONS, existing="continue")
    with caplog.at_level(logging.WARNING):
        (outcome,) = predict_files(request, Predictor(make_bundle()))
    assert (outcome.status, outcome.output) == ("skipped", str(output))
    assert "a_seg.nii is left as it is, without a_seg_preview.png; --overwrite" in caplog.text


def test_a_request_from_what_a_user_names(make_bundle: Make, tmp_path: Path) -> None:
    for name in "abc":
        save(tmp_path / f"{name}.nii")
    bundle, out = make_bundle(), tmp_path / "out"
    files = Files(inputs=[tmp_path], output=str(out), extras=["record"], shard=Shard(2, 2))
    request = request_for(files, OPTIONS, [bundle])
    assert [each.output for each in request.jobs] == [out / "b.nii.gz"]
    assert request.outcomes_file == out / "predictions-2-of-2.json"
    assert request.table == out / "stats-2-of-2.csv"
    one = request_for(
        Files(inputs=[tmp_path / "a.nii"], output=str(out / "x.nii")), OPTIONS, [bundle]
    )
    assert (one.outcomes_file, one.table, one.existing) == (None, None, "refuse")
