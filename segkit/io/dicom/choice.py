"""Which of the series of a DICOM place is meant."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from segkit.errors import InputError, UsageError
from segkit.io.dicom.files import DicomFile, place_id
from segkit.io.dicom.source import DicomSource, open_series
from segkit.io.dicom.study import Series, guarded, read_study

log = logging.getLogger(__name__)


def open_place(place: Path, choice: str | None = None) -> DicomSource:
    """The one series that is meant.

    ``choice`` is a number of the list that the message shows, a SeriesInstanceUID or a description. Without it, a
    single series is taken, or of several of one study the only one that is a volume of more than one slice.

    Raises:
        InputError: no images, or the series is no volume.
        UsageError: it is not clear which series is meant; the message lists all.
    """
    with guarded(place):
        return _one_of(place, read_study(place), choice)


def _one_of(place: Path, study: Sequence[Series], choice: str | None) -> DicomSource:
    if choice is not None:
        return open_series(_chosen(place, study, choice))
    if len(study) == 1:
        return open_series(study[0])
    volumes = [source for source in _opened(study) if source.grid.shape[2] > 1]
    studies = len({str(series.header.get("StudyInstanceUID")) for series in study})
    if len(volumes) != 1 or studies > 1:
        of = f" of {studies} studies" if studies > 1 else ""
        raise UsageError(
            f"{place}: {len(study)} series{of}, {_how_many(len(volumes))}; choose by --series:{_listed(study)}"
        )
    log.info("%s: of %d series, one is a volume: %s", place, len(study), volumes[0].series)
    return volumes[0]


def open_all(place: Path, name: str = "") -> dict[str, DicomSource]:
    """Every series of a place that is a volume, by a name that can be a file's; the others are named in the log.

    The name is that of the folders it lies in, below the place, where no other series lies there, and else the place's
    with the number that the series has in the list. ``name`` is what a place is called that is a part of a folder.

    Raises:
        InputError: no series is a volume.
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
    return found


def _volumes(place: Path, study: Sequence[Series], name: str) -> dict[str, DicomSource]:
    found = {}
    for number, series in enumerate(study, start=1):
        try:
            with guarded(place):
                source = open_series(series)
        except InputError as error:
            log.warning("series %d is left out: %s", number, error)
        else:
            found[_name(place, series, study, number, outer=name)] = source
    return found


def _opened(study: Sequence[Series]) -> list[DicomSource]:
    sources = []
    for series in study:
        try:
            with guarded(series.place):
                sources.append(open_series(series))
        except InputError as error:
            log.debug("%s", error)
    return sources


def _chosen(place: Path, study: Sequence[Series], choice: str) -> Series:
    if choice.isdecimal() and 1 <= int(choice) <= len(study):
        return study[int(choice) - 1]
    fitting = [series for series in study if choice in (series.uid, series.description)]
    fitting = fitting or [series for series in study if choice.casefold() == series.description.casefold()]
    if len(fitting) != 1:
        found = f"{len(fitting)} series fit" if fitting else "no series fits"
        raise UsageError(f"{place}: --series {choice}: {found}; choose one of:{_listed(study)}")
    return fitting[0]


def _how_many(count: int) -> str:
    return f"{count} of them volumes" if count else "none of them a volume of several slices"


def _listed(study: Sequence[Series]) -> str:
    return "".join(f"\n  {number}  {series}" for number, series in enumerate(study, start=1))


def _name(place: Path, series: Series, study: Sequence[Series], number: int, *, outer: str) -> str:
    folders = {instance.file.folder for instance in series.instances}
    others = {instance.file.folder for each in study if each is not series for instance in each.instances}
    inner = [*([outer] if outer else []), *_below(place, series.instances[0].file)]
    if len(folders) == 1 and not folders & others and inner:
        return "_".join(inner)
    return f"{outer or place_id(place)}_series{number}"


def _below(place: Path, file: DicomFile) -> tuple[str, ...]:
    folder = PurePosixPath(file.folder)
    parts = folder.parts if file.member else folder.relative_to(place.as_posix()).parts
    return tuple(part for part in parts if part != ".")
