"""Request for predictions: which scans, which outputs, and what happens to existing files."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segkit.errors import UsageError, first_few
from segkit.files.names import DICOM, suffix_of
from segkit.inference.files.channels import ModelChannels, model_channels
from segkit.inference.files.finalize import FinalizeOptions
from segkit.inference.files.inputs import find_scans, is_many, scan_of_channels
from segkit.inference.files.outputs import Existing, Extra, Job, check_jobs, plan_jobs
from segkit.inference.files.scan import Scan
from segkit.inference.files.statistics_table import is_stats

if TYPE_CHECKING:
    from segkit.bundle.bundle import Bundle

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """Jobs to predict, and how their files are handled."""

    jobs: tuple[Job, ...]
    options: FinalizeOptions
    existing: Existing = "overwrite"
    """Handling of existing outputs; "continue" skips the jobs that have one."""
    outcomes_file: Path | None = None
    """Path of predictions.json, for many scans: a scan that fails is listed there, and the others
    are still predicted. None raises the error of the first scan that fails."""
    table: Path | None = None
    """Path of stats.csv, written from the records of all scans; None writes none."""
    page: Path | None = None
    """Path of look_first.html, written from the same records; None writes none."""

    @property
    def skipped(self) -> list[Job]:
        """Jobs that are left as they are, because their output exists."""
        return [job for job in self.jobs if self._is_skipped(job)]

    @property
    def pending(self) -> list[Job]:
        """Jobs that are still to be predicted."""
        return [job for job in self.jobs if not self._is_skipped(job)]

    def _is_skipped(self, job: Job) -> bool:
        return self.existing == "continue" and job.done


@dataclass(frozen=True)
class Shard:
    """Part of a list of scans: every ``count``-th one from the ``number``-th on (from 1)."""

    number: int
    count: int
    text: str = ""
    """I/N as the user wrote it, which names the files; by default without leading zeros."""

    def of(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Return the jobs of this part."""
        return jobs[self.number - 1 :: self.count]

    def file_name(self, name: str) -> str:
        """Return the name of a file of this part only.

        >>> Shard(1, 4).file_name("stats.csv")
        'stats-1-of-4.csv'
        """
        stem, _, suffix = name.partition(".")
        part = self.text or f"{self.number}/{self.count}"
        return f"{stem}-{part.replace('/', '-of-')}.{suffix}"


@dataclass(frozen=True, kw_only=True)
class Files:
    """Scans to predict and files to write, as a user names them."""

    inputs: Sequence[Path] = ()
    """Scans, folders of scans, DICOM folders or zips, and CSV files."""
    channel_files: Sequence[str] = ()
    """Words NAME=FILE, one per channel of a single scan; then there are no ``inputs``."""
    series: str | None = None
    """Choice among the series of DICOM; ``all`` predicts each of them."""
    output: str | None = None
    """File for one scan, folder for many; None writes into the current folder."""
    extras: Sequence[Extra] = ()
    dicom_seg: bool = False
    """True writes label maps of DICOM scans as DICOM-SEG."""
    existing: Existing = "refuse"
    shard: Shard | None = None
    groups: Mapping[str, str] | str | None = None
    """Group by which scans are harmonized: of each by its id, or one of all; None names none."""


def request_for(files: Files, options: FinalizeOptions, bundles: Sequence[Bundle]) -> Request:
    """Find the scans, give each of them an output, and check the outputs before any work.

    Args:
        files: scans and files as a user names them.
        options: changes to label maps before they are written.
        bundles: models of the ensemble, and coarse models, if any, after them.

    Raises:
        UsageError: no scan, scans or outputs that contradict each other, or an output that exists.
        InputError: scans that cannot be found, or a folder that cannot be written.
    """
    many = not files.channel_files and is_many(files.inputs, files.series)
    jobs = plan_jobs(
        with_groups(_scans(files, model_channels(bundles)), files.groups),
        files.output,
        many=many,
        unit=bundles[0].plan.unit,
        extras=files.extras,
        dicom=files.dicom_seg,
    )
    if options.labelmap and not any(suffix_of(job.output) == DICOM for job in jobs):
        raise UsageError(
            "--labelmap is about DICOM-SEG, and none is written; "
            "give --dicom-seg, or name it with -o x.dcm"
        )
    if files.shard:
        jobs = list(files.shard.of(jobs))
    check_jobs(jobs, files.existing)
    if not many:
        return Request(tuple(jobs), options, files.existing)
    table = _path_of_part(files, "stats.csv")
    # An existing table is always rewritten: it must not keep figures of replaced label maps.
    writes_table = "record" in files.extras or is_stats(table)
    return Request(
        tuple(jobs),
        options,
        files.existing,
        outcomes_file=_path_of_part(files, "predictions.json"),
        table=table if writes_table else None,
        page=_path_of_part(files, "look_first.html") if writes_table else None,
    )


def _path_of_part(files: Files, name: str) -> Path:
    """Return the path of a file about many scans; each part of a list has its own."""
    return Path(files.output or "") / (files.shard.file_name(name) if files.shard else name)


def with_groups(scans: Sequence[Scan], groups: Mapping[str, str] | str | None) -> list[Scan]:
    """Return the scans with the groups that the user gives; see `Files.groups`."""
    if groups is None:
        return list(scans)
    if isinstance(groups, str):
        return [dataclasses.replace(scan, group=groups) for scan in scans]
    unlisted = [scan.id for scan in scans if not groups.get(scan.id)]
    if unlisted:
        log.warning(
            "%d of %d scans have no group in the table of --groups: %s",
            len(unlisted),
            len(scans),
            first_few(unlisted),
        )
    return [dataclasses.replace(scan, group=groups.get(scan.id, "")) for scan in scans]


def _scans(files: Files, channels: ModelChannels) -> list[Scan]:
    if files.channel_files and files.inputs:
        raise UsageError("give either scans or --channel NAME=FILE, not both")
    if files.channel_files:
        if files.series:
            raise UsageError(
                "--series chooses among the series of one DICOM folder; "
                "with --channel, give the folder of each channel"
            )
        return [scan_of_channels(files.channel_files, channels)]
    if not files.inputs:
        raise UsageError("no scan was given; 'segkit predict --help' shows how")
    return find_scans(files.inputs, channels, files.series)
