"""Properties of an image that tell which images of a series make up one volume, such as the echo time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydicom.uid import UID

from segkit.io.dicom.frames import Frame
from segkit.io.dicom.series.attributes import Value, clustered, nearest, private, value_of

Values = Callable[[Sequence[Frame]], list[Value]]
Rule = Literal["equal", "in order", "quiet", "free"]
"""What a volume may have: one value; values that follow one another along the normal, which is said; the same without a
word; or any, so that the property only tells images in one place from each other, and is said where `SEVERAL` images or
more have each value."""

_CONTRASTS = {
    *(
        "M",
        "P",
        "R",
        "I",
        "MAGNITUDE",
        "PHASE",
        "REAL",
        "IMAGINARY",
        "W",
        "F",
        "WATER",
        "FAT",
        "IP",
        "OP",
        "IN",
        "OUT",
    ),
    *(
        "IN_PHASE",
        "OPP_PHASE",
        "OUT_PHASE",
        "OUT_OF_PHASE",
        "ADC",
        "EADC",
        "TRACEW",
        "TRACE",
        "FA",
        "SUB",
    ),
    *("SUBTRACTION", "MIP", "MINIP", "MPR"),
}
"""Words behind the third value of ImageType that say what the pixels are; others there are steps of processing."""
_FRAME_TYPES = tuple(f"{kind}FrameTypeSequence" for kind in ("MRImage", "CTImage", "PET"))
_DIFFUSION = "MRDiffusionSequence"
_HEART = "CardiacSynchronizationSequence"
TRIGGER_TIME = (f"{_HEART}.NominalCardiacTriggerDelayTime", "TriggerTime")
_B_VALUES = (
    ("SIEMENS MR HEADER", 0x0019, 0x0C),
    ("GEMS_PARM_01", 0x0043, 0x39),
    ("Philips Imaging DD 001", 0x2001, 0x03),
)
"""Private creator, group and element of b-values that stand in no standard place."""
_GE_COMPONENT = ("GEMS_PARM_01", 0x0043, 0x2F)
_COMPONENTS = {0.0: "MAGNITUDE", 1.0: "PHASE", 2.0: "REAL", 3.0: "IMAGINARY"}
"""Where GE says what a pixel is of a complex number, and its codes."""
_GE_OFFSET = 10**9
"""What GE adds to some b-values."""
SEVERAL = 3
"""Images that share a value, from which on the value is not of a single image."""
_DIRECTION = 1e-3
"""How far direction cosines of one volume may differ: 0.06 degrees."""


@dataclass(frozen=True)
class Property:
    """Something that images have; two images with equal ``values`` agree in it."""

    word: str
    """Its name on the command line."""
    title: str
    values: Values
    rule: Rule = "equal"
    shown: bool = True
    """Values are short and of no patient; others are numbered in the order in which they appear."""


def _each(read: Callable[[Frame], Value]) -> Values:
    return lambda frames: [read(frame) for frame in frames]


def _of(*paths: str) -> Values:
    return _each(lambda frame: value_of(frame, *paths))


def _numbers(*paths: str, tolerance: float) -> Values:
    return _each_number(lambda frame: value_of(frame, *paths), tolerance)


def _each_number(read: Callable[[Frame], Value], tolerance: float) -> Values:
    return lambda frames: clustered([read(frame) for frame in frames], tolerance)


def _vectors(read: Callable[[Frame], Any], tolerance: float) -> Values:
    """Replace vectors by the first one from which no element differs by more than the tolerance."""

    def values(frames: Sequence[Frame]) -> list[Value]:
        firsts: list[Any] = []
        return [nearest(read(frame), firsts, tolerance) for frame in frames]

    return values


def _type(frame: Frame) -> Value:
    """Return the third value of a frame's type, and the words behind it that say what the pixels are."""
    words = _image_type(frame)
    kept = [word for word in words[3:] if word in _CONTRASTS and word != words[2]]
    return "/".join([*words[2:3], *kept]) or None


def _image_type(frame: Frame) -> tuple[str, ...]:
    found = value_of(
        frame, *(f"{sequence}.FrameType" for sequence in _FRAME_TYPES), "FrameType", "ImageType"
    )
    return tuple(str(word or "").upper() for word in found) if isinstance(found, tuple) else ()


def _whole_type(frame: Frame) -> Value:
    """Return all words of a frame's type; the order of those behind the third means nothing."""
    words = _image_type(frame)
    return "/".join([*words[:3], *sorted(words[3:])]) or None


def _ct_times(frames: Sequence[Frame]) -> list[Value]:
    """Return the time of acquisition where each is that of several images of a CT; that of one image tells nothing.

    Slices of an MR are taken in any order, so that their times say nothing of passes.
    """
    times = [
        value_of(frame, "AcquisitionTime") if value_of(frame, "Modality") == "CT" else None
        for frame in frames
    ]
    return times if min(Counter(times).values(), default=0) >= SEVERAL else [None] * len(frames)


def _complex(frame: Frame) -> Value:
    paths = [f"{sequence}.ComplexImageComponent" for sequence in _FRAME_TYPES]
    standard = value_of(frame, *paths, "ComplexImageComponent")
    if standard is not None or value_of(frame, "Modality") != "MR":
        return standard
    number = private(frame, *_GE_COMPONENT)
    return _COMPONENTS.get(number) if isinstance(number, float) else None


def _class(frame: Frame) -> Value:
    uid = value_of(frame, "SOPClassUID")
    return (
        None
        if uid is None
        else re.sub(r"( Image)? Storage$", "", UID(str(uid)).name).replace(" ", "-")
    )


def _person(frame: Frame) -> Value:
    """Return number and name of the patient, however the name is spaced."""
    return tuple(
        re.sub(r"[\s^]+", " ", str(value_of(frame, keyword) or "")).strip().casefold()
        for keyword in ("PatientID", "PatientName")
    )


def _b_value(frame: Frame) -> Value:
    standard = value_of(frame, f"{_DIFFUSION}.DiffusionBValue", "DiffusionBValue")
    if standard is not None or value_of(frame, "Modality") != "MR":
        return standard
    return _private_b_value(frame)


def _private_b_value(frame: Frame) -> Value:
    for place in _B_VALUES:
        number = private(frame, *place)
        if isinstance(number, float):
            return number % _GE_OFFSET
    named = re.search(r"ep_b([0-9]+)", str(value_of(frame, "SequenceName") or ""))
    return float(named[1]) if named else None


def _gradient(frame: Frame) -> Value:
    nested = f"{_DIFFUSION}.DiffusionGradientDirectionSequence.DiffusionGradientOrientation"
    return _vector(frame, nested, "DiffusionGradientOrientation")


def _velocity(frame: Frame) -> Value:
    return _vector(frame, "MRVelocityEncodingSequence.VelocityEncodingDirection")


def _vector(frame: Frame, *paths: str) -> Value:
    found = value_of(frame, *paths)
    return (
        found
        if isinstance(found, tuple) and all(isinstance(each, float) for each in found)
        else None
    )


def _size(frame: Frame) -> Value:
    header = frame.instance.header
    return f"{header.get('Columns')}x{header.get('Rows')}"


def _spacing(frame: Frame) -> Value:
    return frame.spacing and "x".join(f"{round(edge, 4):g}" for edge in frame.spacing)


def _rescaled(frames: Sequence[Frame]) -> list[Value]:
    """Return whether numbers are rescaled; a slope of 1 and an intercept of 0 agree with those that have none."""
    there = [
        value_of(frame, _scale("Slope"), "RescaleSlope", _scale("Intercept"), "RescaleIntercept")
        for frame in frames
    ]
    changes = any((frame.slope, frame.intercept) != (1, 0) for frame in frames)
    return ["none" if changes and each is None else "yes" for each in there]


def _scale(name: str) -> str:
    return f"PixelValueTransformationSequence.Rescale{name}"


PROPERTIES = (
    Property("patient", "patient", _each(_person), shown=False),
    Property("study", "study", _of("StudyInstanceUID"), shown=False),
    Property("number", "series number", _of("SeriesNumber")),
    Property("modality", "modality", _of("Modality")),
    Property("class", "kind of DICOM object", _each(_class)),
    Property("frame", "frame of reference", _of("FrameOfReferenceUID"), shown=False),
    Property("position", "patient position", _of("PatientPosition")),
    Property("stack", "stack", _of("FrameContentSequence.StackID", "StackID")),
    Property("type", "image type", _each(_type)),
    Property("complex", "complex component", _each(_complex)),
    Property("photometric", "photometric interpretation", _of("PhotometricInterpretation")),
    Property("units", "units", _of("Units")),
    Property("suv", "kind of SUV", _of("SUVType")),
    Property("correction", "corrections", _of("CorrectedImage"), shown=False),
    Property("decay", "decay correction", _of("DecayCorrection")),
    Property("counts", "source of counts", _of("CountsSource")),
    Property("rescale", "rescaling of numbers", _rescaled),
    Property("values", "type of rescaled values", _of(_scale("Type"), "RescaleType")),
    Property("echo", "echo number", _of("EchoNumbers")),
    Property(
        "te", "echo time", _numbers("MREchoSequence.EffectiveEchoTime", "EchoTime", tolerance=0.001)
    ),
    Property(
        "flip",
        "flip angle",
        _numbers("MRTimingAndRelatedParametersSequence.FlipAngle", "FlipAngle", tolerance=0.5),
    ),
    Property("sequence", "scanning sequence", _of("ScanningSequence")),
    Property("label", "spin label", _of("MRArterialSpinLabelingSequence.ASLContext")),
    Property("b", "b-value", _each_number(_b_value, 2)),
    Property("gradient", "diffusion gradient", _vectors(_gradient, 0.05), shown=False),
    Property(
        "diffusion",
        "diffusion directionality",
        _of(f"{_DIFFUSION}.DiffusionDirectionality", "DiffusionDirectionality"),
    ),
    Property("velocity", "velocity encoding", _vectors(_velocity, 0.05), shown=False),
    Property(
        "time",
        "temporal position",
        _of(
            "FrameContentSequence.TemporalPositionIndex",
            "TemporalPositionIndex",
            "TemporalPositionIdentifier",
            "TemporalPositionSequence.TemporalPositionTimeOffset",
        ),
    ),
    Property(
        "direction", "direction", _vectors(lambda frame: frame.orientation, _DIRECTION), shown=False
    ),
    Property("size", "size", _each(_size)),
    Property("spacing", "PixelSpacing", _each(_spacing)),
    Property(
        "acquisition",
        "acquisition",
        _of("FrameContentSequence.FrameAcquisitionNumber", "AcquisitionNumber"),
        "quiet",
    ),
    Property("acqtime", "acquisition time", _ct_times, "quiet"),
    Property(
        "ti",
        "inversion time",
        _numbers("MRModifierSequence.InversionTimes", "InversionTime", tolerance=0.5),
        "in order",
    ),
    Property(
        "kernel",
        "reconstruction kernel",
        _of("CTReconstructionSequence.ConvolutionKernel", "ConvolutionKernel"),
        "in order",
    ),
    Property("kvp", "tube voltage", _of("CTXRayDetailsSequence.KVP", "KVP"), "in order"),
    Property("contrast", "contrast agent", _of("ContrastBolusAgent"), "in order", shown=False),
    Property(
        "description", "series description", _of("SeriesDescription"), "in order", shown=False
    ),
    Property("flags", "whole image type", _each(_whole_type), "in order"),
    Property(
        "phase",
        "cardiac phase",
        _numbers(
            f"{_HEART}.NominalPercentageOfCardiacPhase",
            "NominalPercentageOfCardiacPhase",
            tolerance=2,
        ),
        "in order",
    ),
    Property(
        "reftime", "frame reference time", _numbers("FrameReferenceTime", tolerance=1), "quiet"
    ),
    Property("trigger", "trigger time", _numbers(*TRIGGER_TIME, tolerance=0.01), "free"),
    Property("tr", "repetition time", _of("RepetitionTime"), "free"),
)
"""In the order in which words are offered. A property that is not listed, such as the window, may differ."""
