"""Tests of names for datasets whose layout has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segkit.dataset.dataset import Dataset
from segkit.dataset.layouts import read_dataset
from segkit.dataset.names_from_files import with_names
from segkit.errors import InputError
from segkit.io import read_labels, write_image, write_labels
from segkit.volume import Unit, Volume


def folders(
    root: Path, *values: int, channels: int = 1, suffix: str = ".nii", unit: Unit = "mm"
) -> Path:
    labels = np.array(values).reshape(1, -1, 1, 1)
    write_image(
        root / f"images/a{suffix}",
        Volume(np.zeros((channels, len(values), 1, 1), np.uint8), np.eye(4), unit),
    )
    write_labels(root / f"labels/a{suffix}", Volume(labels, np.eye(4), unit))
    return root


def test_one_value_is_foreground(tmp_path: Path) -> None:
    data = with_names(read_dataset(folders(tmp_path, 0, 255)))
    assert (data.labels, data.channels) == ({"foreground": 255}, ("image",))


def test_several_values_and_channels(tmp_path: Path) -> None:
    data = with_names(read_dataset(folders(tmp_path, 0, 9, 2, channels=3)))
    assert data.labels == {"label_2": 2, "label_9": 9}
    assert data.channels == ("channel_0", "channel_1", "channel_2")


def test_picture_with_colors(tmp_path: Path) -> None:
    assert with_names(
        read_dataset(folders(tmp_path, 0, 1, channels=3, suffix=".png", unit="px"))
    ).channels == (
        "red",
        "green",
        "blue",
    )


def test_given_names_stay(tmp_path: Path) -> None:
    data = with_names(
        read_dataset(folders(tmp_path, 0, 1, 2), channels=["CT"], labels={"liver": 2})
    )
    assert (data.labels, data.channels, data.subset) == ({"liver": 2}, ("CT",), True)


def test_no_foreground_anywhere(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected label maps with foreground, found only 0"):
        with_names(read_dataset(folders(tmp_path, 0, 0)))


def segmentations(root: Path, *names: dict[str, int] | None, ending: str = ".seg.nrrd") -> Path:
    """Write a case for each of ``names``, with voxels 0 and the values of the names, or 1 and 2."""
    for number, each in enumerate(names):
        values = [0, *(each.values() if each else (1, 2))]
        scan = np.zeros((1, len(values), 1, 1), np.uint8)
        write_image(root / f"images/p{number}.nrrd", Volume(scan, np.eye(4)))
        (root / "labels").mkdir(exist_ok=True)
        labels = Volume(np.array(values).reshape(1, -1, 1, 1), np.eye(4))
        write_labels(root / f"labels/p{number}{ending}", labels, names=each)
    return root


ONE, OTHER = {"organ": 1, "core": 2}, {"core": 1, "organ": 2}


def values_of_cases(data: Dataset) -> list[list[int]]:
    labels = [
        read_labels(case.label, data.value_names, subset=data.subset)
        for case in data.cases
        if case.label
    ]
    return [each.array.ravel().tolist() for each in labels]


def test_names_of_segments_become_the_labels_whatever_their_numbers(tmp_path: Path) -> None:
    data = with_names(read_dataset(segmentations(tmp_path, ONE, OTHER)))
    assert (data.labels, data.subset, data.notices) == (ONE, False, ())
    assert values_of_cases(data) == [[0, 1, 2], [0, 2, 1]]


def test_one_of_the_segments_alone(tmp_path: Path) -> None:
    data = with_names(read_dataset(segmentations(tmp_path, ONE, OTHER), labels={"core": 9}))
    assert values_of_cases(data) == [[0, 0, 9], [0, 9, 0]]


def test_names_that_the_user_gives_must_be_those_of_the_files(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="labels named as in the label files: organ, core, found liver"
    ):
        with_names(read_dataset(segmentations(tmp_path, ONE, OTHER), labels={"liver": 1}))


def test_files_without_names_are_taken_by_number(tmp_path: Path) -> None:
    data = with_names(read_dataset(segmentations(tmp_path, ONE, None, ONE)))
    assert (data.labels, values_of_cases(data)) == (ONE, [[0, 1, 2]] * 3)


def test_numbers_of_files_without_names_must_mean_something(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"p1\.seg\.nrrd: expected core to be 2, as in p0\.seg\.nrrd, found 1"
    ):
        with_names(read_dataset(segmentations(tmp_path, ONE, OTHER, None)))


def test_regions_are_made_of_numbers(tmp_path: Path) -> None:
    regions = {"whole": [1, 2], "inner": [2]}
    assert (
        with_names(
            read_dataset(segmentations(tmp_path / "a", ONE, ONE), regions=regions)
        ).value_names
        == {}
    )
    with pytest.raises(InputError, match="expected core to be 2"):
        with_names(read_dataset(segmentations(tmp_path / "b", ONE, OTHER), regions=regions))


def test_a_segment_called_ignore_is_not_annotated(tmp_path: Path) -> None:
    data = with_names(
        read_dataset(segmentations(tmp_path, {"organ": 1, "ignore": 2}, {"organ": 2, "ignore": 1}))
    )
    assert (data.labels, data.ignore) == ({"organ": 1}, 2)
    assert values_of_cases(data) == [[0, 1, 2], [0, 1, 2]]


def test_a_name_that_is_missing_somewhere_is_reported(tmp_path: Path) -> None:
    data = with_names(read_dataset(segmentations(tmp_path, ONE, {"organ": 5}, ONE)))
    assert data.notices == (
        "core is not named in 1 of 3 label maps that name their values (p1.seg.nrrd): it counts"
        " as absent there",
    )


def test_a_file_that_names_nothing_beside_others_is_reported(tmp_path: Path) -> None:
    data = with_names(read_dataset(segmentations(tmp_path, ONE, {}, ONE)))
    assert data.notices == (
        "1 of 3 label maps do not name their values (p1.seg.nrrd): they are read by number, as"
        " the other label maps number organ, core",
    )


def test_names_that_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"expected one spelling .* found 'core' in p0\.seg\.nrrd and 'Core' in p1\.seg",
    ):
        with_names(read_dataset(segmentations(tmp_path / "a", ONE, {"organ": 1, "Core": 2})))
    with pytest.raises(
        InputError, match=r"p2\.seg\.nrrd: expected .* such as 'core', found 'kore', which none of"
    ):
        with_names(read_dataset(segmentations(tmp_path / "b", ONE, ONE, {"organ": 1, "kore": 2})))


def test_label_maps_of_which_none_can_be_read(tmp_path: Path) -> None:
    data = read_dataset(folders(tmp_path, 0, 1))
    (tmp_path / "labels/a.nii").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"labels/a\.nii: expected"):
        with_names(data)
    assert with_names(data, skip_unreadable=True).labels == {}


def test_what_is_not_annotated_never_becomes_background(tmp_path: Path) -> None:
    unsure = {"organ": 1, "unsure": 3}, {"organ": 3, "unsure": 1}
    data = read_dataset(segmentations(tmp_path / "a", *unsure), ignore=3)
    assert (with_names(data).labels, values_of_cases(with_names(data))) == (
        {"organ": 1},
        [[0, 1, 3], [0, 1, 3]],
    )
    subset = with_names(read_dataset(tmp_path / "a", labels={"organ": 7}, ignore=3))
    assert values_of_cases(subset) == [[0, 7, 3], [0, 7, 3]]
    ignored = segmentations(tmp_path / "b", {"organ": 1, "ignore": 2}, {"organ": 2, "ignore": 1})
    data = with_names(read_dataset(ignored, labels={"organ": 2}))
    assert (data.ignore, values_of_cases(data)) == (3, [[0, 2, 3], [0, 2, 3]])
