"""ComBat of tables in ``segkit harmonize fit`` and ``segkit harmonize apply``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.dataset.csv_table import read_rows
from segkit.dataset.groups import COLUMN
from segkit.errors import InputError, UsageError, first_few, printable
from segkit.files.atomic import write_text
from segkit.files.json_file import read_json
from segkit.harmonization.combat_file import read_combat
from segkit.harmonization.combat_model import CombatModel
from segkit.harmonization.combat_model import apply_table as applied_table
from segkit.harmonization.combat_model import fit_table as fitted_table
from segkit.harmonization.measurements import (
    LABEL,
    Measurements,
    changed_rows,
    measurements_of,
    values_by_case,
)
from segkit.harmonization.model import FEW_SCANS
from segkit.harmonization.model_file import EXPECTED, REMEDY
from segkit.report.tables import csv_text, text_table

log = logging.getLogger(__name__)

NOTE = "harmonization_note"
"""Column of the output that says why a row was left as it is; empty if it was harmonized."""
_TABLE_FLAGS = ("covariates", "features", "where", "mean_only", "no_shrinkage")


@dataclass(frozen=True)
class _Table:
    """Rows of a CSV file, with its path for messages."""

    path: Path
    columns: list[str]
    rows: list[dict[str, str]]

    def by_case(self, column: str) -> dict[str, str]:
        """Return the value of a column for each case."""
        return values_by_case(self.rows, column, where=self.path, columns=self.columns)


def add_table_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of --method combat."""
    group = parser.add_argument_group("for --method combat")
    group.add_argument(
        "--covariates",
        metavar="NAME,...",
        help="columns whose effects are kept, such as age,sex; of the table, or of the CSV file of "
        "--groups",
    )
    group.add_argument(
        "--features",
        metavar="NAME,...",
        help="columns to harmonize (default: volumes and intensities of stats.csv; all columns of "
        "numbers of another table)",
    )
    group.add_argument(
        "--where",
        metavar="COLUMN=VALUE",
        help="fit to the cases with this value only, such as split=train",
    )
    group.add_argument(
        "--mean-only", action="store_true", help="remove differences of the mean only"
    )
    group.add_argument(
        "--no-shrinkage", action="store_true", help="no empirical Bayes over the measurements"
    )


def refuse_table_flags(given: argparse.Namespace) -> None:
    """Raise a UsageError if a flag of --method combat is given for another method."""
    for name in _TABLE_FLAGS:
        if getattr(given, name):
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag} is for --method combat, not for {given.method}")


def _refuse_scan_flags(given: argparse.Namespace) -> None:
    """Raise a UsageError if a flag for scans is given for a table; apply has fewer of them."""
    if given.groups in ("dicom", "intensities"):
        raise UsageError(f"--groups {given.groups} is for scans; give a CSV file with the sites")
    if getattr(given, "tags", None) is not None:
        raise UsageError("--tags is for scans, not for --method combat")
    if getattr(given, "fold", None) is not None:
        raise UsageError(
            "--fold is for scans; with --method combat, --where COLUMN=VALUE chooses the cases"
        )


def is_table_model(path: Path) -> bool:
    """Return whether a JSON file is a ComBat model of a table."""
    return read_json(path, expected=EXPECTED, remedy=REMEDY).get("method") == "combat"


def fit_table(given: argparse.Namespace) -> int:
    """Fit ComBat to a table, write it, print what was left out, and return the exit code."""
    _refuse_scan_flags(given)
    column = given.column or COLUMN
    table = _read(Path(given.dataset))
    info = _read(Path(given.groups)) if given.groups else table
    names = _names(given.covariates)
    measured = measurements_of(
        _filtered(table, info, given.where),
        table.columns,
        where=table.path,
        chosen=_names(given.features),
        left_out=[column, *names, *_column_of(given.where)],
    )
    model = fitted_table(
        measured,
        column,
        info.by_case(column),
        {name: info.by_case(name) for name in names},
        shrink=not given.no_shrinkage,
        mean_only=given.mean_only,
        where=table.path,
    )
    _report_left(model, shrink=not given.no_shrinkage)
    write_text(given.output, model.text())
    rows = [(name, count) for name, count in model.sites.items()]
    print(printable(text_table(["site", "cases"], rows), lines=True))
    print(f"ComBat of {len(model.features)} measurements is in {given.output}.")
    return 0


def _report_left(model: CombatModel, *, shrink: bool) -> None:
    for feature, reason in model.left_features.items():
        log.warning("%s is left as it is: %s", feature, reason)
    for reason in dict.fromkeys(model.left_cases.values()):
        cases = [case for case, why in model.left_cases.items() if why == reason]
        log.warning("left as they are: %s (%s)", first_few(cases), reason)
    few = [f"{name} ({count})" for name, count in model.sites.items() if count < FEW_SCANS]
    if few:
        log.warning(
            "sites with fewer than %d cases: %s; their estimates are uncertain",
            FEW_SCANS,
            first_few(few),
        )
    if shrink and not model.shrunk:
        log.warning("one measurement: there is nothing to shrink over, so it is not shrunk")


def apply_table(given: argparse.Namespace) -> int:
    """Harmonize a table, write it with a column of notes, and return the exit code."""
    if len(given.inputs) != 1:
        raise UsageError("ComBat is applied to one table; give one INPUT")
    _refuse_scan_flags(given)
    model, table = read_combat(given.model), _read(Path(given.inputs[0]))
    info = _read(Path(given.groups)) if given.groups else table
    column = given.column or model.site_column
    measured = _measurements(model, table)
    covariates = {each.name: info.by_case(each.name) for each in model.covariates}
    values, left = applied_table(model, measured, info.by_case(column), covariates)
    _report_rows(left, table.path, strict=given.strict)
    rows = [*changed_rows(table.rows, measured, values)]
    for row in rows:
        row[NOTE] = left.get(row["case"], "")
    columns = [*(name for name in table.columns if name != NOTE), NOTE]
    write_text(given.output, csv_text(columns, ([row[name] for name in columns] for row in rows)))
    done = len(measured.cases) - len(left)
    print(f"{done} of {len(measured.cases)} cases are harmonized in {given.output}.")
    return 0


def _measurements(model: CombatModel, table: _Table) -> Measurements:
    """Return the measurements of the model in a table; the log names those that are missing."""
    by_label = LABEL in table.columns
    wanted = {name.rpartition(": ")[2] if by_label else name for name in model.features}
    chosen = [name for name in table.columns if name in wanted]
    if not chosen:
        raise _other_measurements(model, table, f"the columns {first_few(table.columns, 10)}")
    measured = measurements_of(table.rows, table.columns, where=table.path, chosen=chosen)
    if not {*model.features} & {*measured.features}:
        raise _other_measurements(model, table, first_few(measured.features))
    missing = [name for name in model.features if name not in measured.features]
    if missing:
        log.warning("%s: not in this table: %s", table.path, first_few(missing))
    return measured


def _other_measurements(model: CombatModel, table: _Table, found: str) -> InputError:
    return InputError(
        table.path,
        expected=f"the measurements {first_few(model.features)}, to which ComBat was fitted",
        found=found,
        remedy="Give a table with the same measurements.",
    )


def _report_rows(left: Mapping[str, str], path: Path, *, strict: bool) -> None:
    if strict and left:
        case, reason = next(iter(left.items()))
        raise InputError(
            path,
            expected="cases of the sites to which ComBat was fitted, with all covariates",
            found=f"{reason} for {case}, and {len(left)} such cases in all",
            remedy="Leave out --strict to leave these cases as they are.",
        )
    for reason in dict.fromkeys(left.values()):
        cases = [case for case, why in left.items() if why == reason]
        log.warning("left as they are: %s (%s)", first_few(cases), reason)


def _read(path: Path) -> _Table:
    columns, rows = read_rows(path)
    return _Table(path, columns, [*rows.values()])


def _filtered(table: _Table, info: _Table, where: str | None) -> Sequence[dict[str, str]]:
    if where is None:
        return table.rows
    column, equals, value = where.partition("=")
    if not equals:
        raise UsageError(f"--where {where}: write COLUMN=VALUE, such as split=train")
    chosen = {case for case, text in info.by_case(column).items() if text == value}
    rows = [row for row in table.rows if row["case"] in chosen]
    if not rows:
        raise InputError(
            info.path,
            expected=f"cases with {where}",
            found="none",
            remedy="Correct --where, or the table.",
        )
    return rows


def _column_of(where: str | None) -> list[str]:
    return [where.partition("=")[0]] if where else []


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()] if text else []
