"""Outputs of the scaling study: summary.json, figure and report.html."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from segkit.config.study_words import given_settings
from segkit.evaluation.intervals import ends_text
from segkit.files.atomic import write_text
from segkit.report.study_page import Section, study_page, table_section
from segkit.report.tables import Cell
from segkit.studies.cells import CellResult
from segkit.studies.failed_cells import failed_table
from segkit.studies.scaling.family import Family
from segkit.studies.scaling.figures import write_figures
from segkit.studies.scaling.members import Member, Missing
from segkit.studies.scaling.settings import ScalingSettings
from segkit.studies.scaling.summary import (
    Comparison,
    Found,
    comparisons,
    headline,
    summary_of,
)
from segkit.studies.scaling.tables import AXES, Table, axes_of, cost_table, train_command
from segkit.training.setup import Setup

log = logging.getLogger(__name__)

SUMMARY, REPORT = "summary.json", "report.html"
Networks = tuple[Family, Sequence[Member], Sequence[Missing]]
"""The family, the networks of a study, and those that there are not."""
MATCHED = {
    "steps": "All trainings take the same number of steps, with patches of their own size",
    "voxels": "All trainings see about the same number of voxels: small patches take more steps",
    "macs": "All trainings compute about the same number of multiply-adds: small networks take "
    "more steps",
}


def write_outputs(
    study: Setup,
    settings: ScalingSettings,
    networks: Networks,
    results: Sequence[CellResult],
    *,
    cells: int,
) -> None:
    """Write summary.json, the figure and report.html.

    Args:
        study: the study.
        settings: its settings.
        networks: the family and the networks.
        results: results of the cells that were run so far.
        cells: number of all cells of the study.
    """
    family, members, missing = networks
    found = Found(members, missing, results, settings.budget)
    compared, folder, machines = comparisons(found), study.run_dir, machine_warnings(found)
    commands = {
        f"{member.size} {member.way}": train_command(study.config, study.plan.batch_size, member)
        for member in members
        if not found.exceeded(member)
    }
    summary = {
        "dataset": study.dataset.name,
        "settings": given_settings(settings),
        "verdict": headline(compared),
        "commands": commands,
        **summary_of(found, compared),
    }
    one = [f"Measured on {name}." for name in found.machines if name]
    for warning in machines:
        log.warning("%s", warning)
    write_text(folder / SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    pictures = write_figures(folder, found)
    sections = [
        Section("How it was measured", _method(study, settings, family, results, cells)),
        Section("Figure", pictures=pictures),
        table_section("Dice", dice_table(found), _DICE),
        Section("Differences", [_level(compared)] if compared else [], _verdicts(compared)),
        table_section("Costs", cost_table(members, found.measured), _COSTS, machines or one),
        table_section("Networks", networks_table(members), _NETWORKS),
        Section("Networks that there are not", (), _missing(missing)),
        Section("Beyond the budget as measured", (), _exceeded(found)),
        Section("Commands", [_COMMANDS], [f"{name}: {text}" for name, text in commands.items()]),
        table_section("Cells without results", failed_table(results)),
    ]
    title = f"Scaling on {study.dataset.name}"
    write_text(folder / REPORT, study_page(title, headline(compared), sections))


_DICE = (
    "Dice of whole held-out scans at overlap 0.5, the mean over labels and by label, with 95 % "
    "intervals over cases and seeds."
)
_COSTS = (
    "Parameters and multiply-adds are exact counts. Memory is that of a training step in a process "
    "of its own; seconds are medians of three runs on noise, those of a scan for a typical size "
    "without reading and writing. Predictions follow from counts by the rates in rates.json, which "
    "were measured on this machine before; times depend on what else it does."
)
_NETWORKS = (
    "phi is the exponent: depth, width and patch grow with their bases to its power, channels per "
    "group with the width, and every step of phi doubles the multiply-adds. Widths are multiples "
    "of 16, and no patch is larger than a typical scan. Share is the cost as a share of that of "
    "the compound network of the size."
)
_COMMANDS = (
    "Each network is trained like this; give trainer.max_minutes or trainer.max_steps, and a seed. "
    "These commands make no use of the study's folder."
)


def _method(
    study: Setup,
    settings: ScalingSettings,
    family: Family,
    results: Sequence[CellResult],
    cells: int,
) -> list[str]:
    """Return how the study was made, in sentences."""
    bases, dims = family.exponents, len(family.frame.axes)
    power = "gamma^2" if dims == 2 else "gamma^3"
    done = sum(result.status == "done" for result in results)
    limits = ", ".join(
        word
        for word in given_settings(settings)
        if word.startswith("budget.") and not word.endswith("=null")
    )
    return [
        f"Budget of the largest network: {limits}. Bases: depth {bases.alpha:g}, width "
        f"{bases.beta:g}, patch {bases.gamma:.4g}, so that alpha * beta^2 * {power} = 2 (Tan and "
        f"Le, arXiv 1905.11946, for {dims}D). The other ways enlarge one axis of the smallest "
        "compound network to the same multiply-adds, or have equal widths in all stages.",
        f"{MATCHED[settings.match]} (study.match={settings.match}, study.steps={settings.steps}), "
        f"in batches of {study.plan.batch_size}, with {len(settings.seeds)} "
        f"{'seed' if len(settings.seeds) == 1 else 'seeds'}; precision "
        f"{family.mode.precision} in all of them.",
        f"{done} of {cells} cells have results.",
    ]


def dice_table(found: Found) -> Table:
    """Return mean Dice with its interval, and Dice by label with theirs, of every network."""
    header = ["size", "way", "Dice", "95 % interval"]
    for label in found.labels:
        header += [label, "95 % interval"]
    rows: list[list[Cell]] = []
    for member in found.members:
        mean = found.dice(member)
        if mean is None:
            continue
        row: list[Cell] = [member.size, member.way, mean.mean, ends_text(mean)]
        for label in found.labels:
            part = found.dice(member, label)
            row += [None, None] if part is None else [part.mean, ends_text(part)]
        rows.append([*row, mean.cases, mean.seeds])
    return [*header, "cases", "seeds"], rows


def networks_table(members: Sequence[Member]) -> Table:
    """Return the axes of every network."""
    return ["size", "way", "phi", *AXES, "share"], [
        [member.size, member.way, f"{member.phi:g}", *axes_of(member), f"{member.share:.2f}"]
        for member in members
    ]


def machine_warnings(found: Found) -> list[str]:
    """Return a sentence that warns of costs that were measured on several machines."""
    if len(found.machines) < 2:
        return []
    parts = [
        f"{name or 'a machine that is not recorded'} ({', '.join(networks)})"
        for name, networks in found.machines.items()
    ]
    return [
        "Memory and seconds of these networks cannot be compared, since they were measured on "
        f"different machines: {'; '.join(parts)}. Remove the files cells/*-costs.json of the "
        "study: the same command measures all of them on one machine."
    ]


def _level(compared: Sequence[Comparison]) -> str:
    return (
        f"Differences in Dice, paired by case and seed. The {len(compared)} intervals are wide "
        "enough to hold together with 95 % (Bonferroni)."
    )


def _verdicts(compared: Sequence[Comparison]) -> list[str]:
    return [f"{part.verdict}." for part in compared]


def _missing(missing: Sequence[Missing]) -> list[str]:
    return [f"{part.way} at {part.size}: {part.reason}." for part in missing]


def _exceeded(found: Found) -> list[str]:
    return [
        f"{member.way} at {member.size}: {', '.join(found.exceeded(member))}."
        for member in found.members
        if found.exceeded(member)
    ]
