"""Outputs of a search: tables, summary.json, figures and report.html."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from segkit.config.study_words import given_settings
from segkit.evaluation.intervals import Interval, ends_text
from segkit.files.atomic import write_text
from segkit.report.study_page import Section, study_page, table_section
from segkit.report.tables import Cell
from segkit.studies.cells import write_tables
from segkit.studies.failed_cells import failed_table
from segkit.studies.scaling.budget import TERMS, term_text
from segkit.studies.scaling.candidate import Candidate
from segkit.studies.scaling.tables import changed_words, command_of
from segkit.studies.search.bench import Bench
from segkit.studies.search.choice import CHOOSE, QUOTE
from segkit.studies.search.configurations import cost_in_terms, main_term
from segkit.studies.search.figures import write_figures
from segkit.studies.search.importance import BEST_SHARE, Importance
from segkit.studies.search.phases import Outcome
from segkit.studies.search.settings import SearchSettings
from segkit.studies.search.summary import (
    ARM_NAMES,
    Finalist,
    Summary,
    importance_of_axes,
    rank_agreement,
)

SUMMARY, REPORT = "summary.json", "report.html"
FORMAT_VERSION = 1
OF_THE_SEARCH = ("trainer.max_minutes", "trainer.validations")
"""Settings that the printed overrides leave out: steps are given, validations change no weights."""

Table = tuple[list[str], list[list[Cell]]]

FINALISTS = (
    "Each was trained with all seeds. 'choosing' is the mean Dice on the cases for choosing, by "
    "which the configurations are ordered. 'Dice' with its 95 % interval over cases and seeds is "
    "that of the other cases, which nothing was chosen by."
)
RANKS = (
    "Each rung trains the better half of the one before for twice as many steps. Few steps are a "
    "good stand-in for many if the order of the configurations stays the same: rank correlation 1."
)


def write_report(bench: Bench, settings: SearchSettings, outcome: Outcome) -> None:
    """Write the tables, summary.json, the figures and report.html."""
    folder, term = bench.folder, main_term(settings.budget)
    costs = {
        name: cost_in_terms(bench.cost_of(each), term) for name, each in outcome.candidates.items()
    }
    summary = Summary(outcome, costs, settings.space)
    importance = importance_of_axes(summary)
    write_tables(folder, outcome.results)
    content = summary_content(bench, settings, summary, importance)
    write_text(folder / SUMMARY, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    bars = [] if isinstance(importance, str) else importance
    pictures = write_figures(folder, summary, bars, TERMS[term])
    sections = [
        Section("Chosen configuration", chosen_texts(bench, settings, summary)),
        table_section(
            "Best configurations with all seeds", finalists_table(summary, term), FINALISTS
        ),
        table_section("Pareto set", pareto_table(summary, term), PARETO),
        Section("Importance of the axes", [importance_text(importance)]),
        Section("Few steps and many", [RANKS], rank_sentences(summary)),
        Section("Figures", pictures=pictures),
        Section("How it was done", method(bench, settings, outcome)),
        table_section("Trainings without results", failed_table(outcome.results, "training")),
    ]
    title = f"Search over network sizes on {bench.study.dataset.name}"
    write_text(folder / REPORT, study_page(title, summary.verdicts(), sections))


PARETO = (
    "Networks that no other one beats in both, of all that were trained for all steps with the "
    "first seed: Dice of the cases for quoting."
)


def summary_content(
    bench: Bench,
    settings: SearchSettings,
    summary: Summary,
    importance: Sequence[Importance] | str,
) -> dict[str, Any]:
    """Return the content of summary.json, in JSON types."""
    chosen, outcome = summary.chosen, summary.outcome
    candidate = summary.chosen_candidate
    return {
        "format_version": FORMAT_VERSION,
        "dataset": bench.study.dataset.name,
        "settings": given_settings(settings),
        "verdict": summary.verdicts(),
        "chosen": None if chosen is None else _finalist(chosen, summary),
        "overrides": [] if candidate is None else train_overrides(bench, candidate),
        "finalists": [_finalist(each, summary) for each in summary.finalists],
        "comparisons": {
            arm.name: None if interval is None else dataclasses.asdict(interval)
            for arm, interval in summary.comparisons
        },
        "pareto": [dataclasses.asdict(row) for row in summary.pareto],
        "importance": (
            importance
            if isinstance(importance, str)
            else [dataclasses.asdict(row) for row in importance]
        ),
        "points": {arm.name: _counts(arm.records) for arm in outcome.arms if arm.records},
        "failed": {
            result.cell.name: result.message
            for result in outcome.results
            if result.status != "done"
        },
    }


def train_overrides(bench: Bench, candidate: Candidate) -> list[str]:
    """Return the overrides with which ``segkit train`` does the longest training of the study."""
    trainer = bench.study.config.trainer
    fixed = [
        *candidate.overrides,
        f"trainer.batch_size={bench.study.plan.batch_size}",
        f"trainer.max_steps={bench.steps}",
        f"trainer.precision={trainer.precision}",
        f"trainer.layout={trainer.layout}",
    ]
    return [*fixed, *changed_words(bench.study.config, without=OF_THE_SEARCH)]


def chosen_texts(bench: Bench, settings: SearchSettings, summary: Summary) -> list[str]:
    """Return paragraphs on the chosen configuration."""
    chosen, candidate = summary.chosen, summary.chosen_candidate
    if chosen is None or candidate is None:
        return []
    cost = bench.cost_of(candidate)
    used = ", ".join(
        f"{TERMS[term]} {term_text(term, cost_in_terms(cost, term))} ({share:.0%} of the budget)"
        for term, share in settings.budget.used(cost).items()
    )
    command = command_of(bench.study.config, train_overrides(bench, candidate))
    return [
        command,
        f"Dice {chosen.quoted.mean:.4f} ({ends_text(chosen.quoted)}) on the cases for quoting; "
        f"{chosen.choose:.4f} on those for choosing, where it is the best of many and therefore "
        "optimistic.",
        f"Predicted cost: {used}.",
    ]


def finalists_table(summary: Summary, term: str) -> Table:
    """Return header and rows of the configurations that were trained with all seeds."""
    header = ["configuration", "found by", TERMS[term], "choosing", "Dice", "low", "high"]
    rows: list[list[Cell]] = []
    for each in summary.finalists:
        ends = each.quoted.ends or (None, None)
        cost = term_text(term, summary.costs[each.name])
        found_by = ARM_NAMES[each.arm]
        rows.append([each.name, found_by, cost, each.choose, each.quoted.mean, *ends])
    return header, rows


def pareto_table(summary: Summary, term: str) -> Table:
    """Return header and rows of the Pareto set of all networks."""
    rows: list[list[Cell]] = [
        [row.name, ARM_NAMES[row.arm], term_text(term, row.cost), row.quoted]
        for row in summary.pareto
    ]
    return ["configuration", "found by", TERMS[term], "Dice"], rows


def importance_text(found: Sequence[Importance] | str) -> str:
    """Return what is known about the importance of the axes."""
    if isinstance(found, str):
        return f"It cannot be computed: {found}."
    shares = ", ".join(f"{row.axis} {row.share:.0%} (p = {row.p:.2f})" for row in found)
    clear = [row.axis for row in found if row.p <= 0.05]
    verdict = (
        f"More than chance would give: {', '.join(clear)}."
        if clear
        else "For none of them is that more than chance could give."
    )
    return (
        f"{shares}. {verdict} Compared is where the best {BEST_SHARE:.0%} of the trained points "
        "lie with where all of them lie (PED-ANOVA), with the fewest steps; points over budget do "
        "not count, and p is the share of shuffled results that give as much. An axis that the "
        "budget holds back, or that was hardly varied, can matter without showing here."
    )


def rank_sentences(summary: Summary) -> list[str]:
    """Return a sentence on each pair of neighboring rungs."""
    sentences = []
    for fewer, more, count, correlation in rank_agreement(summary):
        value = "cannot be computed" if correlation is None else f"is {correlation:.2f}"
        sentences.append(
            f"{fewer} and {more} steps, {count} configurations: the rank correlation {value}."
        )
    return sentences


def method(bench: Bench, settings: SearchSettings, outcome: Outcome) -> list[str]:
    """Return how the study was made, in sentences."""
    roles = list(bench.roles.values())
    points = "; ".join(
        f"{ARM_NAMES[arm.name]}: {_counts_text(arm.records)}" for arm in outcome.arms if arm.records
    )
    seeds = ", ".join(map(str, settings.seeds))
    return [
        f"The {len(roles)} validation cases of fold {bench.study.config.fold}, which no training "
        f"saw, are divided by patient: {roles.count(CHOOSE)} for choosing, {roles.count(QUOTE)} "
        "for quoting. Points, halves and the configuration are chosen by the former only.",
        f"Points: {points}. Points over budget are not trained; Optuna is told by how much they "
        f"exceed it. Optuna's TPE proposes {settings.batch} points at a time from the results of "
        "all before, the first ones at random; random search proposes all of them at random. Both "
        "have the same rungs, so that they cost equally many steps.",
        f"Seeds: {seeds}. All trainings have the same preprocessing, batch size, precision and "
        "memory format; they differ in network, patch, steps and seed. Costs are predictions; "
        "costs.csv has them for every training.",
    ]


def _finalist(each: Finalist, summary: Summary) -> dict[str, Any]:
    return {
        "name": each.name,
        "arm": each.arm,
        "cost": summary.costs[each.name],
        "choose": each.choose,
        "quoted": _interval(each.quoted),
    }


def _interval(interval: Interval) -> dict[str, Any]:
    return dataclasses.asdict(interval)


def _counts(records: Sequence[Any]) -> dict[str, int]:
    states = [record.state for record in records]
    return {state: states.count(state) for state in dict.fromkeys(states)}


def _counts_text(records: Sequence[Any]) -> str:
    names = {"done": "trained", "failed": "without a result"}
    parts = [f"{count} {names.get(state, state)}" for state, count in _counts(records).items()]
    return ", ".join(parts)
