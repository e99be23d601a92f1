"""Open the requested series of a file, folder or zip, or all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from segkit.errors import InputError, SegkitError, SeveralSeries, UsageError
from segkit.io.dicom.files.detection import scan_name
from segkit.io.dicom.files.dicom_file import DicomFile
from segkit.io.dicom.frames import frames_of
from segkit.io.dicom.headers import guarded
from segkit.io.dicom.series.image_groups import are_scan
from segkit.io.dicom.series.selection import ALL, Selection, looks_like_selection, selection_of
from segkit.io.dicom.series.study import LostSlices, Series, read_study
from segkit.io.dicom.source import DicomSource, open_series
from segkit.volume import Grid

log = logging.getLogger(__name__)

_NEXT = 0.05
"""Largest distance of a slice from the next position of a volume, in voxels."""


def open_dicom(path: Path, choice: str | None = None) -> DicomSource:
    """Open the requested series, or a selection of its images.

    Without a choice, the only series is opened; if one study has several series, the only one that
    is a volume of more than one slice.

    Args:
        path: a file, folder or zip.
        choice: a number in the list that the message shows, a SeriesInstanceUID or a description.
            A selection of images may follow after a colon, or stand alone, as in
            ``3:echo=2,type=M`` (see `segkit.io.dicom.series.selection`).

    Raises:
        InputError: there are no images, or the series is not a volume.
        SeveralSeries: it is not clear which series is meant; the message lists them all.
        UsageError: no series, or more than one, fits the choice.
    """
    with guarded(path):
        source = _open_one(path, read_study(path), choice)
    _warn(path, source.notes)
    return source


def _open_one(path: Path, study: Sequence[Series], choice: str | None) -> DicomSource:
    series, selection = _chosen(path, study, choice) if choice is not None else (None, ALL)
    if series or len(study) == 1:
        return open_series(series or study[0], selection)
    sources, refused = _open_each(study, selection)
    volumes = [source for source in sources if source.grid.shape[2] > 1]
    studies = len({str(series.header.get("StudyInstanceUID")) for series in study})
    count = len(volumes) + len(refused)
    if studies == 1 and count == 1 and not _is_continued(volumes, sources):
        if refused:
            raise refused[0]
        log.info("%s: of %d series, one is a volume: %s", path, len(study), volumes[0].series)
        return volumes[0]
    of_studies = f" of {studies} studies" if studies > 1 else ""
    volumes_text = (
        f"{count} of them volumes" if count else "none of them a volume of several slices"
    )
    raise SeveralSeries(
        f"{path}: {len(study)} series{of_studies}, {volumes_text}",
        f"choose by --series, such as --series 1, or --series all for each:{_listed(study)}",
    )


def _warn(path: Path, notes: Iterable[str]) -> None:
    for note in notes:
        log.warning("%s: %s", path, note)


def open_all_series(path: Path, name: str = "") -> dict[str, DicomSource | InputError]:
    """Open each series that is a volume, keyed by a name for its output; the log names the others.

    The name consists of the folders below ``path`` that hold the series, if they hold no other
    series; else of the name of ``path`` and the number of the series in the list. In place of a
    scan that is not a volume, because it mixes several volumes or has lost slices, its error is
    returned.

    Args:
        path: a file, folder or zip.
        name: name of ``path``, if it is a part of a folder.

    Raises:
        InputError: no series is a scan.
    """
    with guarded(path):
        study = read_study(path)
        scans = _open_scans(path, study, name)
    if not scans:
        raise InputError(
            path,
            expected="at least one series that is a volume",
            found=f"none of {len(study)}",
            remedy="The log says what is wrong with each.",
        )
    sources = [scan for scan in scans.values() if isinstance(scan, DicomSource)]
    _warn(path, dict.fromkeys(note for source in sources for note in source.notes))
    return scans


def _open_scans(
    path: Path, study: Sequence[Series], name: str
) -> dict[str, DicomSource | InputError]:
    scans: dict[str, DicomSource | InputError] = {}
    for series in study:
        try:
            with guarded(path):
                scans[_output_name(path, series, study, parent=name)] = open_series(series)
        except InputError as error:
            if _is_scan(series, error):
                scans[_output_name(path, series, study, parent=name)] = error
                continue
            log.warning("series %d is left out: %s", series.number, error)
    return scans


def _open_each(
    study: Sequence[Series], selection: Selection
) -> tuple[list[DicomSource], list[SegkitError]]:
    """Return the series that are volumes or single slices, and the errors of unusable scans."""
    sources: list[DicomSource] = []
    refused: list[SegkitError] = []
    for series in study:
        try:
            with guarded(series.path):
                sources.append(open_series(series, selection))
        except (InputError, UsageError) as error:
            if _is_scan(series, error):
                refused.append(error)
            log.debug("%s", error)
    return sources, refused


def _is_continued(volumes: Sequence[DicomSource], sources: Sequence[DicomSource]) -> bool:
    """Return whether another series is the slice directly before or after one of the volumes."""
    return any(
        _lies_next(source.grid, volume.grid)
        for volume in volumes
        for source in sources
        if source is not volume
    )


def _lies_next(image: Grid, volume: Grid) -> bool:
    if image.unit != volume.unit or (*image.shape[:2], 1) != (*volume.shape[:2], image.shape[2]):
        return False
    to_volume = np.linalg.inv(volume.affine) @ image.affine
    same_plane = np.abs(to_volume[:3, :2] - np.eye(3)[:, :2]).max() < _NEXT
    touches = [
        np.abs(to_volume[:3, 3] - (0, 0, index)).max() < _NEXT for index in (-1, volume.shape[2])
    ]
    return bool(same_plane) and any(touches)


def _is_scan(series: Series, error: SegkitError) -> bool:
    """Return whether a series that cannot be used is a scan rather than a localizer or picture."""
    if isinstance(error, UsageError):
        return False
    if isinstance(error, LostSlices):
        return True
    try:
        return are_scan([frame for instance in series.instances for frame in frames_of(instance)])
    except InputError:
        return len(series.instances) > 2


def _chosen(path: Path, study: Sequence[Series], choice: str) -> tuple[Series | None, Selection]:
    """Return the series and the selection of images that a choice denotes.

    The series is None if the choice is only a selection.
    """
    fitting = _fitting(study, choice)
    selection = ALL
    if not fitting and looks_like_selection(choice.rpartition(":")[2]):
        series_choice, colon, selection_text = choice.rpartition(":")
        selection = selection_of(selection_text)
        if not colon:
            return None, selection
        fitting = _fitting(study, series_choice)
    if len(fitting) != 1:
        fits = f"{len(fitting)} series fit" if fitting else "no series fits"
        raise UsageError(
            f"{path}: --series {choice}: {fits}; give the first number of one of these lines, "
            f"or its whole description:{_listed(study)}"
        )
    return fitting[0], selection


def _fitting(study: Sequence[Series], choice: str) -> list[Series]:
    """Return the series with this number, UID or description."""
    if choice.isdecimal() and 1 <= int(choice) <= len(study):
        return [study[int(choice) - 1]]
    fitting = [series for series in study if choice in (series.uid, series.description)]
    return fitting or [
        series for series in study if choice.casefold() == series.description.casefold()
    ]


def _listed(study: Sequence[Series]) -> str:
    return "".join(f"\n  {series.number}  {series}" for series in study)


def _output_name(path: Path, series: Series, study: Sequence[Series], *, parent: str) -> str:
    folders = {instance.file.folder for instance in series.instances}
    other_folders = {
        instance.file.folder
        for other in study
        if other is not series
        for instance in other.instances
    }
    parts = _folders_below(path, series.instances[0].file)
    if parent:
        parts = (parent, *parts)
    if len(folders) == 1 and not folders & other_folders and parts:
        return "_".join(parts)
    return f"{parent or scan_name(path)}_series{series.number}"


def _folders_below(path: Path, file: DicomFile) -> tuple[str, ...]:
    folder = PurePosixPath(file.folder)
    parts = folder.parts if file.member else folder.relative_to(path.as_posix()).parts
    return tuple(part for part in parts if part != ".")
