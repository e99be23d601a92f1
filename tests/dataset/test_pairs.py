"""Tests that every file that looks like an input is read, refused, or reported as left out."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segkit.dataset.layouts import read_dataset
from segkit.errors import InputError

ANNEX = "../.git/annex/objects/fW/24/missing.nii.gz"


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def link(path: Path, target: str = ANNEX) -> None:
    path.unlink()
    path.symlink_to(target)


def folders(root: Path, *ids: str) -> Path:
    return touch(
        root, *(f"{place}/{name}.nii.gz" for place in ("images", "labels") for name in ids)
    )


def nnunet(root: Path, *ids: str, **content: Any) -> Path:
    touch(
        root,
        *(f"imagesTr/{name}_0000.nii.gz" for name in ids),
        *(f"labelsTr/{name}.nii.gz" for name in ids),
    )
    described = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "organ": 1},
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(described | content))
    return root


def notices(root: Path) -> list[str]:
    return list(read_dataset(root).notices)


def test_links_without_content_are_named(tmp_path: Path) -> None:
    folders(tmp_path, "a", "b")
    link(tmp_path / "images/b.nii.gz")
    link(tmp_path / "labels/b.nii.gz")
    data = read_dataset(tmp_path)
    assert [case.id for case in data.cases] == ["a"]
    (notice,) = data.notices
    assert notice.startswith(
        f"1 case is left out, because its files have no content: b. The first is a link to"
        f" {ANNEX}, which is not there."
    )
    assert "datalad get" in notice


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("/annex/objects/MD5E-s12--ab", "git annex get"),
        ("version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_pointers_without_content_are_named(tmp_path: Path, content: str, words: str) -> None:
    folders(tmp_path, "a", "b")
    for place in ("images", "labels"):
        (tmp_path / place / "b.nii.gz").write_text(content)
    assert words in notices(tmp_path)[0]


def test_no_case_with_content(tmp_path: Path) -> None:
    folders(tmp_path, "a")
    link(tmp_path / "images/a.nii.gz")
    link(tmp_path / "labels/a.nii.gz")
    with pytest.raises(
        InputError,
        match="expected cases, found none: 1 case is left out, because its files have no content",
    ):
        read_dataset(tmp_path)


def test_cases_of_which_some_files_have_no_content(tmp_path: Path) -> None:
    nnunet(tmp_path, "a", "b", "c")
    link(tmp_path / "imagesTr/b_0000.nii.gz")
    link(tmp_path / "labelsTr/c.nii.gz", "/elsewhere/c.nii.gz")
    with pytest.raises(
        InputError,
        match=r"imagesTr/b_0000\.nii\.gz: .* \(b, c\), found a link .*; 2 files are like that",
    ):
        read_dataset(tmp_path)


def test_listed_files_without_content(tmp_path: Path) -> None:
    pairs = [
        {"image": f"imagesTr/{name}_0000.nii.gz", "label": f"labelsTr/{name}.nii.gz"}
        for name in "ab"
    ]
    nnunet(tmp_path, "a", "b", training=pairs)
    link(tmp_path / "imagesTr/a_0000.nii.gz", "/elsewhere/a.nii.gz")
    link(tmp_path / "imagesTr/b_0000.nii.gz")
    with pytest.raises(
        InputError,
        match=r"found a link to /elsewhere/a\.nii\.gz, .*; 1 more files are like it\. Copy the",
    ):
        read_dataset(tmp_path)


def test_endings_are_compared_without_case(tmp_path: Path) -> None:
    nnunet(tmp_path, "a", "b")
    for name in ("imagesTr/b_0000", "labelsTr/b"):
        (tmp_path / f"{name}.nii.gz").rename(tmp_path / f"{name}.NII.GZ")
    assert [case.id for case in read_dataset(tmp_path).cases] == ["a", "b"]
    assert notices(tmp_path) == []


def test_other_endings_and_numbers_are_named(tmp_path: Path) -> None:
    nnunet(tmp_path, "a", numTraining=2)
    touch(
        tmp_path,
        "imagesTr/b_0000.nii",
        "labelsTr/b.nii",
        "labelsTr/a.mgz",
        "imagesTr/more/c_0000.nii.gz",
    )
    ending = "1 file is left out, because file_ending in dataset.json is '.nii.gz': "
    assert notices(tmp_path) == [
        f"{ending}imagesTr/b_0000.nii. Convert them, or correct file_ending.",
        "files in subfolders are left out: imagesTr/more. Move them up, or list every file in a"
        " CSV file.",
        f"{ending}labelsTr/b.nii. Convert them, or correct file_ending.",
        "1 file is left out, because the format is not supported: labelsTr/a.mgz. Convert, for"
        " example to .nii.gz.",
        "dataset.json announces 2 cases (numTraining), found 1",
    ]


@pytest.mark.parametrize("partner", ["labelsTr/b.nii", "labelsTr/b.mgz"])
def test_a_partner_that_is_not_read_is_named(tmp_path: Path, partner: str) -> None:
    touch(nnunet(tmp_path, "a"), "imagesTr/b_0000.nii.gz", partner)
    with pytest.raises(
        InputError, match=f"found none for b; 1 file is there but not read: {partner}"
    ):
        read_dataset(tmp_path)


def test_scans_that_a_decathlon_does_not_list(tmp_path: Path) -> None:
    pairs = [{"image": "imagesTr/a_0000.nii.gz", "label": "labelsTr/a.nii.gz"}]
    assert notices(nnunet(tmp_path, "a", "b", training=pairs)) == [
        "1 file is left out, because dataset.json does not list them under 'training':"
        " imagesTr/b_0000.nii.gz"
    ]


def test_hidden_files_are_none(tmp_path: Path) -> None:
    folders(tmp_path, "p. 1 ü")
    touch(
        tmp_path,
        "images/._p. 1 ü.nii.gz",
        "labels/._p. 1 ü.nii.gz",
        "images/Thumbs.db",
        "labels/.DS_Store",
    )
    assert (len(read_dataset(tmp_path).cases), notices(tmp_path)) == (1, [])


def test_accents_pair_in_either_way_of_writing(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "Müller") for form in ("NFC", "NFD"))
    touch(tmp_path, f"images/{composed}.nii.gz", f"labels/{apart}.nii.gz")
    assert [case.id for case in read_dataset(tmp_path).cases] == [composed]
    table = tmp_path / "cases.csv"
    table.write_text(
        f"case,image,label\n{apart},images/{apart}.nii.gz,labels/{composed}.nii.gz\n",
        encoding="utf-8",
    )
    assert [case.id for case in read_dataset(table).cases] == [composed]


def test_paths_of_windows(tmp_path: Path) -> None:
    folders(tmp_path, "a")
    (tmp_path / "cases.csv").write_text("case,image,label\na,images\\a.nii.gz,labels\\a.nii.gz\n")
    assert read_dataset(tmp_path / "cases.csv").cases[0].images == (tmp_path / "images/a.nii.gz",)


def test_segmentations_of_slicer_pair_with_scans(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.nrrd", "labels/a.seg.nrrd", "images/b.nii.gz", "labels/b.seg.nrrd")
    assert [case.id for case in read_dataset(tmp_path).cases] == ["a", "b"]


def running_numbers(root: Path) -> None:
    for number in range(2):
        touch(root, f"imagesTr/p_{number:04d}.nii.gz", f"labelsTr/p_{number:04d}.nii.gz")


def channel_numbers(root: Path) -> None:
    touch(root, "images/a_0000.nii.gz", "labels/a.nii.gz")


def mask_per_class(root: Path) -> None:
    touch(root, "images/a.nii.gz", "labels/a_organ.nii.gz", "labels/a_core.nii.gz")


def total_segmentator(root: Path) -> None:
    touch(root, "a/ct.nii.gz", "a/segmentations/organ.nii.gz", "a/segmentations/core.nii.gz")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            running_numbers,
            "found a running number: p_0000 is a scan and a label map. Append the channel's number",
        ),
        (
            channel_numbers,
            "found none for a_0000, and none for the label map of a\\. .* name the folders"
            " imagesTr and labelsTr",
        ),
        (
            mask_per_class,
            "a has several label maps; segkit reads one label map per case, not one mask",
        ),
        (
            total_segmentator,
            r"found one mask per structure, such as a/segmentations/core\.nii\.gz\. Merge",
        ),
    ],
)
def test_other_layouts_are_refused_with_a_remedy(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path)
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path)


def test_nnunet_v1_lists_images_without_the_number_of_the_channel(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *(f"imagesTr/a[1]_000{channel}.nii.gz" for channel in (0, 1)),
        "labelsTr/a[1].nii.gz",
    )
    pairs = [{"image": "./imagesTr/a[1].nii.gz", "label": "./labelsTr/a[1].nii.gz"}]
    described = {
        "modality": {"0": "T1", "1": "T2"},
        "labels": {"1": "organ"},
        "numTraining": 1,
        "training": pairs,
    }
    (tmp_path / "dataset.json").write_text(json.dumps(described))
    (case,) = read_dataset(tmp_path).cases
    assert (case.id, [path.name for path in case.images]) == (
        "a[1]",
        ["a[1]_0000.nii.gz", "a[1]_0001.nii.gz"],
    )


def test_nnunet_v2_lists_files_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "far/i.nii.gz", "far/l.nii.gz")
    monkeypatch.setenv("FAR", str(tmp_path / "far"))
    entry = {"images": ["far/i.nii.gz"], "label": "$FAR/l.nii.gz"}
    (tmp_path / "dataset.json").write_text(
        json.dumps({"labels": {"organ": 1}, "dataset": {"a": entry}})
    )
    (case,) = read_dataset(tmp_path).cases
    assert (case.id, case.images, case.label) == (
        "a",
        (tmp_path / "far/i.nii.gz",),
        tmp_path / "far/l.nii.gz",
    )
    (tmp_path / "dataset.json").write_text(
        json.dumps({"labels": {"organ": 1}, "dataset": {"a": {"images": []}}})
    )
    with pytest.raises(
        InputError, match=r"expected cases \{images, label\} under 'dataset', found other entries"
    ):
        read_dataset(tmp_path)


# -- cases that lack a file, collected instead of refused ------------------------------------------


def incomplete(root: Path | str) -> dict[str, str]:
    data = read_dataset(root, strict=False)
    assert not {case.id for case in data.cases} & {case.id for case in data.incomplete}
    return {case.id: case.message for case in data.incomplete}


def test_a_misnamed_pair_is_collected_with_its_likely_partner(tmp_path: Path) -> None:
    touch(folders(tmp_path, "a", "b"), "images/patient_7.nii.gz", "labels/patient_07.nii.gz")
    assert incomplete(tmp_path) == {
        "patient_7": f"{tmp_path}/images/patient_7.nii.gz: there is no label map of this name;"
        " patient_07.nii.gz lacks its partner too",
        "patient_07": f"{tmp_path}/labels/patient_07.nii.gz: there is no scan of this name;"
        " patient_7.nii.gz lacks its partner too",
    }


def test_a_missing_label_map_of_nnunet_is_collected(tmp_path: Path) -> None:
    (nnunet(tmp_path, "a", "b") / "labelsTr/b.nii.gz").unlink()
    (message,) = incomplete(tmp_path).values()
    assert message == f"{tmp_path}/imagesTr/b_0000.nii.gz: there is no label map of this name"


def test_other_patients_are_no_likely_partner(tmp_path: Path) -> None:
    touch(folders(tmp_path, "a"), "images/case_004.nii.gz", "labels/case_006.nii.gz")
    touch(tmp_path, "images/anna.nii.gz", "labels/anne.nii.gz")
    assert not any("lacks" in message for message in incomplete(tmp_path).values())


def test_a_partner_that_is_not_read_is_named_with_its_scan(tmp_path: Path) -> None:
    touch(folders(tmp_path, "a"), "images/b.nii.gz", "labels/b.mnc")
    (message,) = incomplete(tmp_path).values()
    assert message == (
        f"{tmp_path}/images/b.nii.gz: there is no label map of this name; 1 file is there but not"
        " read: labels/b.mnc"
    )


def test_a_missing_channel_is_collected(tmp_path: Path) -> None:
    nnunet(tmp_path, "a", "b", "c", channel_names={"0": "T1", "1": "T2"})
    touch(tmp_path, "imagesTr/a_0001.nii.gz", "imagesTr/b_0001.nii.gz")
    (tmp_path / "imagesTr/b_0000.nii.gz").unlink()
    assert incomplete(tmp_path) == {
        "b": f"{tmp_path}/imagesTr/b_0001.nii.gz: the case has no channel _0000 (T1)",
        "c": f"{tmp_path}/imagesTr/c_0000.nii.gz: 1 of 2 channels, without T2",
    }
    assert not read_dataset(tmp_path, strict=False).notices


def test_a_missing_channel_of_a_listed_case_is_collected(tmp_path: Path) -> None:
    training = [
        {"image": f"imagesTr/{name}.nii.gz", "label": f"labelsTr/{name}.nii.gz"} for name in "ab"
    ]
    nnunet(tmp_path, "a", "b", training=training, numTraining=2)
    (tmp_path / "imagesTr/b_0000.nii.gz").rename(tmp_path / "imagesTr/b_0001.nii.gz")
    (message,) = incomplete(tmp_path).values()
    assert message == f"{tmp_path}/imagesTr/b_0001.nii.gz: the case has no channel _0000"


def test_if_all_cases_lack_a_channel_one_is_named(tmp_path: Path) -> None:
    nnunet(tmp_path, "a")
    (tmp_path / "imagesTr/a_0000.nii.gz").rename(tmp_path / "imagesTr/a_0001.nii.gz")
    with pytest.raises(InputError, match="channels of a numbered from _0000 without a gap"):
        read_dataset(tmp_path, strict=False)


def test_another_entry_with_the_id_of_a_case_with_a_gap_is_refused(tmp_path: Path) -> None:
    training = [
        {"image": f"{folder}/b.nii.gz", "label": "labelsTr/b.nii.gz"}
        for folder in ("imagesTr", "other")
    ]
    nnunet(tmp_path, "b", training=training)
    touch(tmp_path, "other/b.nii.gz")
    (tmp_path / "imagesTr/b_0000.nii.gz").rename(tmp_path / "imagesTr/b_0001.nii.gz")
    with pytest.raises(InputError, match="'b' twice"):
        read_dataset(tmp_path, strict=False)


def test_an_error_of_the_rest_mentions_incomplete_cases(tmp_path: Path) -> None:
    nnunet(tmp_path, "a", "b", "c", channel_names={"0": "T1", "1": "T2"})
    touch(tmp_path, "imagesTr/a_0001.nii.gz", "imagesTr/a_0002.nii.gz", "imagesTr/b_0001.nii.gz")
    (tmp_path / "labelsTr/c.nii.gz").unlink()
    with pytest.raises(
        InputError, match=r"2 in b and 3 in a; besides, incomplete cases: 1\. The first: .*c_0000"
    ):
        read_dataset(tmp_path, strict=False)


def test_a_lone_scan_without_content_says_both(tmp_path: Path) -> None:
    touch(folders(tmp_path, "a"), "images/b.nii.gz")
    link(tmp_path / "images/b.nii.gz")
    (message,) = incomplete(tmp_path).values()
    assert message == (
        f"{tmp_path}/images/b.nii.gz (a link to {ANNEX}, which is not there): there is no label map"
        " of this name"
    )


def test_if_all_cases_are_half_fetched_the_way_to_fetch_them_is_said(tmp_path: Path) -> None:
    folders(tmp_path, "a", "b")
    for name in "ab":
        link(tmp_path / "labels" / f"{name}.nii.gz")
    with pytest.raises(InputError, match=r"a\.nii\.gz: .*1 more files are like it.*git annex get"):
        read_dataset(tmp_path, strict=False)


def test_two_cases_of_one_id_are_refused_even_if_one_is_incomplete(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii", "a_seg.nii")
    rows = ["case,image,label", "a,a.nii,a_seg.nii", "a,a.nii,other.nii"]
    (tmp_path / "cases.csv").write_text("\n".join(rows))
    with pytest.raises(InputError, match="'a' twice"):
        read_dataset(tmp_path / "cases.csv", strict=False)


def test_a_folder_without_dicom_is_named_as_such(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii", "a_seg.nii", "b.nii", "masks/readme.txt")
    rows = ["case,image,label", "a,a.nii,a_seg.nii", "b,b.nii,masks"]
    (tmp_path / "cases.csv").write_text("\n".join(rows))
    assert incomplete(tmp_path / "cases.csv") == {
        "b": f"{tmp_path}/masks is a folder without DICOM"
    }


def test_half_of_a_case_without_content_is_collected(tmp_path: Path) -> None:
    folders(tmp_path, "a", "b", "c")
    link(tmp_path / "labels/b.nii.gz")
    for place in ("images", "labels"):
        link(tmp_path / place / "c.nii.gz")
    data = read_dataset(tmp_path, strict=False)
    assert [case.id for case in data.cases] == ["a"]
    (case,) = data.incomplete
    assert case.message.startswith(f"{tmp_path}/labels/b.nii.gz: a link to {ANNEX}, which is not")
    assert "1 case is left out, because its files have no content: c." in data.notices[0]


def test_missing_files_of_a_table_are_collected(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii", "a_seg.nii", "b.nii")
    rows = ["case,image,label", "a,a.nii,a_seg.nii", "b,b.nii,b_seg.nii", "c,c.nii,c_seg.nii"]
    (tmp_path / "cases.csv").write_text("\n".join(rows))
    assert incomplete(tmp_path / "cases.csv") == {
        "b": f"{tmp_path}/b_seg.nii does not exist",
        "c": f"{tmp_path}/c.nii does not exist; {tmp_path}/c_seg.nii does not exist",
    }


def test_a_dataset_of_which_no_case_is_complete_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.nii.gz", "labels/b.nii.gz")
    with pytest.raises(InputError, match="expected a label map of the same name for each scan"):
        read_dataset(tmp_path, strict=False)


def test_a_table_of_which_no_file_exists_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("case,image,label\na,a.nii,a_seg.nii\n")
    with pytest.raises(InputError, match=r"2 missing: .*a\.nii"):
        read_dataset(tmp_path / "cases.csv", strict=False)
