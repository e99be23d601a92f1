"""Report of the symmetry study: verdict, tables and figures on one page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from segkit.report.study_page import Section, study_page, table_section
from segkit.studies.cells import CellResult
from segkit.studies.failed_cells import failed_table
from segkit.studies.symmetry.cells import steps_of
from segkit.studies.symmetry.figures import Picture
from segkit.studies.symmetry.settings import SymmetrySettings
from segkit.studies.symmetry.summary import POSES, Results
from segkit.studies.symmetry.tables import (
    dice_table,
    error_table,
    label_table,
    match_sentences,
    network_table,
)
from segkit.studies.symmetry.verdicts import headline
from segkit.training.setup import Setup

MATCH = (
    "Counts are of one window, in prediction. The widths of an equivariant network are multiples "
    "of the number of elements of its group; those whose count is nearest to the plain network's "
    "were taken. At equal widths it has the multiply-adds of a plain network, and about as many "
    "times fewer parameters as the group has elements."
)
ERROR = (
    "Largest difference between the scores of a moved patch and the moved scores of the patch, "
    "over all elements of the group, in standard deviations of the scores; of the trained "
    "networks, on patches of held-out cases, in float32. Rounding alone gives 1e-6 to 1e-5, and "
    "more where the largest score is many standard deviations away."
)
AVERAGED = (
    "Averaged are the scores of the augmented network in all poses of the group, which takes as "
    "many predictions. The mean is alike in all poses, so it has one value for all three."
)


def report_page(
    study: Setup,
    results: Results,
    cells: Sequence[CellResult],
    facts: Sequence[Mapping[str, Any]],
    pictures: Sequence[Picture],
    *,
    count: int,
) -> str:
    """Return the page as HTML.

    Args:
        study: the study, for the name of its dataset and the patch.
        results: Dice of the finished cells.
        cells: results of the cells that were run so far.
        facts: counts of the networks (`network_facts`).
        pictures: figures with captions.
        count: number of all cells of the study.
    """
    done = sum(result.status == "done" for result in cells)
    sections = [
        Section("How it was measured", method(study, results.settings, done, count)),
        Section("Figures", pictures=pictures),
        *_dice_sections(results),
        table_section("Networks", network_table(facts), MATCH, match_sentences(results.plans)),
        table_section("Equivariance error", error_table(facts), ERROR),
        table_section("Cells without results", failed_table(cells)),
    ]
    return study_page(f"Symmetry on {study.dataset.name}", headline(results), sections)


def _dice_sections(results: Results) -> Iterator[Section]:
    for group in results.settings.symmetries:
        yield table_section(f"Dice in the poses of {group}", dice_table(results, group), AVERAGED)
        yield table_section(f"Dice by label in the poses of {group}", label_table(results, group))


def method(study: Setup, settings: SymmetrySettings, done: int, count: int) -> list[str]:
    """Return how the study was made, in sentences."""
    plan = study.plan
    patch = " x ".join(map(str, plan.patch))
    return [
        f"Every training takes {steps_of(study, settings)} steps of "
        f"{_count(plan.batch_size * study.config.trainer.accumulate, 'patch', 'patches')} of "
        f"{patch} voxels, with {_count(len(settings.seeds), 'seed', 'seeds')}. Spacing, "
        "precision, memory format and augmentation are the same in all of them, except that "
        "patches of the augmented network are also moved by random elements of the group. Nothing "
        "else is mirrored or turned by 90 degrees in training. A seed fixes the training cases, "
        "and smaller numbers of cases are subsets of larger ones.",
        f"Dice is measured on at most {settings.cases} held-out cases: {', '.join(POSES.values())}."
        " A scan is moved, predicted, and its scores are moved back; a reflection exchanges the "
        "names of left and right.",
        f"{done} of {count} cells have results. Intervals are percentiles of a bootstrap over "
        "cases and seeds; with one seed they leave out how much trainings differ by chance. "
        "Differences are paired by case and seed. The intervals of one comparison in one kind of "
        "pose hold together with 95 % over its numbers of training cases, each comparison for "
        "itself: of twenty, about one finds a difference by chance.",
    ]


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"
