"""Report of label maps on disk: pictures, viewer, recorded figures, failures and provenance."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from segkit.evaluation import evaluate
from segkit.io import write_labels
from segkit.io.scans import write_image
from segkit.report.evaluation.drawn_case import read_drawn_case
from segkit.report.evaluation.viewer import ViewedCase, viewer_section
from segkit.report.evaluation_page import ReportOptions, write_evaluation
from segkit.volume import Volume

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
SHAPE = (1, 40, 40, 10)
LABELS = {"liver": 1, "cyst": 2}


def label_map(*boxes: tuple[int, slice]) -> Volume:
    """Return a label map in which each value fills a range along X of a bar."""
    array = np.zeros(SHAPE, np.uint8)
    for value, along_x in boxes:
        array[0, along_x, 18:22, 4:7] = value
    return Volume(array, AFFINE)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Two cases: in ``good`` both labels agree, in ``bad`` the cyst is missed."""
    folders = {name: tmp_path / name for name in ("predictions", "references", "scans")}
    both = label_map((1, slice(10, 20)), (2, slice(20, 24)))
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32)[None, :, None, None], SHAPE)
    for case, predicted in (("good", both), ("bad", label_map((1, slice(10, 20))))):
        write_labels(folders["predictions"] / f"{case}.nii.gz", predicted)
        write_labels(folders["references"] / f"{case}.nii.gz", both)
        write_image(folders["scans"] / f"{case}.nii.gz", Volume(ramp, AFFINE))
    record = {
        "versions": {"segkit": "9.9"},
        "model": [{"name": "net", "hash": "abc123", "created": "2026-01-02T03:04"}],
        "date": "2026-02-03T04:05",
        "scan_warnings": ["the scan is odd"],
        "labels": {"liver": {"value": 1, "certainty": 0.875, "pieces": 3, "warning": ""}},
    }
    (folders["predictions"] / "good.json").write_text(json.dumps(record))
    return folders


def report(folders: dict[str, Path], **options: Any) -> str:
    evaluation = evaluate(folders["predictions"], folders["references"], labels=LABELS)
    output = folders["predictions"].parent / "report"
    return write_evaluation(evaluation, output, ReportOptions(**options))[3].read_text()


def test_the_worst_case_comes_first_and_shows_its_scan(folders: dict[str, Path]) -> None:
    text = report(folders, scans=folders["scans"])
    assert text.index('id="case-bad"') < text.index('id="case-good"')
    assert "plain ground" not in text
    assert text.count("data:image/png") == 2
    assert '<option value="0">bad</option>' in text


def test_a_phone_is_told_to_swipe_what_is_wider(folders: dict[str, Path]) -> None:
    text = report(folders, scans=folders["scans"])
    assert (
        '<p class="phone">Swipe the table to see all columns.</p>\n<table class="sortable">' in text
    )
    wide, phone = text.split("@media (max-width: 640px)")[:2]
    assert "Swipe the picture" not in wide
    assert "Swipe the picture to see all planes." in phone.split("@media print")[0]


def test_without_a_scan_the_ground_is_plain(folders: dict[str, Path]) -> None:
    text = report(folders)
    assert text.count("It is drawn on plain ground, because the scan was not found") >= 2


def test_a_scan_on_another_grid_is_not_drawn(folders: dict[str, Path]) -> None:
    write_image(folders["scans"] / "bad.nii.gz", Volume(np.zeros(SHAPE, np.float32), np.eye(4)))
    assert "another grid than the labels" in report(folders, scans=folders["scans"])


def test_a_scan_with_flipped_axes_is_turned(folders: dict[str, Path]) -> None:
    ramp = np.arange(40, dtype=np.float32)[None, ::-1, None, None]
    flipped = AFFINE @ np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = 39 * 2.0
    write_image(
        folders["scans"] / "bad.nii.gz", Volume(np.broadcast_to(ramp, SHAPE).copy(), flipped)
    )
    evaluation = evaluate(folders["predictions"], folders["references"], labels=LABELS)
    assert evaluation.pairs
    drawn = read_drawn_case(evaluation.pairs.pairs[0], evaluation.pairs, folders["scans"])
    assert (drawn.case, drawn.note) == ("bad", "")
    assert drawn.scan.array[0, :, 0, 0].tolist() == list(range(34))  # 10 voxels before the labels


def test_a_name_that_is_not_valid_utf8(folders: dict[str, Path]) -> None:
    for name in ("predictions", "references"):
        path = folders[name] / "bad.nii.gz"
        path.rename(path.with_name("b\udcff.nii.gz"))
    assert '<option value="0">b\\udcff</option>' in report(folders)


def test_a_scan_that_is_damaged_is_not_drawn(folders: dict[str, Path]) -> None:
    (folders["scans"] / "bad.nii.gz").write_bytes(b"damaged")
    assert "the scan cannot be read" in report(folders, scans=folders["scans"])


def test_fewer_pictures_or_none(folders: dict[str, Path]) -> None:
    assert report(folders, pictures=1).count("data:image/png") == 1
    text = report(folders, pictures=0)
    assert "data:image/png" not in text
    assert "<canvas" not in text


def test_what_was_recorded_is_beside_the_dice(folders: dict[str, Path]) -> None:
    text = report(folders)
    row = re.search(r'<tr><th scope="row"><a [^>]*>good</a></th>(.*?)</tr>', text)
    assert row
    cells = re.findall("<td[^>]*>(.*?)</td>", row[1])
    assert cells == ["1.000", "1.000", "0.875", "3", "1.000", "-", "-", "the scan is odd"]
    assert "net (hash abc123, of 2026-01-02) (1 of 2 cases); not recorded (1 of 2 cases)" in text


def test_a_missed_label_is_explained_and_counted(folders: dict[str, Path]) -> None:
    text = report(folders)
    assert "cyst was missed in 1 case of 2 (bad)" in text
    assert "cyst: hd95_mm, assd_mm are infinite in 1 case" in text
    assert (
        "Not everything could be measured: 1 times a label is in only one of the two masks" in text
    )


def test_a_failed_prediction_says_why(folders: dict[str, Path]) -> None:
    (folders["predictions"] / "bad.nii.gz").unlink()
    failed = {"bad": {"status": "failed", "message": "out of memory"}}
    (folders["predictions"] / "predictions.json").write_text(json.dumps(failed))
    assert "<li>bad failed: out of memory</li>" in report(folders)


def test_the_viewer_has_the_part_around_the_labels(folders: dict[str, Path]) -> None:
    text = report(folders, scans=folders["scans"])
    volumes = {
        name: nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(content)))
        for name, content in re.findall(r'id="volume-0-(\w+)">(.*?)</script>', text)
    }
    # 20 mm are 10 voxels along X and Y; along Z that is more than there are.
    assert {name: image.shape for name, image in volumes.items()} == dict.fromkeys(
        ("scan", "prediction", "reference"), (34, 24, 10)
    )
    reference = np.asarray(volumes["reference"].dataobj)
    first = np.argwhere(reference == 2)[0]
    assert (volumes["reference"].affine @ [*first, 1])[:3].tolist() == [40.0, 36.0, 12.0]
    assert not (np.asarray(volumes["prediction"].dataobj) == 2).any()
    scan = np.asarray(volumes["scan"].dataobj)
    assert scan[0, 0, 0] < scan[-1, 0, 0]


def test_cases_for_which_the_viewer_has_no_room_are_counted(folders: dict[str, Path]) -> None:
    assert "cases above are in the viewer" not in report(folders)
    viewed = ViewedCase("a", "a: Dice 0.5.", {}, {}, [], (0.5, 0.5, 0.5))
    assert "1 of the 2 cases above are in the viewer" in viewer_section([viewed], 2)


def test_regions_that_overlap_are_drawn_by_the_smallest(folders: dict[str, Path]) -> None:
    regions = {"all": (1, 2), "cyst": 2}
    evaluation = evaluate(folders["predictions"], folders["references"], labels=regions)
    assert evaluation.pairs
    drawn = read_drawn_case(evaluation.pairs.pairs[0], evaluation.pairs, None)
    assert np.bincount(drawn.reference.array.ravel())[1:].tolist() == [120, 48]


def test_a_picture_is_drawn_but_not_viewed(tmp_path: Path) -> None:
    square = np.zeros((1, 20, 20, 1), np.uint8)
    square[0, 5:10, 5:10] = 1
    for name in ("p", "r"):
        write_labels(tmp_path / f"{name}.png", Volume(square, np.eye(4), "px"))
    evaluation = evaluate(tmp_path / "p.png", tmp_path / "r.png", labels={"cell": 1})
    text = write_evaluation(evaluation, tmp_path / "report")[3].read_text()
    assert text.count("data:image/png") == 1
    assert "<canvas" not in text
    assert "limits of agreement (px)" in text
    assert "planes" not in text.split("Worst cases</h2>")[1].split("<figure")[0]


def test_the_page_asks_the_network_for_nothing(folders: dict[str, Path]) -> None:
    text = report(folders, scans=folders["scans"])
    outside = re.sub(r'<script type="application/[a-z]+" id=.*?</script>', "", text, flags=re.S)
    outside = re.sub(r"<pre>.*?</pre>", "", outside, flags=re.S)  # licenses name web pages
    assert "http" not in outside
    assert not re.search(r'(src|href)="(?!data:|#)', outside)


def test_niivue_is_the_pinned_build() -> None:
    folder = Path(__file__).parents[3] / "segkit" / "report" / "niivue"
    facts = json.loads((folder / "niivue.json").read_text())
    build = gzip.decompress((folder / "niivue.umd.js.gz").read_bytes())
    assert hashlib.sha256(build).hexdigest() == facts["sha256"]
    assert b"</script" not in build
    licenses = (folder / "LICENSES.txt").read_text()
    assert licenses.startswith(f"@niivue/niivue {facts['version']}\n\nBSD 2-Clause License")
