"""Jobs for scans in a folder whose results go to another folder, in formats that platforms take."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

from segkit.inference.files.channels import ModelChannels
from segkit.inference.files.inputs import ALL_SERIES, find_scans
from segkit.inference.files.outputs import Job, plan_jobs
from segkit.inference.files.scan import Scan
from segkit.io.dicom.files.detection import is_dicom
from segkit.io.dicom.files.folders import study_parts
from segkit.volume import Unit

NAME = "segmentation"
"""Name of the label map of a folder that is one scan, instead of the name of the mounted folder."""


def folder_jobs(folder: Path, output: Path, channels: ModelChannels, unit: Unit) -> list[Job]:
    """Return a job for every scan and every DICOM series that is a volume below a folder.

    The result of DICOM is a DICOM-SEG, that of other formats a file in the usual format.

    Args:
        folder: scans, DICOM images or folders of them.
        output: folder of the results.
        channels: channels of the model.
        unit: unit of the model's grid, which chooses the format.

    Raises:
        InputError: the folder has no scan.
        UsageError: two scans of the same name.
    """
    series = ALL_SERIES if is_dicom(folder) or study_parts(folder) else None
    scans = [_named(scan, folder) for scan in find_scans([folder], channels, series)]
    return [
        job
        for scan in scans
        for job in plan_jobs(
            [scan], f"{output}{os.sep}", many=True, unit=unit, dicom=scan.dicom is not None
        )
    ]


def _named(scan: Scan, folder: Path) -> Scan:
    """Return a scan that is not called after the mounted folder, whose name says nothing.

    Files, and series in folders of their own, keep their names.
    """
    own = folder.resolve().name
    if scan.images != (folder,) or not re.fullmatch(rf"{re.escape(own)}(_series\d+)?", scan.id):
        return scan
    return dataclasses.replace(scan, id=NAME + scan.id.removeprefix(own))
