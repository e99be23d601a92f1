"""Properties, such as the echo time, by which images of a series are assigned to volumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segkit.io.dicom.series.property_values import (
    DIFFUSION,
    Values,
    attribute,
    b_value,
    complex_component,
    ct_acquisition_times,
    each_frame,
    gradient,
    image_size,
    numbers,
    patient,
    pixel_spacing,
    pixel_type,
    rescale,
    rescaling,
    similar_numbers,
    similar_vectors,
    sop_class,
    velocity,
    whole_image_type,
)

Rule = Literal["equal", "ordered", "ordered, unreported", "any"]
"""Rule for the values of a property within one volume.

* ``equal``: all images have the same value.
* ``ordered``: the value may change along the normal but not change back; changes are reported.
* ``ordered, unreported``: the same, but changes are not reported.
* ``any``: any values are allowed. The property only distinguishes images at the same position, and
  changes are reported if at least `property_values.SEVERAL` images share each value.
"""
_HEART = "CardiacSynchronizationSequence"
TRIGGER_TIME = (f"{_HEART}.NominalCardiacTriggerDelayTime", "TriggerTime")
_SAME_DIRECTION = 1e-3
"""Largest difference between the direction cosines of images of one volume (0.06 degrees)."""


@dataclass(frozen=True)
class Property:
    """Property of images that can be compared, such as the echo time."""

    word: str
    """Name on the command line."""
    title: str
    """Name in messages."""
    values: Values
    rule: Rule = "equal"
    shown: bool = True
    """True if values can be shown: they are short and do not identify a patient.

    Otherwise they are replaced by numbers, in the order in which they appear.
    """


PROPERTIES = (
    Property("patient", "patient", each_frame(patient), shown=False),
    Property("study", "study", attribute("StudyInstanceUID"), shown=False),
    Property("number", "series number", attribute("SeriesNumber")),
    Property("modality", "modality", attribute("Modality")),
    Property("class", "kind of DICOM object", each_frame(sop_class)),
    Property("frame", "frame of reference", attribute("FrameOfReferenceUID"), shown=False),
    Property("position", "patient position", attribute("PatientPosition")),
    Property("stack", "stack", attribute("FrameContentSequence.StackID", "StackID")),
    Property("type", "image type", each_frame(pixel_type)),
    Property("complex", "complex component", each_frame(complex_component)),
    Property("photometric", "photometric interpretation", attribute("PhotometricInterpretation")),
    Property("units", "units", attribute("Units")),
    Property("suv", "kind of SUV", attribute("SUVType")),
    Property("correction", "corrections", attribute("CorrectedImage"), shown=False),
    Property("decay", "decay correction", attribute("DecayCorrection")),
    Property("counts", "source of counts", attribute("CountsSource")),
    Property("rescale", "rescaling of numbers", rescaling),
    Property("values", "type of rescaled values", attribute(rescale("Type"), "RescaleType")),
    Property("echo", "echo number", attribute("EchoNumbers")),
    Property(
        "te", "echo time", numbers("MREchoSequence.EffectiveEchoTime", "EchoTime", tolerance=0.001)
    ),
    Property(
        "flip",
        "flip angle",
        numbers("MRTimingAndRelatedParametersSequence.FlipAngle", "FlipAngle", tolerance=0.5),
    ),
    Property("sequence", "scanning sequence", attribute("ScanningSequence")),
    Property("label", "spin label", attribute("MRArterialSpinLabelingSequence.ASLContext")),
    Property("b", "b-value", similar_numbers(b_value, 2)),
    Property("gradient", "diffusion gradient", similar_vectors(gradient, 0.05), shown=False),
    Property(
        "diffusion",
        "diffusion directionality",
        attribute(f"{DIFFUSION}.DiffusionDirectionality", "DiffusionDirectionality"),
    ),
    Property("velocity", "velocity encoding", similar_vectors(velocity, 0.05), shown=False),
    Property(
        "time",
        "temporal position",
        attribute(
            "FrameContentSequence.TemporalPositionIndex",
            "TemporalPositionIndex",
            "TemporalPositionIdentifier",
            "TemporalPositionSequence.TemporalPositionTimeOffset",
        ),
    ),
    Property(
        "direction",
        "direction",
        similar_vectors(lambda frame: frame.orientation, _SAME_DIRECTION),
        shown=False,
    ),
    Property("size", "size", each_frame(image_size)),
    Property("spacing", "PixelSpacing", each_frame(pixel_spacing)),
    Property(
        "acquisition",
        "acquisition",
        attribute("FrameContentSequence.FrameAcquisitionNumber", "AcquisitionNumber"),
        "ordered, unreported",
    ),
    Property("acqtime", "acquisition time", ct_acquisition_times, "ordered, unreported"),
    Property(
        "ti",
        "inversion time",
        numbers("MRModifierSequence.InversionTimes", "InversionTime", tolerance=0.5),
        "ordered",
    ),
    Property(
        "kernel",
        "reconstruction kernel",
        attribute("CTReconstructionSequence.ConvolutionKernel", "ConvolutionKernel"),
        "ordered",
    ),
    Property("kvp", "tube voltage", attribute("CTXRayDetailsSequence.KVP", "KVP"), "ordered"),
    Property("contrast", "contrast agent", attribute("ContrastBolusAgent"), "ordered", shown=False),
    Property(
        "description", "series description", attribute("SeriesDescription"), "ordered", shown=False
    ),
    Property("flags", "whole image type", each_frame(whole_image_type), "ordered"),
    Property(
        "phase",
        "cardiac phase",
        numbers(
            f"{_HEART}.NominalPercentageOfCardiacPhase",
            "NominalPercentageOfCardiacPhase",
            tolerance=2,
        ),
        "ordered",
    ),
    Property(
        "reftime",
        "frame reference time",
        numbers("FrameReferenceTime", tolerance=1),
        "ordered, unreported",
    ),
    Property("trigger", "trigger time", numbers(*TRIGGER_TIME, tolerance=0.01), "any"),
    Property("tr", "repetition time", attribute("RepetitionTime"), "any"),
)
"""All properties, in the order in which they are offered to the user.

An attribute that is not listed, such as the display window, may differ within a volume.
"""
