"""Which of the series of a DICOM place is meant."""

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
from segkit.io.dicom.series.image_groups import (
    ALL,
    Selection,
    are_scan,
    looks_like_selection,
    selection_of,
)
from segkit.io.dicom.series.study import LostSlices, Series, read_study
from segkit.io.dicom.source import DicomSource, open_series
from segkit.volume import Grid

log = logging.getLogger(__name__)

_NEXT = 0.05
"""How far the next slice of a volume may lie from its place, in voxels."""


def open_dicom(place: Path, choice: str | None = None) -> DicomSource:
    """The one series that is meant, or the part of it.

    ``choice`` is a number of the list that the message shows, a SeriesInstanceUID or a description; behind it, after a
    colon, or alone may stand which of its images, as in ``3:echo=2,type=M`` (`image_groups`). Without a series, a
    single one is taken, or of several of one study the only one that is a volume of more than one slice.

    Raises:
        InputError: no images, or the series is no volume.
        SeveralSeries: it is not clear which series is meant; the message lists all.
        UsageError: a choice that fits none.
    """
    with guarded(place):
        source = _one_of(place, read_study(place), choice)
    _say(place, source.notes)
    return source


def _one_of(place: Path, study: Sequence[Series], choice: str | None) -> DicomSource:
    series, selection = _chosen(place, study, choice) if choice is not None else (None, ALL)
    if series or len(study) == 1:
        return open_series(series or study[0], selection)
    sources, refused = _opened(study, selection)
    volumes = [source for source in sources if source.grid.shape[2] > 1]
    studies = len({str(series.header.get("StudyInstanceUID")) for series in study})
    if studies == 1 and len(volumes) + len(refused) == 1 and not _is_continued(volumes, sources):
        if refused:
            raise refused[0]
        log.info("%s: of %d series, one is a volume: %s", place, len(study), volumes[0].series)
        return volumes[0]
    of = f" of {studies} studies" if studies > 1 else ""
    count = len(volumes) + len(refused)
    raise SeveralSeries(
        f"{place}: {len(study)} series{of}, {_how_many(count)}; choose by --series:{_listed(study)}"
    )


def _say(place: Path, notes: Iterable[str]) -> None:
    for note in notes:
        log.warning("%s: %s", place, note)


def open_all_series(place: Path, name: str = "") -> dict[str, DicomSource | InputError]:
    """Every series of a place that is a volume, by a name that can be a file's; the others are named in the log.

    The name is that of the folders it lies in, below the place, where no other series lies there, and else the place's
    with the number that the series has in the list. ``name`` is what a place is called that is a part of a folder.
    A scan that is no volume, because it is a mixture or has lost slices, is there with what is wrong with it.

    Raises:
        InputError: no series is a scan.
    """
    with guarded(place):
        study = read_study(place)
        found = _volumes(place, study, name)
    if not found:
        raise InputError(
            place,
            expected="at least one series that is a volume",
            found=f"none of {len(study)}",
            remedy="The log says what is wrong with each.",
        )
    notes = (
        note
        for source in found.values()
        if isinstance(source, DicomSource)
        for note in source.notes
    )
    _say(place, dict.fromkeys(notes))
    return found


def _volumes(
    place: Path, study: Sequence[Series], name: str
) -> dict[str, DicomSource | InputError]:
    found: dict[str, DicomSource | InputError] = {}
    for series in study:
        try:
            with guarded(place):
                found[_name(place, series, study, outer=name)] = open_series(series)
        except InputError as error:
            if _is_scan(series, error):
                found[_name(place, series, study, outer=name)] = error
                continue
            log.warning("series %d is left out: %s", series.number, error)
    return found


def _opened(
    study: Sequence[Series], selection: Selection
) -> tuple[list[DicomSource], list[SegkitError]]:
    """Return the series that are volumes or single slices, and what is wrong with other scans."""
    sources: list[DicomSource] = []
    refused: list[SegkitError] = []
    for series in study:
        try:
            with guarded(series.path):
                sources.append(open_series(series, selection))
        except (InputError, UsageError) as error:
            refused += [error] if _is_scan(series, error) else []
            log.debug("%s", error)
    return sources, refused


def _is_continued(volumes: Sequence[DicomSource], others: Sequence[DicomSource]) -> bool:
    """Return whether a single image of another series lies where the slice before or behind a volume would lie."""
    return any(
        _lies_next(other.grid, volume.grid)
        for volume in volumes
        for other in others
        if other is not volume
    )


def _lies_next(image: Grid, volume: Grid) -> bool:
    if image.unit != volume.unit or (*image.shape[:2], 1) != (*volume.shape[:2], image.shape[2]):
        return False
    to_volume = np.linalg.inv(volume.affine) @ image.affine
    in_plane = np.abs(to_volume[:3, :2] - np.eye(3)[:, :2]).max() < _NEXT
    places = [
        np.abs(to_volume[:3, 3] - (0, 0, index)).max() < _NEXT for index in (-1, volume.shape[2])
    ]
    return bool(in_plane) and any(places)


def _is_scan(series: Series, error: SegkitError) -> bool:
    """Return whether a series that cannot be used is a scan that someone may want, and no localizer or picture."""
    if isinstance(error, UsageError):
        return False
    try:
        return isinstance(error, LostSlices) or are_scan(
            [f for each in series.instances for f in frames_of(each)]
        )
    except InputError:
        return len(series.instances) > 2


def _chosen(place: Path, study: Sequence[Series], choice: str) -> tuple[Series | None, Selection]:
    """Return the series that a choice names, None where it says only which images; and the selection of images."""
    fitting = _fitting(study, choice)
    selection = ALL
    if not fitting and looks_like_selection(choice.rpartition(":")[2]):
        first, colon, rest = choice.rpartition(":")
        selection = selection_of(rest)
        if not colon:
            return None, selection
        fitting = _fitting(study, first)
    if len(fitting) != 1:
        found = f"{len(fitting)} series fit" if fitting else "no series fits"
        raise UsageError(f"{place}: --series {choice}: {found}; choose one of:{_listed(study)}")
    return fitting[0], selection


def _fitting(study: Sequence[Series], choice: str) -> list[Series]:
    """Return the series of this number, UID or description."""
    if choice.isdecimal() and 1 <= int(choice) <= len(study):
        return [study[int(choice) - 1]]
    fitting = [series for series in study if choice in (series.uid, series.description)]
    return fitting or [
        series for series in study if choice.casefold() == series.description.casefold()
    ]


def _how_many(count: int) -> str:
    return f"{count} of them volumes" if count else "none of them a volume of several slices"


def _listed(study: Sequence[Series]) -> str:
    return "".join(f"\n  {series.number}  {series}" for series in study)


def _name(place: Path, series: Series, study: Sequence[Series], *, outer: str) -> str:
    folders = {instance.file.folder for instance in series.instances}
    others = {
        instance.file.folder for each in study if each is not series for instance in each.instances
    }
    inner = [*([outer] if outer else []), *_below(place, series.instances[0].file)]
    if len(folders) == 1 and not folders & others and inner:
        return "_".join(inner)
    return f"{outer or scan_name(place)}_series{series.number}"


def _below(place: Path, file: DicomFile) -> tuple[str, ...]:
    folder = PurePosixPath(file.folder)
    parts = folder.parts if file.member else folder.relative_to(place.as_posix()).parts
    return tuple(part for part in parts if part != ".")
