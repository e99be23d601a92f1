"""Tests of evaluation on small files."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest

import segkit
from segkit.errors import InputError, UsageError
from segkit.evaluation import Evaluation, evaluate
from segkit.io import write_image, write_labels
from segkit.volume import Volume


def write(path: Path, start: int = 2, value: int = 1, spacing: float = 1.0) -> Path:
    """Return a cube of 4 voxels from ``start`` in a grid of 10."""
    array = np.zeros((1, 10, 10, 10), np.uint8)
    array[0, start : start + 4, 3:7, 3:7] = value
    write_labels(path, Volume(array, np.diag([spacing, spacing, spacing, 1.0])))
    return path


def picture(path: Path, rows: slice, value: int = 255) -> Path:
    array = np.zeros((1, 12, 12, 1), np.uint8)
    array[0, 2:6, rows] = value
    write_labels(path, Volume(array, np.eye(4), "px"))
    return path


def value_of(evaluation, metric: str, label: str = "label_1") -> float:
    (value,) = [row.value for row in evaluation.rows if (row.label, row.metric) == (label, metric)]
    return value


def test_two_files_a_voxel_apart(tmp_path: Path) -> None:
    found = evaluate(write(tmp_path / "p.nii.gz", 3), write(tmp_path / "r.nii.gz", 2, spacing=1.0))
    assert value_of(found, "dice") == 0.75
    assert value_of(found, "iou") == 0.6
    assert value_of(found, "hd95_mm") == 1.0
    assert value_of(found, "surface_dice") == 1.0
    assert value_of(found, "volume_difference_ml") == 0.0
    assert value_of(found, "assd_mm") == 40 / 112  # of 56 voxels each, all but 20 are in both
    assert value_of(found, "sensitivity") == value_of(found, "precision") == 0.75
    assert value_of(found, "relative_volume_error") == 0.0
    assert {row.case for row in found.rows} == {"r"}


def test_the_public_name_is_this_function() -> None:
    assert segkit.evaluate is evaluate


def test_tolerance(tmp_path: Path) -> None:
    files = (
        write(tmp_path / "p.nii.gz", 3, spacing=2.0),
        write(tmp_path / "r.nii.gz", 2, spacing=2.0),
    )
    assert value_of(evaluate(*files, tolerance_mm=1.0), "surface_dice") < 1
    assert value_of(evaluate(*files, tolerance_mm=2.0), "surface_dice") == 1


@pytest.mark.parametrize(("spacing", "warned"), [(1.0, False), (1.00005, False), (1.5, True)])
def test_a_tolerance_below_the_voxel_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spacing: float, warned: bool
) -> None:
    evaluate(
        write(tmp_path / "p.nii.gz", spacing=spacing), write(tmp_path / "r.nii.gz", spacing=spacing)
    )
    message = (
        "the tolerance of 1 mm is smaller than a voxel in 1 of 1 cases (edges of 1.5 or more), so"
    )
    assert (message in caplog.text) is warned


def test_a_negative_tolerance_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tolerance of surface Dice must be 0 mm or more"):
        evaluate(tmp_path, tmp_path, tolerance_mm=-1)


def test_folders_match_by_case_whatever_the_suffix(tmp_path: Path) -> None:
    for case in ("a", "b"):
        write(tmp_path / "p" / f"{case}.nrrd")
        write(tmp_path / "r" / f"{case}.nii.gz")
    write(tmp_path / "p" / "not_in_the_references.nii.gz")
    found = evaluate(tmp_path / "p", tmp_path / "r")
    assert list(found.summary["cases"]) == ["a", "b"]
    assert found.summary["mean"]["dice"] == 1


def test_a_preview_beside_the_label_map_is_not_compared(tmp_path: Path) -> None:
    write(tmp_path / "p" / "a_seg.nii.gz")
    picture(tmp_path / "p" / "a_seg.png", slice(0, 3))
    write(tmp_path / "r" / "a.nii.gz")
    assert evaluate(tmp_path / "p", tmp_path / "r").summary["mean"]["dice"] == 1


def test_of_several_references_of_a_case_a_volume_is_used_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "p" / "a.nii.gz")
    write(tmp_path / "r" / "a.nii.gz")
    picture(tmp_path / "r" / "a.png", slice(0, 3))
    assert evaluate(tmp_path / "p", tmp_path / "r").summary["mean"]["dice"] == 1
    assert "several references" not in caplog.text
    write(tmp_path / "r" / "a.nrrd", start=4)
    assert evaluate(tmp_path / "p", tmp_path / "r").summary["mean"]["dice"] == 1
    assert "1 of the cases have several references, of which one is used: a.nii.gz of 2" in (
        caplog.text
    )


def test_references_without_prediction_are_reported_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "p" / "a.nii.gz")
    for case in ("a", "b"):
        write(tmp_path / "r" / f"{case}.nii.gz")
    with caplog.at_level(logging.WARNING):
        found = evaluate(tmp_path / "p", tmp_path / "r")
    assert "1 of 2 references have no prediction: b" in caplog.text
    assert found.summary["references_without_prediction"] == ["b"]


def test_predictions_without_reference_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "r/a.nii.gz")
    write(tmp_path / "p/a_seg.nii.gz")
    write(tmp_path / "p/typo.nii.gz")
    picture(tmp_path / "p/a_seg_preview.png", slice(2, 8))
    evaluate(tmp_path / "p", tmp_path / "r")
    assert "predictions without a reference: typo\n" in caplog.text


def test_previews_beside_masks_of_pictures_are_no_predictions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (
        "r/a.png",
        "p/a_seg.png",
        "p/a_seg_preview.png",
        "p/a_seg_uncertainty.tif",
        "p/odd_preview.png",
    ):
        picture(tmp_path / name, slice(2, 8))
    evaluate(tmp_path / "p", tmp_path / "r")
    assert "whose label map is gone: odd_preview\n" in caplog.text
    assert "without a reference" not in caplog.text


def test_a_map_of_uncertainty_without_its_label_map_is_no_prediction(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("p/a.nii.gz", "r/a.nii.gz", "p/b_uncertainty.nii.gz", "p/c_probabilities.nrrd"):
        write(tmp_path / name)
    evaluate(tmp_path / "p", tmp_path / "r")
    assert "whose label map is gone: b_uncertainty, c_probabilities\n" in caplog.text
    assert "reference" not in caplog.text
    (tmp_path / "p/a.nii.gz").unlink()
    with pytest.raises(InputError, match="found no label map"):
        evaluate(tmp_path / "p", tmp_path / "r")


def test_a_case_in_two_formats_is_not_reported_as_unpaired(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("p/a.mha", "p/a.nii.gz", "r/a.nii.gz"):
        write(tmp_path / name)
    evaluate(tmp_path / "p", tmp_path / "r")
    assert not caplog.text


def test_no_case_in_common(tmp_path: Path) -> None:
    write(tmp_path / "p" / "x.nii.gz")
    write(tmp_path / "r" / "a.nii.gz")
    with pytest.raises(InputError, match=r"named as the cases of .*: a, found x"):
        evaluate(tmp_path / "p", tmp_path / "r")


def test_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        evaluate(tmp_path / "p.nii.gz", write(tmp_path / "r.nii.gz"))


def test_another_grid(tmp_path: Path) -> None:
    files = write(tmp_path / "p.nii.gz", spacing=2.0), write(tmp_path / "r.nii.gz")
    with pytest.raises(
        InputError,
        match=r"a prediction on the grid of the reference .*10 x 10 x 10 voxels of 1 x 1 x 1"
        r" mm.*in another place",
    ):
        evaluate(*files)


def test_another_shape(tmp_path: Path) -> None:
    small = Volume(np.zeros((1, 4, 4, 4), np.uint8), np.eye(4))
    write_labels(tmp_path / "p.nii.gz", small)
    with pytest.raises(InputError, match="found another grid: 4 x 4 x 4 voxels"):
        evaluate(tmp_path / "p.nii.gz", write(tmp_path / "r.nii.gz"))


def test_a_label_that_only_one_has(tmp_path: Path) -> None:
    found = evaluate(write(tmp_path / "p.nii.gz", value=2), write(tmp_path / "r.nii.gz", value=1))
    for label in ("label_1", "label_2"):
        assert value_of(found, "dice", label) == value_of(found, "surface_dice", label) == 0
        assert value_of(found, "hd95_mm", label) == math.inf
    assert found.summary["mean"]["hd95_mm"] is None
    assert found.summary["counts"]["label_1"]["reference_only"] == 1
    assert found.summary["counts"]["label_2"]["prediction_only"] == 1


def test_named_labels_are_the_only_ones(tmp_path: Path) -> None:
    files = write(tmp_path / "p.nii.gz", value=2), write(tmp_path / "r.nii.gz", value=1)
    found = evaluate(*files, labels={"organ": 1, "absent": 9})
    assert {row.label for row in found.rows} == {"organ"}
    assert found.summary["labels"]["absent"]["dice"] is None


def test_pictures_are_measured_in_px(tmp_path: Path) -> None:
    found = evaluate(
        picture(tmp_path / "p.png", slice(3, 8)), picture(tmp_path / "r.tif", slice(2, 7))
    )
    assert value_of(found, "hd95_px", "label_255") == 1
    assert value_of(found, "volume_difference_px", "label_255") == 0
    assert found.summary["unit"] == ["px"]


def decathlon(folder: Path) -> Path:
    for case in ("a", "b"):
        write(folder / "labelsTr" / f"{case}.nii.gz", value=5)
        scan = Volume(np.zeros((1, 10, 10, 10), np.int16), np.eye(4))
        write_image(folder / "imagesTr" / f"{case}.nii.gz", scan)
    pairs = [
        {"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"}
        for case in ("a", "b")
    ]
    description = {
        "name": "d",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "5": "liver"},
        "training": pairs,
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def test_a_dataset_gives_names_and_only_predicted_cases_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = decathlon(tmp_path / "d")
    write(tmp_path / "p" / "b.nii.gz", value=5)
    found = evaluate(tmp_path / "p", dataset)
    assert found.summary["labels"]["liver"]["dice"] == 1
    assert list(found.summary["cases"]) == ["b"]
    assert not caplog.text


def test_label_maps_beside_a_dataset_json_take_its_names(tmp_path: Path) -> None:
    dataset = decathlon(tmp_path / "d")
    assert (
        evaluate(dataset / "labelsTr", dataset / "labelsTr").summary["labels"]["liver"]["dice"] == 1
    )


def test_a_broken_dataset_json_costs_only_the_names(tmp_path: Path) -> None:
    dataset = decathlon(tmp_path / "d")
    (dataset / "dataset.json").write_text("{")
    assert (
        evaluate(dataset / "labelsTr", dataset / "labelsTr").summary["labels"]["label_5"]["dice"]
        == 1
    )


def test_an_unknown_value_is_still_a_label(tmp_path: Path) -> None:
    write(tmp_path / "p" / "a.nii.gz", value=3)
    found = evaluate(tmp_path / "p", decathlon(tmp_path / "d"))
    assert (
        found.summary["labels"]["label_3"]["dice"] == found.summary["labels"]["liver"]["dice"] == 0
    )


def test_a_dataset_without_names_is_named_as_in_training(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        write(tmp_path / "d" / folder / "a.nii.gz", value=7)
    found = evaluate(write(tmp_path / "a.nii.gz", value=7), tmp_path / "d")
    assert found.summary["labels"]["foreground"]["dice"] == 1


def nested(path: Path, values: list[int]) -> Path:
    """Write a row of voxels with these values, in a grid of 3 x 3."""
    array = np.zeros((1, len(values), 3, 3), np.uint8)
    array[0, :, 1, 1] = values
    write_labels(path, Volume(array, np.eye(4)))
    return path


def test_regions_by_hand(tmp_path: Path) -> None:
    files = (
        nested(tmp_path / "p.nii.gz", [2, 2, 1, 0, 0]),
        nested(tmp_path / "r.nii.gz", [2, 1, 1, 1, 0]),
    )
    found = evaluate(*files, labels={"whole": (1, 2), "core": 2})
    assert value_of(found, "dice", "whole") == pytest.approx(2 * 3 / 7)
    assert value_of(found, "dice", "core") == pytest.approx(2 / 3)
    assert value_of(found, "volume_difference_ml", "whole") == pytest.approx(-0.001)


def test_what_nobody_annotated_is_left_out_on_both_sides(tmp_path: Path) -> None:
    files = (
        nested(tmp_path / "p.nii.gz", [1, 1, 1, 1, 0]),
        nested(tmp_path / "r.nii.gz", [1, 1, 9, 9, 0]),
    )
    found = evaluate(*files, ignore=9)
    assert list(found.summary["labels"]) == ["label_1"]
    assert (value_of(found, "dice"), found.summary["ignore"]) == (1, 9)
    assert evaluate(*files).summary["labels"]["label_1"]["dice"] == pytest.approx(2 / 3)


def blocks(reference: np.ndarray, folder: Path) -> Evaluation:
    """Evaluate a prediction of 4 x 4 x 9 voxels in a grid of 10 x 10 x 9 against ``reference``."""
    predicted = np.zeros((1, 10, 10, 9), np.uint8)
    predicted[:, 3:7, 3:7] = 1
    for name, array in (("p", predicted), ("r", reference)):
        write_labels(folder / f"{name}.nii.gz", Volume(array, np.diag([1.0, 1.0, 3.0, 1.0])))
    return evaluate(folder / "p.nii.gz", folder / "r.nii.gz", labels={"label_1": 1}, ignore=9)


@pytest.mark.parametrize("annotated", [slice(0, 9, 2), slice(0, 9, 4), slice(4, 5)])
def test_slices_that_are_annotated_one_by_one_have_contours(
    tmp_path: Path, annotated: slice
) -> None:
    reference = np.full((1, 10, 10, 9), 9, np.uint8)
    reference[..., annotated] = 0
    reference[:, 2:8, 2:8, annotated] = 1  # one voxel larger all round
    # Contours of 12 and 20 voxels: all 12 have a neighbor in the other one, of the 20 all but the 4
    # corners.
    assert value_of(blocks(reference, tmp_path), "surface_dice") == 28 / 32


def test_a_cut_through_a_scan_is_no_surface(tmp_path: Path) -> None:
    reference = np.zeros((1, 10, 10, 9), np.uint8)
    reference[:, 5:7, 3:5] = 1  # a quarter of the prediction
    reference[:, :, 5:] = 9
    # In each of 7 inner slices 6 of 8 known voxels of the prediction have a known neighbor outside,
    # and all 4 of the reference; 4 of those 6 lie within 1 mm. In both end slices all 8 count, 6 of
    # them near.
    assert value_of(blocks(reference, tmp_path), "surface_dice") == pytest.approx(
        (7 * 8 + 2 * 10) / (7 * 10 + 2 * 12)
    )
    assert value_of(blocks(reference, tmp_path), "hd95_mm") == 2.0


def test_a_surface_that_nobody_annotated_has_no_distance(tmp_path: Path) -> None:
    reference = np.full((1, 10, 10, 9), 9, np.uint8)
    reference[:, 4:6, 4:6, 4:6] = 1  # inside the prediction
    found = blocks(reference, tmp_path)
    volumes = {"volume_difference_ml", "relative_volume_error"}
    assert {row.metric for row in found.rows} == {
        "dice",
        "iou",
        "sensitivity",
        "precision",
    } | volumes
    reference[reference == 1] = 0  # now the reference is empty
    assert value_of(blocks(reference, tmp_path), "hd95_mm") == np.inf


def test_a_dataset_says_what_its_regions_and_its_ignore_label_are(tmp_path: Path) -> None:
    reference = nested(tmp_path / "d/labelsTr/c.nii.gz", [2, 1, 1, 9, 0])
    write_image(
        tmp_path / "d/imagesTr/c_0000.nii.gz", Volume(np.zeros((1, 5, 3, 3), np.int16), np.eye(4))
    )
    labels = {"background": 0, "whole": [1, 2], "core": 2, "ignore": 9}
    content = {"channel_names": {"0": "MR"}, "labels": labels, "regions_class_order": [1, 2]}
    (tmp_path / "d/dataset.json").write_text(json.dumps(content))
    nested(tmp_path / "p/c.nii.gz", [2, 1, 1, 1, 0])
    for references in (tmp_path / "d", reference.parent):
        found = evaluate(tmp_path / "p", references)
        assert list(found.summary["labels"]) == ["whole", "core"]
        assert (found.summary["mean"]["dice"], found.summary["ignore"]) == (1, 9)


@pytest.mark.parametrize("labels", [{"a": (1, 2), "b": (2, 1)}, {"a": (0, 1)}, {"a": ()}])
def test_regions_that_make_no_sense(tmp_path: Path, labels: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(UsageError, match="labels must have different values"):
        evaluate(tmp_path, tmp_path, labels=labels)


def record(path: Path, labels: dict[str, int], regions: dict[str, list[int]] | None = None) -> None:
    content: dict[str, object] = {
        "versions": {},
        "labels": {name: {"value": value} for name, value in labels.items()},
    }
    path.write_text(json.dumps({**content, "regions": regions} if regions else content))


@pytest.mark.parametrize("name", ["a.json", "a.nii.gz.json"])
def test_names_of_the_records_beside_the_predictions(tmp_path: Path, name: str) -> None:
    write(tmp_path / "p/a.nii.gz", value=5)
    write(tmp_path / "r/a.nii.gz", value=5)
    record(tmp_path / "p" / name, {"liver": 5, "cyst": 7})
    found = evaluate(tmp_path / "p", tmp_path / "r").summary["labels"]
    assert (list(found), found["liver"]["dice"]) == (["liver", "cyst"], 1)
    assert list(evaluate(tmp_path / "r", tmp_path / "p").summary["labels"]) == ["liver", "cyst"]
    assert list(evaluate(tmp_path / "p", tmp_path / "r", labels={"five": 5}).summary["labels"]) == [
        "five"
    ]


def test_regions_of_the_records(tmp_path: Path) -> None:
    nested(tmp_path / "p/a.nii.gz", [2, 2, 1, 0])
    nested(tmp_path / "r/a.nii.gz", [2, 1, 1, 1])
    record(tmp_path / "p/a.json", {"whole": 1, "core": 2}, {"whole": [1, 2], "core": [2]})
    labels = evaluate(tmp_path / "p", tmp_path / "r").summary["labels"]
    assert labels["whole"]["dice"] == pytest.approx(2 * 3 / 7)
    assert labels["core"]["dice"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"liver": 5}, {"liver": 7}, "give 'liver' different values"),
        ({"liver": 5}, {"spleen": 5}, "give one value two names"),
    ],
)
def test_records_of_different_models(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    first: dict[str, int],
    second: dict[str, int],
    message: str,
) -> None:
    for case, labels in (("a", first), ("b", second)):
        write(tmp_path / "p" / f"{case}.nii.gz", value=5)
        write(tmp_path / "r" / f"{case}.nii.gz", value=5)
        record(tmp_path / "p" / f"{case}.json", labels)
    assert list(evaluate(tmp_path / "p", tmp_path / "r").summary["labels"]) == ["label_5"]
    assert message in caplog.text


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"labels": {"liver": {"value": 5}}}', '{"versions": 1, "labels": [5]}']
)
def test_another_json_is_no_record(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    write(tmp_path / "p/a.nii.gz", value=5)
    write(tmp_path / "r/a.nii.gz", value=5)
    (tmp_path / "p/a.json").write_text(content)
    assert list(evaluate(tmp_path / "p", tmp_path / "r").summary["labels"]) == ["label_5"]
    assert not caplog.text


def test_records_that_name_otherwise_than_the_dataset(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "p/b.nii.gz", value=5)
    record(tmp_path / "p/b.json", {"spleen": 5, "liver": 6})
    for references in (decathlon(tmp_path / "d"), tmp_path / "d/labelsTr"):
        caplog.clear()
        assert "liver" in evaluate(tmp_path / "p", references).summary["labels"]
        assert "give other values to liver (6, and 5 in the references)" in caplog.text


def test_a_dataset_in_the_place_of_predictions(tmp_path: Path) -> None:
    dataset = decathlon(tmp_path / "d")
    write(tmp_path / "p/b.nii.gz", value=5)
    with pytest.raises(
        InputError, match=r"found a dataset.*The order is PREDICTIONS REFERENCES\. Swap the two"
    ):
        evaluate(dataset, tmp_path / "p")
    with pytest.raises(InputError, match=r"found a dataset.*Give the folder of the predictions"):
        evaluate(dataset, dataset)


def test_a_folder_compared_with_itself_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        write(tmp_path / name / "case.nii.gz", value=5)
    evaluate(tmp_path / "a", tmp_path / "b")
    assert "itself" not in caplog.text
    (tmp_path / "link").symlink_to(tmp_path / "a")
    evaluate(tmp_path / "a", tmp_path / "link")
    assert (
        f"{tmp_path / 'a'} is given as predictions and as references: it is compared with itself"
        in caplog.text
    )


def test_swapped_folders_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = decathlon(tmp_path / "d")
    write(tmp_path / "p/b.nii.gz", value=5)
    evaluate(dataset / "labelsTr", tmp_path / "p")
    assert (
        f"{dataset / 'labelsTr'} lies in a dataset: are predictions and references swapped?"
        in caplog.text
    )
    caplog.clear()
    write(tmp_path / "r/b.nii.gz", value=5)
    (tmp_path / "p/predictions.json").write_text("{}")
    evaluate(tmp_path / "r", tmp_path / "p")
    assert (
        f"{tmp_path / 'p'} holds results of a prediction: are predictions and references swapped?"
        in caplog.text
    )
    caplog.clear()
    evaluate(tmp_path / "p", tmp_path / "r")
    evaluate(dataset / "labelsTr", dataset / "labelsTr")
    assert "swapped?" not in caplog.text


def test_the_ignore_label_in_predictions_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = nested(tmp_path / "p.nii.gz", [1, 9, 9, 0]), nested(tmp_path / "r.nii.gz", [1, 1, 1, 0])
    evaluate(*files, ignore=9)
    assert "1 predictions have the ignore label 9, which no model predicts (r)" in caplog.text
    caplog.clear()
    evaluate(*reversed(files), ignore=9)
    assert not caplog.text


def test_most_predictions_without_a_reference(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for case in "abc":
        write(tmp_path / "p" / f"{case}.nii.gz")
    write(tmp_path / "r/a.nii.gz")
    evaluate(tmp_path / "p", tmp_path / "r")
    assert "predictions without a reference: b, c" in caplog.text
    assert "most predictions in" in caplog.text


def test_what_lies_beside_references_is_no_reference(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("p/a.nii.gz", "r/a.nii.gz", "r/a_uncertainty.nii.gz", "r/a_probabilities.nii.gz"):
        write(tmp_path / name)
    assert evaluate(tmp_path / "p", tmp_path / "r").summary["references_without_prediction"] == []
    assert not caplog.text


def test_cases_of_a_dataset_that_failed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "p/b.nii.gz", value=5)
    outcomes = {"a": {"status": "failed"}, "b": {"status": "done"}, "other": {"status": "failed"}}
    (tmp_path / "p/predictions.json").write_text(json.dumps(outcomes))
    found = evaluate(tmp_path / "p", decathlon(tmp_path / "d")).summary
    assert (found["references_without_prediction"], found["references_in_all"]) == (["a"], 2)
    assert "cases of the dataset that failed to be predicted: a" in caplog.text


def test_labels_that_are_numbered_differently_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "p/a.nii.gz", 3, value=255)
    write(tmp_path / "r/a.nii.gz", 2)
    evaluate(tmp_path / "p", tmp_path / "r")
    assert "1 of 1 predictions overlap with their reference, but no label does (a)" in caplog.text
    caplog.clear()
    evaluate(tmp_path / "p", tmp_path / "r", labels={"a": 1})
    evaluate(write(tmp_path / "far.nii.gz", 6, value=255), tmp_path / "r/a.nii.gz")
    assert "no label does" not in caplog.text
