"""Write DICOM results of DICOM scans, and warn where modality or slices do not suit the model."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from segkit._version import __version__
from segkit.errors import first_few
from segkit.files.names import DICOM, suffix_of
from segkit.inference.files.outputs import Job
from segkit.inference.files.scan import Scan
from segkit.io.dicom import DicomScan, dicom_module
from segkit.labels.codes import UNKNOWN, SegmentCodes, colors_of
from segkit.plans.plan import ChannelPlan, Plan
from segkit.volume import Volume

if TYPE_CHECKING:
    from segkit.inference.predictor import Predictor

log = logging.getLogger(__name__)

_WORDS = {
    "CT": {"ct", "hu", "cect", "ncct", "cbct"},
    "MR": {
        "mr",
        "mri",
        "t1",
        "t2",
        "t1w",
        "t2w",
        "t1c",
        "t1ce",
        "t1gd",
        "flair",
        "dwi",
        "adc",
        "pd",
        "swi",
    },
    "PT": {"pt", "pet", "suv", "fdg"},
}
"""Words in the name of a channel that indicate its modality."""


def other_modality(scan: Scan, plan: Plan) -> dict[str, str]:
    """Return a warning, by channel, where the modality of a DICOM scan is not the model's.

    `segkit.preprocessing.scan_checks` compares the values of the other channels.
    """
    if scan.dicom is None:
        return {}
    channel, modality = plan.channels[scan.first_index], scan.dicom.source.series.modality
    expected = modality_of(channel)
    if not expected or not modality or modality == expected:
        return {}
    return {
        channel.name: f"its modality is {modality}, and the model was trained on {expected} "
        f"(channel {channel.name}); the result may mean nothing"
    }


def warn_of_uneven_slices(job: Job) -> None:
    """Log that files other than DICOM have evenly spaced planes instead of the scan's slices."""
    if job.scan.dicom is None or job.scan.dicom.source.stack.is_even:
        return
    source = job.scan.dicom.source
    others = [path.name for path in job.files if suffix_of(path) != DICOM and path != job.preview]
    if others:
        log.warning(
            "%s: its %d slices are of more than one thickness; %s %s %d evenly spaced planes "
            "instead, %.4g mm apart. DICOM-SEG (-o NAME.dcm) and RTSTRUCT keep the original slices",
            job.scan.where,
            len(source.stack.frames),
            " and ".join(others),
            "has" if len(others) == 1 else "have",
            source.grid.shape[2],
            source.plane_distance,
        )


def modality_of(channel: ChannelPlan) -> str | None:
    """Return CT, MR or PT where the channel's normalization or name tells it, else None.

    >>> modality_of(ChannelPlan("image", "ct")), modality_of(ChannelPlan("FLAIR", "zscore"))
    ('CT', 'MR')
    """
    if channel.scheme == "ct":
        return "CT"
    words = set(re.findall(r"[a-z0-9]+", channel.name.lower()))
    modalities = [modality for modality, its_words in _WORDS.items() if words & its_words]
    return modalities[0] if len(modalities) == 1 else None


def check_dicom_output(job: Job, plan: Plan, names: Mapping[str, int], *, labelmap: bool) -> None:
    """Check before the prediction that the DICOM files of a job can be written.

    Args:
        job: the job.
        plan: plan of the model.
        names: value of each label that is kept, by name.
        labelmap: True for DICOM-SEG of the kind LABELMAP.

    Raises:
        InputError: see `write_segments` and `write_structures`.
    """
    if "structures" in job.extras:
        dicom_module("results.references").check_references(_dicom(job).source)
    if suffix_of(job.output) == DICOM:
        check = dicom_module("results.segmentation_writer").check_segmentation
        check(job.output, _dicom(job).source, _segment_values(names, plan), labelmap=labelmap)


def write_segments(
    job: Job, labels: Volume, predictor: Predictor, names: Mapping[str, int], *, labelmap: bool
) -> None:
    """Write the label map as DICOM-SEG.

    Args:
        job: the job, whose output is a DICOM file.
        labels: label map (1, X, Y, Z).
        predictor: the model, which the file names as its algorithm.
        names: value of each label that is kept, by name.
        labelmap: True for the kind LABELMAP, False for BINARY.

    Raises:
        InputError: images that a SEG cannot refer to, or labels that a LABELMAP cannot hold.
    """
    dicom_module("results.segmentation_writer").write_segmentation(
        job.output,
        labels,
        _dicom(job).source,
        _segment_values(names, predictor.plan),
        algorithm=_algorithm(predictor),
        labelmap=labelmap,
        codes=_codes(predictor.plan),
    )


def write_structures(
    job: Job, labels: Volume, predictor: Predictor, names: Mapping[str, int]
) -> None:
    """Write the outlines of the label map as an RT Structure Set.

    Args:
        job: the job.
        labels: label map (1, X, Y, Z).
        predictor: the model, which the file names as its algorithm.
        names: value of each label that is kept, by name.

    Raises:
        InputError: images without a position in the patient.
    """
    dicom_module("results.structure_set_writer").write_structure_set(
        job.structures,
        labels,
        _dicom(job).source,
        _segment_values(names, predictor.plan),
        algorithm=_algorithm(predictor),
        codes=_codes(predictor.plan),
    )


def _codes(plan: Plan) -> dict[str, SegmentCodes]:
    """Return the codes of each label, with the color that it has in every picture."""
    colors = colors_of(plan.labels, plan.segments)
    return {
        name: dataclasses.replace(plan.segments.get(name, UNKNOWN), colour=colors[name])
        for name in plan.labels
    }


def _dicom(job: Job) -> DicomScan:
    if job.scan.dicom is None:
        raise ValueError(f"{job.scan.where} is no DICOM; check_jobs should have refused the job")
    return job.scan.dicom


def _segment_values(names: Mapping[str, int], plan: Plan) -> dict[str, tuple[int, ...]]:
    """Return the values in the label map of each segment; a region has several."""
    return {name: plan.regions.get(name, (value,)) for name, value in names.items()}


def _algorithm(predictor: Predictor) -> object:
    bundles = predictor.bundles
    name = first_few([bundle.name for bundle in bundles], 1)
    return dicom_module("results.references").Algorithm(name, bundles[0].hash, __version__)
