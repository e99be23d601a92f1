"""Label files with names: labels are matched by name, not by number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.io import read_labels, write_labels
from segkit.io.segment_names import Extra, names_in, renumber
from segkit.volume import Volume

OURS = {"organ": 1, "core": 2}
THEIRS = {"core": 1, "organ": 2}


def written(path: Path, values: list[int], names: dict[str, int] | None = None) -> Path:
    labels = Volume(np.array(values, np.uint8).reshape(1, -1, 1, 1), np.eye(4))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_labels(path, labels, names=names)
    return path


def read(path: Path, names: dict[str, int], *, subset: bool = False) -> list[int]:
    found: list[int] = read_labels(path, names, subset=subset).array.ravel().tolist()
    return found


def test_names_of_a_file(tmp_path: Path) -> None:
    assert names_in(written(tmp_path / "a.seg.nrrd", [0, 1, 2], THEIRS)) == THEIRS
    assert names_in(written(tmp_path / "a.nii.gz", [0, 1, 2])) == {}
    made_up = {"Segment_1": 1, "label_2": 2, "foreground": 3, "7": 7}
    assert names_in(written(tmp_path / "b.nrrd", [0, 1], made_up)) == {}


def test_names_of_slicers_own_file(data_root: Path) -> None:
    names = names_in(data_root / "ct_chest/Segmentation.seg.nrrd")
    assert (names["ribs"], names["right lung"], len(names)) == (1, 5, 7)


def test_values_follow_the_names(tmp_path: Path) -> None:
    path = written(tmp_path / "a.seg.nrrd", [0, 1, 2, 2], THEIRS)
    assert read(path, OURS) == [0, 2, 1, 1]
    assert read(path, {"organ": 7, "core": 500}) == [0, 500, 7, 7]
    assert read(path, {"organ": 1}, subset=True) == [0, 0, 1, 1]
    assert read(path, {"label_1": 1, "label_2": 2}) == [0, 1, 2, 2]
    assert read(path, {}) == [0, 1, 2, 2]


def test_a_segment_without_voxels_may_have_any_name(tmp_path: Path) -> None:
    assert read(written(tmp_path / "a.nrrd", [0, 2], {"organ": 2, "draft": 9}), OURS) == [0, 1]


@pytest.mark.parametrize("subset", [False, True])
def test_a_name_that_is_written_differently(tmp_path: Path, subset: bool) -> None:
    path = written(tmp_path / "a.nrrd", [0, 1], {"Organ": 1})
    with pytest.raises(
        InputError, match=r"expected the same names as elsewhere: organ, core, found 'Organ'"
    ):
        read(path, OURS, subset=subset)


def test_a_value_without_name_whose_number_is_anothers(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nrrd", [0, 1, 2], {"organ": 2})
    with pytest.raises(
        InputError, match="because organ is 1 elsewhere and 2 here, found no name for the value 1"
    ):
        read(path, OURS)
    with pytest.raises(
        InputError,
        match="because core is 2 elsewhere and not named here, found no name for the value 2",
    ):
        read(written(tmp_path / "b.nrrd", [0, 3, 2], {"organ": 3}), OURS)
    assert read(written(tmp_path / "c.nrrd", [0, 3], {"organ": 3}), OURS) == [0, 1]


def test_one_name_for_two_values(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nrrd", [1], {"organ": 1, "core": 2})
    path.write_bytes(path.read_bytes().replace(b"_Name:=core", b"_Name:=organ"))
    with pytest.raises(
        InputError,
        match="expected a different name for each segment, found 'organ' for the values 1",
    ):
        names_in(path)


@pytest.mark.parametrize(
    ("extra", "values", "kept"), [("keep", [0, 1, 4], {"cyst": 4}), ("background", [0, 1, 0], {})]
)
def test_names_that_are_not_known(extra: Extra, values: list[int], kept: dict[str, int]) -> None:
    own = {"organ": 3, "cyst": 1}
    found = renumber(Path("a.nrrd"), np.array([0, 3, 1], np.uint8), own, OURS, extra=extra)
    assert (found[0].tolist(), found[1]) == (values, kept)


def test_no_name_in_common() -> None:
    with pytest.raises(InputError, match=r"found 'liver' \(value 1\)"):
        renumber(Path("a.nrrd"), np.array([0, 1]), {"liver": 1}, OURS, extra="keep")


def test_two_names_for_one_value(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nrrd", [0, 1], {"organ": 1, "core": 1})
    with pytest.raises(
        InputError,
        match="expected one name for each value, found 'organ' and 'core' for the value 1",
    ):
        read(path, OURS)


def test_names_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.nrrd: expected a file, found no such file"):
        names_in(tmp_path / "a.nrrd")
