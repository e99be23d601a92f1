"""Tests that label maps that name their values are compared by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.evaluation import Evaluation, evaluate
from segkit.io import write_labels
from segkit.volume import Volume

OURS = {"organ": 1, "core": 2}
THEIRS = {"core": 1, "organ": 2}


def written(path: Path, names: dict[str, int] | None, *values: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    write_labels(path, Volume(np.array(values).reshape(1, -1, 1, 1), np.eye(4)), names=names)
    return path


def dice(evaluation: Evaluation) -> dict[str, float]:
    return {row.label: row.value for row in evaluation.rows if row.metric == "dice"}


def test_two_files_that_number_their_names_differently(tmp_path: Path) -> None:
    predicted = written(tmp_path / "a.nrrd", THEIRS, 0, 1, 2, 2)
    reference = written(tmp_path / "b.seg.nrrd", OURS, 0, 2, 1, 1)
    assert dice(evaluate(predicted, reference)) == {"organ": 1.0, "core": 1.0}


def test_a_folder_pairs_with_segmentations_of_slicer(tmp_path: Path) -> None:
    for number, names in enumerate((OURS, THEIRS)):
        written(tmp_path / f"predicted/p{number}.nrrd", OURS, 0, 1, 2, 2)
        written(
            tmp_path / f"true/p{number}.seg.nrrd",
            names,
            0,
            names["organ"],
            names["core"],
            names["core"],
        )
    assert dice(evaluate(tmp_path / "predicted", tmp_path / "true")) == {"organ": 1.0, "core": 1.0}


def test_names_that_are_given(tmp_path: Path) -> None:
    predicted = written(tmp_path / "a.nii.gz", None, 0, 9, 9, 9)
    reference = written(tmp_path / "b.seg.nrrd", THEIRS, 0, 2, 2, 1)
    assert dice(evaluate(predicted, reference, labels={"organ": 9})) == {"organ": 0.8}
    with pytest.raises(InputError, match=r"b\.seg\.nrrd: .* found 'organ' \(value 2\)"):
        evaluate(predicted, reference, labels={"Organ": 9})


def test_what_only_the_prediction_names_keeps_its_name(tmp_path: Path) -> None:
    predicted = written(tmp_path / "a.nrrd", {"cyst": 1, "organ": 2}, 0, 1, 2)
    reference = written(tmp_path / "b.nrrd", {"organ": 1}, 0, 0, 1)
    assert dice(evaluate(predicted, reference)) == {"organ": 1.0, "cyst": 0.0}


def test_no_name_in_common(tmp_path: Path) -> None:
    predicted = written(tmp_path / "a.nrrd", {"liver": 1}, 0, 1)
    reference = written(tmp_path / "b.nrrd", {"organ": 1}, 0, 1)
    with pytest.raises(
        InputError, match=r"a\.nrrd: expected the same names as elsewhere: organ, found 'liver'"
    ):
        evaluate(predicted, reference)


def test_label_maps_of_other_formats_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for folder in ("predicted", "true"):
        written(tmp_path / folder / "a.nii", None, 0, 1)
    (tmp_path / "true/b.mgz").touch()
    evaluate(tmp_path / "predicted", tmp_path / "true")
    assert "1 file is left out, because the format is not supported: true/b.mgz" in caplog.text


def test_references_that_number_their_names_differently_need_names_in_the_predictions(
    tmp_path: Path,
) -> None:
    for number, names in enumerate((OURS, THEIRS)):
        written(tmp_path / f"predicted/p{number}.nii.gz", None, 0, 1, 2, 2)
        written(
            tmp_path / f"true/p{number}.seg.nrrd",
            names,
            0,
            names["organ"],
            names["core"],
            names["core"],
        )
    with pytest.raises(
        InputError,
        match=r"p1\.seg\.nrrd: expected core to be 2, as in p0\.seg\.nrrd, found 1.*--labels",
    ):
        evaluate(tmp_path / "predicted", tmp_path / "true")
    found = evaluate(tmp_path / "predicted", tmp_path / "true", labels=OURS)
    assert dice(found) == {"organ": 1.0, "core": 1.0}


def test_ignored_segments_of_a_dataset_are_left_out_whatever_their_number(tmp_path: Path) -> None:
    for number, unsure in enumerate((2, 1)):
        written(tmp_path / f"predicted/p{number}.nii.gz", None, 0, 1, 1)
        names = {"organ": 3 - unsure, "ignore": unsure}
        (tmp_path / "set/labels").mkdir(parents=True, exist_ok=True)
        written(tmp_path / f"set/labels/p{number}.seg.nrrd", names, 0, 3 - unsure, unsure)
        written(tmp_path / f"set/images/p{number}.nrrd", None, 0, 1, 1)
    for labels in (None, {"organ": 1}):
        assert dice(evaluate(tmp_path / "predicted", tmp_path / "set", labels=labels)) == {
            "organ": 1.0
        }


def test_records_beside_predictions_say_which_value_each_name_has(tmp_path: Path) -> None:
    for number, names in enumerate((OURS, {"core": 1, "organ": 2, "cyst": 3})):
        written(tmp_path / f"predicted/p{number}.nii.gz", None, 0, 9, 8, 8)
        record = {"versions": {}, "labels": {"organ": {"value": 9}, "core": {"value": 8}}}
        (tmp_path / f"predicted/p{number}.json").write_text(json.dumps(record))
        written(
            tmp_path / f"true/p{number}.seg.nrrd",
            names,
            0,
            names["organ"],
            names["core"],
            names["core"],
        )
    assert dice(evaluate(tmp_path / "predicted", tmp_path / "true")) == {"organ": 1.0, "core": 1.0}


@pytest.mark.parametrize("names_in", ["record", "prediction", None])
def test_predictions_name_the_labels_of_a_dataset_without_names(
    tmp_path: Path, names_in: str | None
) -> None:
    """Such a dataset is given the names label_1 and label_2, which nobody chose."""
    (tmp_path / "set").mkdir()
    written(tmp_path / "set/images/p.nii.gz", None, 0, 1, 1, 1)
    written(tmp_path / "set/labels/p.nii.gz", None, 0, 1, 2, 2)
    names = OURS if names_in == "prediction" else None
    written(tmp_path / "predicted/p.nrrd", names, 0, 1, 2, 0)
    if names_in == "record":
        record = {"versions": {}, "labels": {name: {"value": n} for name, n in OURS.items()}}
        (tmp_path / "predicted/p.json").write_text(json.dumps(record))
    organ, core = OURS if names_in else ("label_1", "label_2")
    found = dice(evaluate(tmp_path / "predicted", tmp_path / "set"))
    assert found == {organ: 1.0, core: pytest.approx(2 / 3)}


def test_predictions_that_number_one_name_differently(tmp_path: Path) -> None:
    """References with numbers only cannot decide which of two values is meant."""
    for number, names in enumerate((OURS, THEIRS)):
        written(
            tmp_path / f"p/p{number}.seg.nrrd",
            names,
            0,
            names["organ"],
            names["core"],
            names["core"],
        )
        written(
            tmp_path / f"true/p{number}.nrrd", None, 0, OURS["organ"], OURS["core"], OURS["core"]
        )
    with pytest.raises(
        InputError, match=r"p1\.seg\.nrrd: expected .* as in p0\.seg\.nrrd.*with --labels NAME"
    ):
        evaluate(tmp_path / "p", tmp_path / "true")
    found = evaluate(tmp_path / "p", tmp_path / "true", labels=OURS)
    assert dice(found) == {"organ": 1.0, "core": 1.0}
