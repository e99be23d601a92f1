"""Where results go, and what must not be overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segkit.errors import UsageError
from segkit.file_names import WRITABLE, listed, suffix_of
from segkit.inference.inputs import Scan
from segkit.volume import Unit

Existing = Literal["refuse", "overwrite", "continue"]
SUFFIXES: dict[Unit, str] = {"mm": ".nii.gz", "px": ".png"}


@dataclass(frozen=True)
class Job:
    """A scan and the file that its label map goes to."""

    scan: Scan
    output: Path

    @property
    def preview(self) -> Path:
        """The picture beside the output."""
        return self.output.with_name(f"{_stem(self.output)}_preview.png")

    @property
    def record(self) -> Path:
        """The run record beside the output."""
        return self.output.with_name(f"{self.output.name}.json")


def plan_jobs(scans: Sequence[Scan], output: Path | None, *, many: bool, unit: Unit) -> list[Job]:
    """Give every scan an output.

    Without ``output`` it is <id>_seg in the current folder; a file name is taken for a single scan; else ``output`` is
    a folder for <id>. The suffix of a label map is .nii.gz, and .png for pictures.

    Raises:
        UsageError: a file name for several scans, or a suffix that cannot be written.
    """
    suffix = SUFFIXES[unit]
    if output is None:
        return [Job(scan, Path(f"{scan.id}_seg{suffix}")) for scan in scans]
    if _is_folder(output, many):
        return [Job(scan, output / f"{scan.id}{suffix}") for scan in scans]
    return [Job(scans[0], output)]


def check_jobs(jobs: Sequence[Job], existing: Existing) -> None:
    """Refuse outputs that would overwrite a scan, or that exist already and were not meant to be replaced.

    Raises:
        UsageError: naming the first such file.
    """
    inputs = {image.resolve() for job in jobs for image in job.scan.images}
    for job in jobs:
        for path in (job.output, job.preview, job.record):
            if path.resolve() in inputs:
                raise UsageError(f"{path} is an input and is never overwritten; choose another output with -o")
        if existing == "refuse" and job.output.exists():
            raise UsageError(f"{job.output} exists already; --overwrite replaces it, --continue leaves it as it is")


def _is_folder(output: Path, many: bool) -> bool:
    suffix = suffix_of(output)
    if output.is_dir() or not suffix:
        return True
    if many:
        if suffix in WRITABLE or output.is_file():
            raise UsageError(f"-o {output}: give a folder, because the label maps of several scans go there")
        return True
    if suffix not in WRITABLE:
        raise UsageError(f"-o {output}: this format cannot be written; take a folder or one of {listed(WRITABLE)}")
    return False


def _stem(path: Path) -> str:
    return path.name[: -len(suffix_of(path))]
