"""A series of one image for each position that is more than one volume: refused, its groups named and chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError, UsageError
from segkit.io.dicom import DicomScan, dicom_scans, open_dicom
from segkit.io.dicom.results.segmentation_reader import read_segments
from segkit.volume import Volume

VOXELS = np.arange(2 * 3 * 6, dtype=np.int16).reshape(2, 3, 6)
Elements = Mapping[str, Any]
Mixed = Callable[..., Path]


@pytest.fixture
def mixed(dicom: Any, tmp_path: Path) -> Mixed:
    """mixed(one, other, second={1, 3}) writes six slices, those in ``second`` with the elements ``other``."""

    def write(one: Elements, other: Elements, second: Sequence[int] = (1, 3)) -> Path:
        for place in range(6):
            own = {"ImagePositionPatient": [0, 0, 2 * place], "Modality": "MR", "number": place + 1}
            own |= other if place in second else one
            dicom.file(tmp_path / "s" / f"IM{place}", VOXELS[..., place].T.copy(), **own)
        return tmp_path / "s"

    return write


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
def test_a_lower_and_an_upper_half_as_well(
    mixed: Mixed, one: Elements, other: Elements, first: str, second: str
) -> None:
    """No value comes back along the scan. Either half is chosen with its own voxels, at its own place."""
    place = mixed(one, other, second=range(3, 6))
    with pytest.raises(InputError, match="found 2 groups of images"):
        open_dicom(place)
    for words, slices, low in ((first, slice(0, 3), 0), (second, slice(3, 6), 6)):
        source = open_dicom(place, f"1:{words}")
        expected = VOXELS[..., slices] - (1024 if words == "rescale=yes" else 0)
        np.testing.assert_array_equal(source.planes(0, 3)[0], expected)
        assert source.grid.affine[:3, 3].tolist() == [0, 0, low]
        assert (source.selection, source.grid.spacing[2], len(source.files)) == (words, 2, 3)


def test_no_name_or_number_of_a_patient_is_said(mixed: Mixed) -> None:
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
def test_what_may_differ(
    mixed: Mixed, caplog: pytest.LogCaptureFixture, one: Elements, other: Elements
) -> None:
    assert open_dicom(mixed(one, other)).grid.shape == (2, 3, 6)
    assert not caplog.text


def test_acquisitions_appended_are_one_scan(mixed: Mixed, caplog: pytest.LogCaptureFixture) -> None:
    place = mixed({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}, second=range(3, 6))
    assert open_dicom(place).grid.shape == (2, 3, 6)
    assert not caplog.text


def test_acquisitions_that_alternate_are_not(mixed: Mixed) -> None:
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
def test_changes_along_a_scan_are_said(
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
def test_times_that_several_slices_share_are_said(mixed: Mixed, word: str, keyword: str) -> None:
    """They are those of phases of the heart, where those of single slices only tell of its rhythm."""
    (note,) = open_dicom(mixed({keyword: 20}, {keyword: 400}, second=(1, 3, 5))).notes
    assert note == f"the {word} time changes along the scan (20, 400)"


def test_inverted_images_among_others(mixed: Mixed) -> None:
    place = mixed({}, {"PhotometricInterpretation": "MONOCHROME1"})
    with pytest.raises(
        InputError,
        match=r"differ in photometric interpretation(.|\n)*photometric=MONOCHROME1  2 images",
    ):
        open_dicom(place)


def test_two_passes_of_a_ct_are_told_by_their_times(mixed: Mixed) -> None:
    one, other = ({"Modality": "CT", "AcquisitionTime": time} for time in ("101500", "101530"))
    place = mixed(one, other, second=(1, 3, 5))
    with pytest.raises(InputError, match="differ in acquisition time"):
        open_dicom(place)
    np.testing.assert_array_equal(
        open_dicom(place, "acqtime=101530").planes(0, 3)[0], VOXELS[..., 1::2]
    )


@pytest.fixture
def echoes(dicom: Any, tmp_path: Path) -> Path:
    """Two echoes, of each a magnitude and a phase image, at three positions."""
    for index in range(12):
        echo, kind, place = index // 6, index // 3 % 2, index % 3
        own = {"EchoNumbers": echo + 1, **typed("MP"[kind]), "ImagePositionPatient": [0, 0, place]}
        dicom.file(
            tmp_path / "e" / f"{index}", np.full((3, 2), index, np.int16), number=index + 1, **own
        )
    return tmp_path / "e"


def test_numbers_mean_the_same_whatever_else_is_selected(dicom: Any, tmp_path: Path) -> None:
    """Of b=1000 the gradient is the second and the third of the series, not the first and the second of its own."""
    kinds: list[Elements] = [{"DiffusionBValue": 0.0}]
    kinds += [
        {"DiffusionBValue": 1000.0, "DiffusionGradientOrientation": way}
        for way in ([1, 0, 0], [0, 1, 0])
    ]
    for index in range(9):
        own = {**kinds[index // 3], "ImagePositionPatient": [0, 0, index % 3]}
        dicom.file(
            tmp_path / "d" / f"{index}", np.full((3, 2), index, np.int16), number=index + 1, **own
        )
    for choice in (None, "b=1000"):
        with pytest.raises(
            InputError, match=r"gradient=2  3 images such as 3(.|\n)*gradient=3  3 images such as 6"
        ):
            open_dicom(tmp_path / "d", choice)
    assert open_dicom(tmp_path / "d", "b=1000,gradient=3").planes(0, 3)[0, 0, 0].tolist() == [
        6,
        7,
        8,
    ]


def test_several_criteria(echoes: Path) -> None:
    with pytest.raises(
        InputError, match=r"found 4 groups .* differ in image type and echo number"
    ) as error:
        open_dicom(echoes)
    assert "--series 1:type=P,echo=2  3 images such as 9" in str(error.value)
    with pytest.raises(InputError, match=r"found 2 groups .* differ in image type") as error:
        open_dicom(echoes, "echo=2")
    assert "--series 1:echo=2,type=P  3 images such as 9" in str(error.value)
    assert open_dicom(echoes, "1:echo=2,type=p").planes(0, 3)[0, 0, 0].tolist() == [9, 10, 11]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("1:echo=3", r"--series echo=3: no image fits echo=3; echo is 1 \(6\), 2 \(6\)"),
        ("echo=1,echo=2", "no image fits all of it; 6 fit echo=2"),
        ("1:color=red", "--series color=red: write WORD=VALUE,... with the words patient, study"),
        ("2:echo=1", "--series 2:echo=1: no series fits; choose one of:"),
    ],
)
def test_selections_that_make_no_sense(echoes: Path, choice: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_dicom(echoes, choice)


def test_a_description_with_such_signs_is_one(dicom: Any, tmp_path: Path) -> None:
    dicom.series(tmp_path / "s", VOXELS, SeriesDescription="T2: b=0")
    assert open_dicom(tmp_path / "s", "T2: b=0").selection == ""
    assert open_dicom(tmp_path / "s", "T2: b=0:modality=CT").selection == "modality=CT"


def test_images_in_one_place_are_told_by_what_may_differ(dicom: Any, tmp_path: Path) -> None:
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


def enhanced(
    dicom: Any, path: Path, sequence: str = "MREchoSequence", values: Elements | None = None
) -> Path:
    """Frames at three positions, two at each, that take turns; ``values`` has a pair for each keyword of a sequence."""
    groups = []
    for index in range(6):
        group, position, item = (dicom.pydicom.Dataset() for _ in range(3))
        position.ImagePositionPatient = [0, 0, 5 * (index // 2)]
        for keyword, pair in (values or {"EffectiveEchoTime": (10.0, 30.0)}).items():
            setattr(item, keyword, pair[index % 2])
        group.PlanePositionSequence = [position]
        setattr(group, sequence, [item])
        groups.append(group)
    shared, directions, measures = (dicom.pydicom.Dataset() for _ in range(3))
    directions.ImageOrientationPatient, measures.PixelSpacing = [1, 0, 0, 0, 1, 0], [2, 3]
    measures.SliceThickness = 5
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [directions], [measures]
    top = dict.fromkeys(
        ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")
    )
    sequences = {
        "PerFrameFunctionalGroupsSequence": groups,
        "SharedFunctionalGroupsSequence": [shared],
    }
    frames = np.repeat(np.arange(6, dtype=np.int16), 12).reshape(6, 3, 4)
    kind = {"Modality": "MR", "SOPClassUID": dicom.pydicom.uid.EnhancedMRImageStorage}
    return Path(dicom.file(path, frames, **top, **sequences, **kind))


MAGNITUDE, PHASE = (["ORIGINAL", "PRIMARY", word, "NONE"] for word in "MP")


@pytest.mark.parametrize(
    ("sequence", "values", "choice"),
    [
        ("MREchoSequence", {"EffectiveEchoTime": (10.0, 30.0)}, "te=30"),
        ("MRImageFrameTypeSequence", {"FrameType": (MAGNITUDE, PHASE)}, "type=P"),
        (
            "MRImageFrameTypeSequence",
            {"ComplexImageComponent": ("MAGNITUDE", "PHASE")},
            "complex=PHASE",
        ),
        ("MRDiffusionSequence", {"DiffusionBValue": (0.0, 1000.0)}, "b=1000"),
        ("FrameContentSequence", {"TemporalPositionIndex": (1, 2)}, "time=2"),
        ("FrameContentSequence", {"StackID": ("1", "2")}, "stack=2"),
        (
            "FrameContentSequence",
            {"FrameAcquisitionDateTime": ("20260101235959", "20260102000001")},
            "repeat=2",
        ),
        ("FrameContentSequence", {"FrameAcquisitionNumber": (1, 2)}, "acquisition=2"),
        ("MRModifierSequence", {"InversionTimes": (300.0, 900.0)}, "ti=900"),
        ("MRTimingAndRelatedParametersSequence", {"FlipAngle": (5.0, 20.0)}, "flip=20"),
        ("MRArterialSpinLabelingSequence", {"ASLContext": ("LABEL", "CONTROL")}, "label=CONTROL"),
        ("CTReconstructionSequence", {"ConvolutionKernel": ("B30f", "B70f")}, "kernel=B70f"),
        ("CTXRayDetailsSequence", {"KVP": (80.0, 140.0)}, "kvp=140"),
        (
            "CardiacSynchronizationSequence",
            {"NominalCardiacTriggerDelayTime": (40.0, 80.0)},
            "trigger=80",
        ),
        (
            "CardiacSynchronizationSequence",
            {"NominalPercentageOfCardiacPhase": (40.0, 80.0)},
            "phase=80",
        ),
        ("TemporalPositionSequence", {"TemporalPositionTimeOffset": (0.0, 1.5)}, "time=1.5"),
        (
            "MRDiffusionSequence",
            {"DiffusionDirectionality": ("ISOTROPIC", "DIRECTIONAL")},
            "diffusion=DIRECTIONAL",
        ),
        (
            "MRVelocityEncodingSequence",
            {"VelocityEncodingDirection": ([1, 0, 0], [0, 1, 0])},
            "velocity=2",
        ),
        ("PixelValueTransformationSequence", {"RescaleType": ("US", "HU")}, "values=HU"),
        (
            "PixelValueTransformationSequence",
            {"RescaleSlope": (2, None), "RescaleIntercept": (0, None)},
            "rescale=none",
        ),
    ],
)
def test_places_in_an_enhanced_file(
    dicom: Any, tmp_path: Path, sequence: str, values: Elements, choice: str
) -> None:
    scan = enhanced(dicom, tmp_path / "e.dcm", sequence, values)
    with pytest.raises(
        InputError, match=rf"found 2 groups of images .*\n.*\n  --series 1:{choice}  3 images"
    ):
        open_dicom(scan)
    assert open_dicom(scan, choice).planes(0, 3)[0, 0, 0].tolist() == [1, 3, 5]


def test_frames_of_an_enhanced_file(dicom: Any, tmp_path: Path) -> None:
    scan = enhanced(dicom, tmp_path / "e.dcm")
    with pytest.raises(
        InputError, match="2 groups of images in series 1 that differ in echo time"
    ) as error:
        open_dicom(scan)
    assert "--series 1:te=30  3 images such as e.dcm frame 2" in str(error.value)
    source = open_dicom(scan, "te=30")
    assert source.planes(0, 3)[0, 0, 0].tolist() == [1, 3, 5]
    assert source.grid.affine[:3, 3].tolist() == [0, 0, 0]
    assert source.grid.spacing == (3, 2, 5)


def test_segments_of_some_frames_refer_to_these(dicom: Any, tmp_path: Path) -> None:
    source = open_dicom(enhanced(dicom, tmp_path / "e.dcm"), "te=30")
    labels = np.zeros((1, 4, 3, 3), np.uint8)
    labels[0, 1, 2, 1:] = 1
    volume = Volume(labels, source.grid.affine)
    segmentation, references = (
        pytest.importorskip(f"segkit.io.dicom.{name}")
        for name in ("results.segmentation_writer", "results.references")
    )
    algorithm = references.Algorithm("m", "1", "2")
    segmentation.write_segmentation(
        tmp_path / "seg.dcm", volume, source, {"a": (1,)}, algorithm=algorithm
    )
    found = read_segments(tmp_path / "seg.dcm", source.grid, {"a": 1})
    np.testing.assert_array_equal(found.labels.array, labels)
    made = dicom.pydicom.dcmread(tmp_path / "seg.dcm")
    frames = [
        int(group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber)
        for group in made.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(frames) == [4, 6]


PRIVATE = {
    "Siemens": (0x0019, "SIEMENS MR HEADER", 0x0C, "IS", 1000, "b=1000"),
    "Philips": (0x2001, "Philips Imaging DD 001", 0x03, "FL", 1000.0, "b=1000"),
    "GE": (0x0043, "GEMS_PARM_01", 0x39, "IS", [1_000_001_000, 8, 0, 0], "b=1000"),
    "GE, a part of a complex number": (0x0043, "GEMS_PARM_01", 0x2F, "SS", 1, "complex=PHASE"),
}


@pytest.mark.parametrize(
    ("group", "creator", "element", "kind", "value", "choice"), PRIVATE.values(), ids=PRIVATE
)
def test_places_that_vendors_have(
    dicom: Any,
    mixed: Mixed,
    group: int,
    creator: str,
    element: int,
    kind: str,
    value: Any,
    choice: str,
) -> None:
    place = mixed({}, {})
    for path in sorted(place.iterdir()):
        image = dicom.pydicom.dcmread(path)
        first = [0, *value[1:]] if isinstance(value, list) else type(value)(0)
        own = value if path.name in ("IM4", "IM5") else first
        image.private_block(group, creator, create=True).add_new(element, kind, own)
        image.save_as(path)
    with pytest.raises(InputError, match=f"--series 1:{choice}  2 images such as IM4"):
        open_dicom(place)
    assert open_dicom(place, choice).grid.shape == (2, 3, 2)


def test_a_mixture_is_never_passed_over_for_another_series(dicom: Any, mixed: Mixed) -> None:
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
