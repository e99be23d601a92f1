"""Tests of reading each layout of a dataset, and of what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segkit.dataset.layouts import read_dataset
from segkit.errors import InputError


def touch(folder: Path, *names: str) -> None:
    """Write empty files, because layouts are read without voxels."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def describe(folder: Path, **content: Any) -> Path:
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def decathlon(folder: Path, **changes: Any) -> Path:
    touch(folder, "imagesTr/a.nii.gz", "labelsTr/a.nii.gz")
    content = {
        "name": "Liver",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "liver", "2": "tumour"},
        "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}],
    }
    return describe(folder, **(content | changes))


def nnunet(folder: Path, **changes: Any) -> Path:
    touch(folder, *(f"imagesTr/c{i}_000{channel}.nii.gz" for i in (10, 2) for channel in (0, 1)))
    touch(folder, "labelsTr/c2.nii.gz", "labelsTr/c10.nii.gz")
    content = {
        "channel_names": {"1": "T2", "0": "T1"},
        "labels": {"background": 0, "brain": 3},
        "file_ending": ".nii.gz",
    }
    return describe(folder, **(content | changes))


def pair_of_folders(folder: Path) -> Path:
    touch(folder, "images/10.tif", "images/2.tif", "labels/2.png", "labels/10.png")
    return folder


def table(folder: Path, text: str) -> Path:
    touch(folder, "a.nii.gz", "b.nii.gz", "seg.nii.gz")
    (folder / "cases.csv").write_text(text, encoding="utf-8")
    return folder / "cases.csv"


def test_decathlon(tmp_path: Path) -> None:
    data = read_dataset(decathlon(tmp_path))
    assert (data.name, data.channels, data.labels, data.subset) == (
        "Liver",
        ("CT",),
        {"liver": 1, "tumour": 2},
        False,
    )
    (case,) = data.cases
    assert (case.id, case.images, case.label) == (
        "a",
        (tmp_path / "imagesTr/a.nii.gz",),
        tmp_path / "labelsTr/a.nii.gz",
    )


def test_decathlon_by_its_json_file_and_with_four_channels_in_one_file(tmp_path: Path) -> None:
    folder = decathlon(tmp_path, modality={"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"})
    data = read_dataset(folder / "dataset.json")
    assert (data.root, data.channels) == (folder, ("FLAIR", "T1w", "t1gd", "T2w"))


def test_nnunet(tmp_path: Path) -> None:
    data = read_dataset(nnunet(tmp_path))
    assert (data.name, data.channels, data.labels) == (tmp_path.name, ("T1", "T2"), {"brain": 3})
    assert [case.id for case in data.cases] == ["c2", "c10"]
    assert [path.name for path in data.cases[0].images] == ["c2_0000.nii.gz", "c2_0001.nii.gz"]


def test_nnunet_without_description(tmp_path: Path) -> None:
    (nnunet(tmp_path) / "dataset.json").unlink()
    data = read_dataset(tmp_path, channels=["T1", "T2"])
    assert (data.channels, data.labels) == (("T1", "T2"), {})


def test_two_folders_in_natural_order(tmp_path: Path) -> None:
    data = read_dataset(pair_of_folders(tmp_path))
    assert [case.id for case in data.cases] == ["2", "10"]
    assert data.cases[1].label == tmp_path / "labels/10.png"
    assert (data.channels, data.labels) == ((), {})


def test_table(tmp_path: Path) -> None:
    text = (
        "case,image:FLAIR,image:T1,label,patient,group,split\n"
        "x,a.nii.gz,b.nii.gz,seg.nii.gz,p1,site A,0\n\n"
    )
    data = read_dataset(table(tmp_path, text))
    (case,) = data.cases
    assert (data.name, data.channels) == (tmp_path.name, ("FLAIR", "T1"))
    assert (case.patient, case.group, case.split) == ("p1", "site A", "0")
    assert case.images == (tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")


def test_table_with_byte_order_mark_spaces_and_semicolons(tmp_path: Path) -> None:
    data = read_dataset(table(tmp_path, "\ufeffcase; image; label\r\nx; a.nii.gz; seg.nii.gz\r\n"))
    assert (data.cases[0].id, data.cases[0].images, data.channels) == (
        "x",
        (tmp_path / "a.nii.gz",),
        (),
    )


def test_a_split_column_that_is_not_used_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "case,image,label,split\nx,a.nii.gz,seg.nii.gz,0\ny,b.nii.gz,seg.nii.gz,train\n"
    read_dataset(table(tmp_path, text))
    assert (
        "the column split is not used, because its values are not whole numbers in every line"
        in caplog.text
    )


def test_tables_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="expected columns with different names, found 'image:T1' twice"
    ):
        read_dataset(
            table(tmp_path, "case,image:T1,image:T1,label\nx,a.nii.gz,b.nii.gz,seg.nii.gz\n")
        )
    with pytest.raises(
        InputError, match=r"expected CSV in UTF-8, found field larger than field limit"
    ):
        read_dataset(table(tmp_path, f"case,image,label\n{'x' * 200_000},a.nii.gz,seg.nii.gz\n"))


def test_a_suffix_must_be_a_word(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"expected a suffix such as \"\.nii\.gz\" under file_ending, found 5"
    ):
        read_dataset(nnunet(tmp_path, file_ending=5))


def test_given_labels_are_a_subset_and_given_channels_win(tmp_path: Path) -> None:
    data = read_dataset(decathlon(tmp_path), channels=["HU"], labels={"liver": 1})
    assert (data.channels, data.labels, data.subset) == (("HU",), {"liver": 1}, True)


def test_name_can_be_part_of_a_path(tmp_path: Path) -> None:
    assert read_dataset(decathlon(tmp_path, name="../a b/ü")).name == "a_b_ü"


def test_path_with_odd_characters(tmp_path: Path) -> None:
    folder = tmp_path / "a b, c=d (é)"
    folder.mkdir()
    assert read_dataset(decathlon(folder)).root == folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": []}, "expected cases, found none"),
        ({"training": ["a.nii.gz"]}, "a list of pairs"),
        (
            {"training": [{"image": "no.nii.gz", "label": "labelsTr/a.nii.gz"}]},
            r"found 1 missing: .*no\.nii\.gz",
        ),
        (
            {"training": [{"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}] * 2},
            "found 'a' twice",
        ),
    ],
)
def test_damaged_decathlon(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_dataset(decathlon(tmp_path, **changes))


def test_many_missing_files_are_counted(tmp_path: Path) -> None:
    pairs = [{"image": f"{i}.nii", "label": "labelsTr/a.nii.gz"} for i in range(5)]
    with pytest.raises(InputError, match=r"5 missing: .* and 2 more"):
        read_dataset(decathlon(tmp_path, training=pairs))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,label\nx,seg.nii.gz\n", "no column image"),
        ("image\na.nii.gz\n", "no column case and no column label"),
        ("", "among none"),
        ("case,image,label\n", "expected cases, found none"),
        ("case,image,label\nx,,seg.nii.gz\n", "none under image in line 2"),
        ("case,image,label\n\nx,a.nii.gz\n", "none under label in line 3"),
        ("case,image,label\nx,a.nii.gz,seg.nii.gz\nx,b.nii.gz,seg.nii.gz\n", "found 'x' twice"),
        ("case,image,label\nx,no.nii.gz,seg.nii.gz\n", "found 1 missing"),
    ],
)
def test_damaged_table(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_dataset(table(tmp_path, text))


def test_table_in_another_encoding(tmp_path: Path) -> None:
    path = table(tmp_path, "")
    path.write_bytes("case,image,label\nä,a,b\n".encode("latin-1"))
    with pytest.raises(InputError, match="expected CSV in UTF-8"):
        read_dataset(path)


def test_scan_without_label_map_and_the_reverse(tmp_path: Path) -> None:
    touch(pair_of_folders(tmp_path), "images/3.tif")
    with pytest.raises(
        InputError, match="a label map of the same name for each scan, found none for 3"
    ):
        read_dataset(tmp_path)
    (tmp_path / "images/3.tif").rename(tmp_path / "labels/4.tif")
    with pytest.raises(
        InputError, match="a scan of the same name for each label map, found none for 4"
    ):
        read_dataset(tmp_path)


def test_two_files_of_one_name(tmp_path: Path) -> None:
    touch(pair_of_folders(tmp_path), "images/2.png")
    with pytest.raises(InputError, match="found '2' twice"):
        read_dataset(tmp_path)


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    touch(tmp_path, "imagesTr/a_0000.nii.gz")
    with pytest.raises(
        InputError, match="labelsTr: expected images or label maps, found no such folder"
    ):
        read_dataset(tmp_path)
    touch(tmp_path, "labelsTr/a.jpg")
    with pytest.raises(InputError, match="found no file with one of the suffixes"):
        read_dataset(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no such file or folder"):
        read_dataset(tmp_path / "x")
    with pytest.raises(InputError, match="none of them in this folder"):
        read_dataset(tmp_path)
    touch(tmp_path, "notes.txt")
    with pytest.raises(InputError, match="found another file"):
        read_dataset(tmp_path / "notes.txt")


def test_channels_must_be_numbered_without_a_gap(tmp_path: Path) -> None:
    (nnunet(tmp_path) / "imagesTr/c2_0000.nii.gz").unlink()
    with pytest.raises(
        InputError,
        match="channels of c2 numbered from _0000 without a gap, found _0001, without _0000",
    ):
        read_dataset(tmp_path)


def test_cases_with_different_numbers_of_channels(tmp_path: Path) -> None:
    (nnunet(tmp_path) / "imagesTr/c2_0001.nii.gz").unlink()
    with pytest.raises(
        InputError,
        match="number of channels in every case, found 1 in c2 and 2 in c10, without T2 in c2",
    ):
        read_dataset(tmp_path)


def test_wrong_number_of_channel_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected 2 channel names, found 1: T1"):
        read_dataset(nnunet(tmp_path), channels=["T1"])


def test_a_line_with_more_values_than_columns(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="as many values as columns in every line, found 1 more in line 2"
    ):
        read_dataset(table(tmp_path, "case,image,label\nx,a.nii.gz,seg.nii.gz,b\n"))
    assert read_dataset(table(tmp_path, "case,image,label,,\nx,a.nii.gz,seg.nii.gz,,,,\n")).cases


def test_a_column_that_may_be_meant_as_patient_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read_dataset(table(tmp_path, "case,image,label,Patient_ID,age\nx,a.nii.gz,seg.nii.gz,A,50\n"))
    assert (
        "column 'Patient_ID' is not read; rename it to 'patient' if that is what it holds"
        in caplog.text
    )
    assert "age" not in caplog.text


def test_real_layouts(data_root: Path) -> None:
    assert len(read_dataset(data_root / "Task04_Hippocampus").cases) == 200
    assert len(read_dataset(data_root / "fetal_brain").labels) == 8
    assert [case.id for case in read_dataset(data_root / "em_membrane").cases] == [
        str(i) for i in range(24)
    ]
    assert read_dataset(data_root / "brain_tumour" / "cases.csv").channels == ("FLAIR", "T1c")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "x,a.nii,s.nii,,1\ny,b.nii,s.nii,,2\n",
            "folds numbered from 0 without a gap in the column split, found 1, 2",
        ),
        (
            "x,a.nii,s.nii,p,0\ny,b.nii,s.nii,p,1\n",
            "all cases of a patient in one fold, found patient p in the folds 0",
        ),
    ],
)
def test_a_split_column_that_would_mislead_is_refused(
    lines: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        read_dataset(table(tmp_path, "case,image,label,patient,split\n" + lines))


NNUNET_REGIONS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}


def test_regions_and_the_ignore_label_of_nnunet(tmp_path: Path) -> None:
    data = read_dataset(nnunet(tmp_path, labels=NNUNET_REGIONS, regions_class_order=[1, 2, 3]))
    assert data.labels == {"whole": 1, "core": 2, "enhancing": 3}
    assert data.regions == {"whole": (1, 2, 3), "core": (2, 3), "enhancing": (3,)}
    assert (data.ignore, data.subset) == (4, False)


def test_the_users_regions_and_ignore_value_replace_those_of_the_layout(tmp_path: Path) -> None:
    data = read_dataset(decathlon(tmp_path), regions={"all": [1, 2], "tumour": [2]}, ignore=3)
    assert (data.labels, data.regions) == ({"all": 1, "tumour": 2}, {"all": (1, 2), "tumour": (2,)})
    assert (data.ignore, data.subset) == (3, True)
    data = read_dataset(nnunet(tmp_path / "n", labels=NNUNET_REGIONS), labels={"a": 3})
    assert (data.labels, data.regions, data.ignore) == ({"a": 3}, {}, 4)


def test_an_ignore_value_of_the_user_is_no_label_any_more(tmp_path: Path) -> None:
    data = read_dataset(decathlon(tmp_path), ignore=2)
    assert (data.labels, data.ignore) == ({"liver": 1}, 2)
    with pytest.raises(InputError, match="an ignore value that no label has, found 2, which is a"):
        read_dataset(tmp_path, labels={"a": 2}, ignore=2)


def test_regions_and_ignore_are_part_of_the_content(tmp_path: Path) -> None:
    folder = decathlon(tmp_path)
    plain = read_dataset(folder)
    hashes = [
        data.content_hash()
        for data in (plain, read_dataset(folder, ignore=7), read_dataset(folder, ignore=8))
    ]
    assert len(set(hashes)) == 3
