"""A series that is more than one volume is refused; its groups are named and chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError, UsageError
from segkit.io.dicom import DicomScan, dicom_scans, open_dicom

VOXELS = np.arange(2 * 3 * 6, dtype=np.int16).reshape(2, 3, 6)
Elements = Mapping[str, Any]
Mixed = Callable[..., Path]


def typed(*words: str) -> dict[str, Any]:
    return {"ImageType": ["ORIGINAL", "PRIMARY", *words]}


KINDS: dict[str, tuple[Elements, Elements, str, str]] = {
    "image type": (typed("M", "ND"), typed("P", "ND"), "type=M", "type=P"),
    "dixon": (typed("DIXON", "WATER"), typed("DIXON", "FAT"), "type=DIXON/WATER", "type=DIXON/FAT"),
    "complex": (
        {"ComplexImageComponent": "MAGNITUDE"},
        {"ComplexImageComponent": "PHASE"},
        "complex=MAGNITUDE",
        "complex=PHASE",
    ),
    "echo number": (
        {"EchoNumbers": 1, "EchoTime": 4.92},
        {"EchoNumbers": 2, "EchoTime": 7.38},
        "echo=1",
        "echo=2",
    ),
    "echo time": ({"EchoTime": 4.92}, {"EchoTime": 7.38}, "te=4.92", "te=7.38"),
    "b-value": ({"DiffusionBValue": 0.0}, {"DiffusionBValue": 1000.0}, "b=0", "b=1000"),
    "b-value of some": ({}, {"DiffusionBValue": 800.0}, "b=none", "b=800"),
    "sequence name": ({"SequenceName": "*ep_b0"}, {"SequenceName": "*ep_b1000t"}, "b=0", "b=1000"),
    "time": (
        {"TemporalPositionIdentifier": 1},
        {"TemporalPositionIdentifier": 2},
        "time=1",
        "time=2",
    ),
    "flip angle": ({"FlipAngle": 5}, {"FlipAngle": 15}, "flip=5", "flip=15"),
    "units": ({"Units": "BQML"}, {"Units": "GML"}, "units=BQML", "units=GML"),
    "suv": ({"SUVType": "BW"}, {"SUVType": "LBM"}, "suv=BW", "suv=LBM"),
    "frame of reference": ({}, {"FrameOfReferenceUID": "1.2.3.77"}, "frame=1", "frame=2"),
    "stack": ({"StackID": "1"}, {"StackID": "2"}, "stack=1", "stack=2"),
    "patient": ({}, {"PatientID": "2"}, "patient=1", "patient=2"),
    "study": ({}, {"StudyInstanceUID": "1.2.4"}, "study=1", "study=2"),
    "modality": ({}, {"Modality": "CT"}, "modality=MR", "modality=CT"),
    "posture": (
        {"PatientPosition": "HFS"},
        {"PatientPosition": "HFP"},
        "position=HFS",
        "position=HFP",
    ),
    "rescale": ({"RescaleSlope": 1, "RescaleIntercept": -1024}, {}, "rescale=yes", "rescale=none"),
    "series number": ({}, {"SeriesNumber": 4}, "number=1", "number=4"),
}


@pytest.mark.parametrize(("one", "other", "first", "second"), KINDS.values(), ids=KINDS)
def test_groups_are_named(
    mixed: Mixed, one: Elements, other: Elements, first: str, second: str
) -> None:
    with pytest.raises(
        InputError, match="images that make up one volume, found 2 groups of images in series 1"
    ) as error:
        open_dicom(mixed(one, other))
    lines = [line.split(" such as")[0] for line in str(error.value).splitlines()[1:]]
    assert lines == [f"  --series 1:{first}  4 images", f"  --series 1:{second}  2 images"]


@pytest.mark.parametrize(("one", "other", "first", "second"), KINDS.values(), ids=KINDS)
def test_a_lower_and_an_upper_half(
    mixed: Mixed, one: Elements, other: Elements, first: str, second: str
) -> None:
    """Each half can be chosen, and has its own voxels and position."""
    place = mixed(one, other, second=range(3, 6))
    with pytest.raises(InputError, match="found 2 groups of images"):
        open_dicom(place)
    for words, slices, low in ((first, slice(0, 3), 0), (second, slice(3, 6), 6)):
        source = open_dicom(place, f"1:{words}")
        expected = VOXELS[..., slices] - (1024 if words == "rescale=yes" else 0)
        np.testing.assert_array_equal(source.planes(0, 3)[0], expected)
        assert source.grid.affine[:3, 3].tolist() == [0, 0, low]
        assert (source.selection, source.grid.spacing[2], len(source.files)) == (words, 2, 3)


def test_messages_have_no_name_or_id_of_a_patient(mixed: Mixed) -> None:
    with pytest.raises(InputError) as error:
        open_dicom(
            mixed({"PatientName": "Doe^Jane"}, {"PatientName": "Roe^Richard", "PatientID": "77123"})
        )
    assert not {"Doe", "Roe", "77123"} & set(str(error.value).replace("^", " ").split())


SAME: dict[str, tuple[Elements, Elements]] = {
    "rounding of echo times": ({"EchoTime": 4.92}, {"EchoTime": 4.93}),
    "steps of processing": (typed("M", "ND", "NORM"), typed("M", "NORM", "ND")),
    "window": ({"WindowCenter": 40}, {"WindowCenter": 300}),
    "slopes": (
        {"RescaleSlope": 2, "RescaleIntercept": 0},
        {"RescaleSlope": 3, "RescaleIntercept": 0},
    ),
    "a rescaling that changes nothing": ({"RescaleSlope": 1, "RescaleIntercept": 0}, {}),
    "trigger": ({"TriggerTime": 12.0}, {"TriggerTime": 900.0}),
    "times": ({"AcquisitionTime": "101500"}, {"AcquisitionTime": "101501"}),
    "repetition": ({"RepetitionTime": 3000}, {"RepetitionTime": 3021}),
    "names": ({"PatientName": "Test^Case"}, {"PatientName": "TEST^CASE^^"}),
    "current": ({"XRayTubeCurrent": 120}, {"XRayTubeCurrent": 240}),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_properties_that_may_differ(
    mixed: Mixed, caplog: pytest.LogCaptureFixture, one: Elements, other: Elements
) -> None:
    assert open_dicom(mixed(one, other)).grid.shape == (2, 3, 6)
    assert not caplog.text


def test_acquisitions_appended_are_one_scan(mixed: Mixed, caplog: pytest.LogCaptureFixture) -> None:
    place = mixed({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}, second=range(3, 6))
    assert open_dicom(place).grid.shape == (2, 3, 6)
    assert not caplog.text


def test_acquisitions_that_alternate_are_two_scans(mixed: Mixed) -> None:
    place = mixed({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}, second=(1, 3, 5))
    with pytest.raises(InputError, match="differ in acquisition"):
        open_dicom(place)
    np.testing.assert_array_equal(
        open_dicom(place, "acquisition=2").planes(0, 3)[0], VOXELS[..., 1::2]
    )
    assert open_dicom(place, "acquisition=any").grid.shape == (2, 3, 6)


@pytest.mark.parametrize(
    ("one", "other", "note"),
    [
        ({"KVP": 120}, {"KVP": 80}, "the tube voltage changes along the scan (120, 80)"),
        (
            {"ConvolutionKernel": "B30f"},
            {"ConvolutionKernel": "B70f"},
            "the reconstruction kernel changes along",
        ),
        (
            {"InversionTime": 300},
            {"InversionTime": 340},
            "the inversion time changes along the scan (300, 340)",
        ),
        (
            {"ContrastBolusAgent": "x"},
            {"ContrastBolusAgent": ""},
            "the contrast agent changes along the scan (1, 2)",
        ),
    ],
)
def test_changes_along_a_scan_are_reported(
    mixed: Mixed, caplog: pytest.LogCaptureFixture, one: Elements, other: Elements, note: str
) -> None:
    assert note in open_dicom(mixed(one, other, second=range(3, 6))).notes[0]
    assert note in caplog.text
    with pytest.raises(InputError, match="found 2 groups of images"):
        open_dicom(mixed(one, other))


@pytest.mark.parametrize(
    ("word", "keyword"),
    [("trigger", "TriggerTime"), ("repetition", "RepetitionTime")],
    ids=["trigger", "repetition"],
)
def test_times_that_several_slices_share_are_reported(
    mixed: Mixed, word: str, keyword: str
) -> None:
    """Shared times are cardiac phases; times of single slices only show the heart rate."""
    (note,) = open_dicom(mixed({keyword: 20}, {keyword: 400}, second=(1, 3, 5))).notes
    assert note == f"the {word} time changes along the scan (20, 400)"


def test_inverted_images_among_others(mixed: Mixed) -> None:
    place = mixed({}, {"PhotometricInterpretation": "MONOCHROME1"})
    with pytest.raises(
        InputError,
        match=r"differ in photometric interpretation(.|\n)*photometric=MONOCHROME1  2 images",
    ):
        open_dicom(place)


def test_two_passes_of_a_ct_have_different_times(mixed: Mixed) -> None:
    one, other = ({"Modality": "CT", "AcquisitionTime": time} for time in ("101500", "101530"))
    place = mixed(one, other, second=(1, 3, 5))
    with pytest.raises(InputError, match="differ in acquisition time"):
        open_dicom(place)
    np.testing.assert_array_equal(
        open_dicom(place, "acqtime=101530").planes(0, 3)[0], VOXELS[..., 1::2]
    )


def test_trigger_times_tell_images_at_one_position_apart(dicom: Any, tmp_path: Path) -> None:
    for index in range(6):
        own = {"ImagePositionPatient": [0, 0, index % 3], "TriggerTime": 40.0 * (index // 3)}
        dicom.file(
            tmp_path / "s" / f"{index}", np.full((3, 2), index, np.int16), number=index + 1, **own
        )
    with pytest.raises(
        InputError, match="2 groups of images in series 1 that differ in trigger time"
    ) as error:
        open_dicom(tmp_path / "s")
    assert "--series 1:trigger=40  3 images such as 3" in str(error.value)
    assert open_dicom(tmp_path / "s", "trigger=40").planes(0, 3)[0, 0, 0].tolist() == [3, 4, 5]


def test_a_screenshot_among_the_images(dicom: Any, tmp_path: Path) -> None:
    dicom.series(tmp_path / "s", VOXELS)
    nowhere = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))
    capture = {"SOPClassUID": dicom.pydicom.uid.SecondaryCaptureImageStorage}
    dicom.file(tmp_path / "s" / "x", VOXELS[..., 0].T.copy(), number=99, **nowhere, **capture)
    with pytest.raises(InputError, match=r"--series 1:class=CT  6 images such as 000"):
        open_dicom(tmp_path / "s")
    assert open_dicom(tmp_path / "s", "class=CT").grid.shape == (2, 3, 6)


def test_a_mixed_series_is_not_skipped_for_another(dicom: Any, mixed: Mixed) -> None:
    place = mixed(typed("M"), typed("P"))
    scout = {"series": "1.9", "SeriesNumber": 2, "Modality": "MR"}
    for number in range(2):
        own = {"ImageOrientationPatient": [0, 1, 0, 0, 0, 1]} if number else {}
        dicom.file(place / f"scout{number}", VOXELS[..., 0].T.copy(), number=number, **own, **scout)
    with pytest.raises(InputError, match=r"series 1 that differ in image type"):
        open_dicom(place)
    dicom.series(place / "other", VOXELS, series="1.10", SeriesNumber=3)
    with pytest.raises(UsageError, match="3 series, 2 of them volumes"):
        open_dicom(place)
    found = dicom_scans(place)
    assert isinstance(found["other"], DicomScan)
    assert [str(each)[-2:] for each in found.values() if isinstance(each, InputError)]
