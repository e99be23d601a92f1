"""The scans of ``segkit harmonize``, and the group of each: from a table, DICOM or the dataset."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from segkit.dataset.channel_files import group_channels
from segkit.dataset.dataset import Case, Dataset
from segkit.dataset.groups import COLUMN, groups_of
from segkit.dataset.layouts import read_dataset
from segkit.dataset.names_from_files import with_names
from segkit.errors import UsageError
from segkit.files.names import case_id, scan_paths
from segkit.harmonization.model import TAGS, USUAL_TAGS, Harmonization
from segkit.io.dicom.files.detection import is_dicom
from segkit.io.dicom.files.folders import dicom_cases

log = logging.getLogger(__name__)

_NO_FILES = ("dicom", "intensities")
"""Values of --groups that are no files."""


def add_model_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag that names a fitted harmonization."""
    parser.add_argument(
        "-m",
        "--model",
        type=Path,
        required=True,
        metavar="FILE",
        help="JSON file that segkit harmonize fit has written",
    )


def add_group_flags(parser: argparse.ArgumentParser, *, intensities: bool) -> None:
    """Add the flags that say where the group of each scan comes from."""
    more = "; or intensities, to discover groups in the training scans" if intensities else ""
    usual = "" if intensities else ", unless FILE says how groups are found"
    parser.add_argument(
        "--groups",
        metavar="SOURCE",
        help="where the group of each scan comes from: a CSV file with the columns case,group; "
        f"or dicom, for DICOM attributes{more} (default: the column group of the dataset{usual})",
    )
    parser.add_argument(
        "--column",
        metavar="NAME",
        help=f"column of the CSV file of --groups that holds the group (default: {COLUMN})",
    )
    if intensities:
        parser.add_argument(
            "--tags",
            metavar="NAME,...",
            help="DICOM attributes that together name the group, for --groups dicom (default: "
            f"{','.join(USUAL_TAGS)}; also {', '.join(TAGS[3:])})",
        )


def check_group_flags(given: argparse.Namespace) -> None:
    """Check that --column and --tags, if given, belong to the --groups of scans.

    Raises:
        UsageError: one of them would have no effect.
    """
    if given.column is not None and given.groups in (None, *_NO_FILES):
        raise UsageError(
            "--column names a column of the CSV file of --groups: add --groups FILE.csv, or leave "
            "it out"
        )
    if getattr(given, "tags", None) is not None and given.groups != "dicom":
        raise UsageError("--tags is for --groups dicom: add that, or leave it out")


def tags_of(text: str | None) -> tuple[str, ...]:
    """Return the DICOM attributes in ``text``, separated by commas; the usual ones for None.

    Raises:
        UsageError: one is not among TAGS.
    """
    if text is None:
        return USUAL_TAGS
    tags = tuple(name.strip() for name in text.split(","))
    unknown = [name for name in tags if name not in TAGS]
    if unknown:
        raise UsageError(f"--tags: unknown attribute {unknown[0]!r}; there are {', '.join(TAGS)}")
    return tags


def open_cases(path: str) -> Dataset:
    """Return a dataset with names of its channels and labels, and log its notices."""
    dataset = with_names(read_dataset(path), skip_unreadable=True)
    for notice in dataset.notices:
        log.warning("%s", notice)
    return dataset


def scans_of(inputs: Sequence[str], channels: int) -> list[Case]:
    """Return the scans that the inputs name: those of a dataset, or files and folders.

    Args:
        inputs: a dataset, or any number of scans and folders of scans.
        channels: number of channels; with several, CASE_0000, CASE_0001, ... are one scan.

    Raises:
        InputError: an input is no scan and holds none.
        UsageError: two scans have the same name.
    """
    if len(inputs) == 1 and _is_dataset(Path(inputs[0])):
        return list(read_dataset(inputs[0]).cases)
    paths = [scan for path in map(Path, inputs) for scan in _scans(path)]
    grouped = group_channels(paths).items() if channels > 1 else [(case_id(p), (p,)) for p in paths]
    cases = [Case(name, tuple(files)) for name, files in grouped]
    names = [case.id for case in cases]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(
            f"two scans are called {twice[0]!r} and would have the same output. "
            "Harmonize them one by one, into different folders"
        )
    return cases


def _is_dataset(path: Path) -> bool:
    if path.is_file():
        return path.suffix.lower() == ".csv" or path.name in ("dataset.json", "dataset.yaml")
    signs = ("dataset.json", "imagesTr")
    both = (path / "images").is_dir() and (path / "labels").is_dir()
    return both or any((path / sign).exists() for sign in signs)


def _scans(path: Path) -> list[Path]:
    if is_dicom(path):
        return [path]
    cases = dicom_cases(path) if path.is_dir() else []
    return cases or scan_paths(path)


# -- groups ----------------------------------------------------------------------------------------


def groups_for(
    model: Harmonization, cases: Sequence[Case], source: str | None, column: str | None
) -> dict[str, str]:
    """Return the group of the cases to harmonize, as far as anything but intensities names it.

    Without a source this is what the harmonization was fitted with: DICOM attributes or the column
    of the dataset. A harmonization of discovered groups needs neither.

    Args:
        model: the fitted harmonization.
        cases: the scans.
        source: what the user gave with --groups.
        column: column of a CSV file of --groups; None for COLUMN.

    Raises:
        UsageError: the source is for fit only.
        InputError: as `groups_of`.
    """
    if source == "intensities":
        raise UsageError(
            "--groups intensities is for segkit harmonize fit; a harmonization of discovered "
            "groups finds the group of a scan without --groups"
        )
    if source is None and model.grouping.source == "intensities":
        return {}
    if source is None and model.grouping.source == "dicom":
        source = "dicom"
    groups = groups_of(cases, source, column, model.grouping.tags or USUAL_TAGS)
    return {case: group for case, group in groups.items() if group}
