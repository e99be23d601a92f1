"""Properties are read from enhanced files and from private attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.io.dicom import open_dicom
from segkit.io.dicom.results.segmentation_reader import read_segments
from segkit.volume import Volume

Elements = Mapping[str, Any]
Mixed = Callable[..., Path]


def enhanced(
    dicom: Any, path: Path, sequence: str = "MREchoSequence", values: Elements | None = None
) -> Path:
    """Write an enhanced file with two frames at each of three positions.

    ``values`` has a pair for each keyword in ``sequence``: for the first and the second frame.
    """
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
def test_functional_groups_of_an_enhanced_file(
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


def test_segments_refer_to_the_selected_frames(dicom: Any, tmp_path: Path) -> None:
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
def test_private_attributes_of_vendors(
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
