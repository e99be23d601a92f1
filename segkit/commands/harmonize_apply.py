"""segkit harmonize apply: harmonize scans, or a table of measurements."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from segkit.commands.flags import Parser
from segkit.commands.harmonize_discover import check_new
from segkit.commands.harmonize_groups import (
    add_group_flags,
    add_model_flag,
    check_group_flags,
    groups_for,
    scans_of,
)
from segkit.commands.harmonize_outputs import Record, outputs_of, write_records
from segkit.commands.harmonize_table import apply_table, is_table_model
from segkit.dataset.case_files import case_scan
from segkit.dataset.dataset import Case
from segkit.errors import InputError, SegkitError, SomeCasesFailed, UsageError, first_few
from segkit.harmonization.model import Harmonization
from segkit.harmonization.model_file import read_harmonization
from segkit.io.scans import write_image
from segkit.preprocessing.harmonized_scan import Harmonized, harmonize
from segkit.progress import CaseCounter

log = logging.getLogger(__name__)


def run(arguments: Sequence[str]) -> int:
    """Harmonize the inputs, write them, and return the exit code."""
    given = _parser().parse_args(arguments)
    if is_table_model(given.model):
        inputs = (*given.inputs, given.model, given.groups)
        check_new(given.output, *inputs, overwrite=given.overwrite)
        return apply_table(given)
    model = read_harmonization(given.model)
    _check_flags(given, model)
    cases = scans_of(given.inputs, len(model.channels))
    groups = groups_for(model, cases, given.groups, given.column)
    outputs = outputs_of(cases, given.output, overwrite=given.overwrite)
    records = _harmonize_all(cases, outputs, model, groups, given)
    if given.output.is_dir():
        write_records(given.output, records)
    done = [record for record in records if record.files]
    print(f"{len(done)} of {len(cases)} scans are in {given.output}.")
    failed = [record.case for record in records if not record.files]
    if failed:
        count = "1 scan was" if len(failed) == 1 else f"{len(failed)} scans were"
        raise SomeCasesFailed(f"{count} not harmonized: {first_few(failed)}")
    return 0


def _check_flags(given: argparse.Namespace, model: Harmonization) -> None:
    """Raise a UsageError if a flag has no effect on scans, or with this harmonization."""
    check_group_flags(given)
    for flag, is_given in (("--groups", given.groups is not None), ("--strict", given.strict)):
        if is_given and not model.scans:
            raise UsageError(
                f"{flag}: {given.model} was fitted without groups, so it has no effect; leave it "
                "out"
            )


def _harmonize_all(
    cases: Sequence[Case],
    outputs: dict[str, list[Path]],
    model: Harmonization,
    groups: dict[str, str],
    given: argparse.Namespace,
) -> list[Record]:
    """Harmonize every scan; one that fails is recorded, unless it is the only one."""
    records = []
    with CaseCounter("harmonizing") as counter:
        for number, case in enumerate(cases):
            try:
                records.append(_one(case, outputs[case.id], model, groups.get(case.id), given))
            except SegkitError as error:
                if len(cases) == 1:
                    raise
                log.error("%s", error)
                records.append(Record(case.id, groups.get(case.id, ""), None, str(error), ()))
            counter.show(number + 1, len(cases))
    return records


def _one(
    case: Case,
    files: Sequence[Path],
    model: Harmonization,
    group: str | None,
    given: argparse.Namespace,
) -> Record:
    scratch = files[0].parent
    harmonized = harmonize(
        case_scan(case.images, unscaled=True), model, group, where=case.images[0], scratch=scratch
    )
    notes = _notes(harmonized)
    if given.strict and not harmonized.is_known:
        raise InputError(
            case.images[0],
            expected=f"a scan of one of the groups {', '.join(model.scans)}",
            found=notes[0],
            remedy="Fit the harmonization to scans of its group as well, or leave out --strict.",
        )
    for note in notes:
        log.warning("%s: %s", case.images[0].name, note)
    _write(case, files, harmonized)
    return Record(
        case.id,
        harmonized.group or "",
        harmonized.is_known,
        "; ".join(notes),
        tuple(path.name for path in files),
    )


def _notes(harmonized: Harmonized) -> list[str]:
    notes = []
    if not harmonized.is_known:
        name = f"the group {harmonized.group!r}" if harmonized.group else "an unknown group"
        notes.append(f"{name}, of which there was no training scan")
    for channel in harmonized.constant:
        notes.append(f"channel {channel} has one constant value, which became 0")
    return notes


def _write(case: Case, files: Sequence[Path], harmonized: Harmonized) -> None:
    if len(files) == 1:
        write_image(files[0], harmonized.volume, like=case.images[0])
        return
    for index, (path, image) in enumerate(zip(files, case.images, strict=True)):
        channel = harmonized.volume.array[index : index + 1]
        write_image(path, harmonized.volume.with_array(channel), like=image)


def _parser() -> Parser:
    parser = Parser(
        prog="segkit harmonize apply",
        description="Harmonize scans by a fitted harmonization: every voxel is mapped by the "
        "function of its scan, and written as a 32-bit number on the grid of the scan. With a "
        "model of --method combat, harmonize a table.",
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="scans, folders of scans, or one dataset; a CSV table for ComBat",
    )
    add_model_flag(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="folder for the scans and harmonized.csv; a file for one scan or a table",
    )
    add_group_flags(parser, intensities=False)
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse scans and rows of a group that was not among the training scans; otherwise "
        "they are harmonized by their own quantiles (spline) or left as they are (combat), and "
        "flagged",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing outputs")
    return parser
