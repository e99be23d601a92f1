"""segkit harmonize report: what a harmonization does to the scans of a dataset."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.commands.flags import Parser
from segkit.commands.harmonize_discover import check_new
from segkit.commands.harmonize_groups import (
    add_group_flags,
    add_model_flag,
    check_group_flags,
    groups_for,
    open_cases,
)
from segkit.dataset.case_files import case_scan
from segkit.dataset.dataset import Case, Dataset
from segkit.errors import InputError, first_few, printable
from segkit.fingerprint.case_facts import read_indices
from segkit.harmonization.contrast import contrast
from segkit.harmonization.model import Harmonization
from segkit.harmonization.model_file import read_harmonization
from segkit.harmonization.scan import group_of, is_known_group, maps_of
from segkit.harmonization.site_prediction import (
    SitePrediction,
    harmonized_features,
    predict_site,
    raw_features,
    stratified_folds,
)
from segkit.harmonization.values import ChannelValues
from segkit.preprocessing.content_values import channel_values, labeled_values
from segkit.progress import CaseCounter
from segkit.report.harmonization_figures import density_figure, difference_figure
from segkit.report.harmonization_page import (
    CaseEffect,
    effect_sentences,
    leakage_sentences,
    prediction_rows,
    write_report,
)
from segkit.report.tables import text_table

log = logging.getLogger(__name__)

FILES = ("report.html", "cases.csv", "site_prediction.csv", "summary.json")


@dataclass(frozen=True, eq=False)
class _Measured:
    """A case: its values, its group, and the effect on each channel."""

    case: Case
    values: tuple[ChannelValues, ...]
    group: str
    quantiles: NDArray[np.float64]
    """Quantiles (C, LEVELS) after harmonization."""
    effects: list[CaseEffect]


def run(arguments: Sequence[str]) -> int:
    """Measure the scans, write the report, print its figures, and return the exit code."""
    given = _parser().parse_args(arguments)
    check_group_flags(given)
    model = read_harmonization(given.model)
    for name in (*FILES, *_names_of_figures(model)):
        check_new(
            *(given.output / name, given.dataset, given.model, given.groups),
            overwrite=given.overwrite,
        )
    dataset = open_cases(given.dataset)
    groups = groups_for(model, dataset.cases, given.groups, given.column)
    measured = []
    with CaseCounter("measuring") as counter:
        for number, case in enumerate(dataset.cases):
            measured.append(_measure(case, dataset, model, groups.get(case.id)))
            counter.show(number + 1, len(dataset.cases))
    effects = [effect for case in measured for effect in case.effects]
    predictions = site_predictions(model.method, measured)
    pictures = _pictures(given.output, model, measured)
    files = write_report(
        given.output, model, dataset.name, effects, predictions=predictions, pictures=pictures
    )
    sentences = [*effect_sentences(effects), *leakage_sentences(predictions)]
    print(printable("\n".join(sentences), lines=True))
    if predictions:
        print(text_table(["scans", "classifier", "AUC", "p"], prediction_rows(predictions)))
    print(f"report:  {files[-1]}")
    return 0


def _names_of_figures(model: Harmonization) -> list[str]:
    return [
        f"{kind}{_suffix(model, index)}.{ending}"
        for kind in ("densities", "differences")
        for index in range(len(model.channels))
        for ending in ("png", "svg")
    ]


def _suffix(model: Harmonization, channel: int) -> str:
    """Return what distinguishes the figures of a channel: nothing if there is only one."""
    return "" if len(model.channels) == 1 else f"_{channel}"


def _measure(case: Case, dataset: Dataset, model: Harmonization, given: str | None) -> _Measured:
    volume = case_scan(case.images, unscaled=True)
    if volume.channels != len(model.channels):
        raise InputError(
            case.images[0],
            expected=f"{len(model.channels)} channels, as the harmonization was fitted",
            found=f"{volume.channels}",
            remedy="Give the dataset to which the harmonization belongs.",
        )
    values = channel_values(volume, where=case.images[0])
    group = group_of(model, values, given)
    maps = maps_of(model, values, group)
    indices = read_indices(case, dataset, volume.grid).array[0]
    labeled, rest = labeled_values(volume.array, indices, len(dataset.targets))
    effects = []
    for index, channel in enumerate(model.channels):
        inside, outside = (part[index].astype(np.float64) for part in (labeled, rest))
        after = [maps[index](part) for part in (inside, outside)]
        effects.append(
            CaseEffect(
                case.id,
                group or "",
                is_known_group(model, group),
                channel.name,
                float(inside.mean()) if inside.size else None,
                float(after[0].mean()) if inside.size else None,
                contrast(inside, outside),
                contrast(*after),
            )
        )
    quantiles = np.stack(
        [function(own.quantiles) for function, own in zip(maps, values, strict=True)]
    )
    return _Measured(case, values, group or "", quantiles, effects)


def site_predictions(
    method: str, measured: Sequence[_Measured]
) -> dict[str, dict[str, SitePrediction]]:
    """Return how well classifiers recognize the groups: raw, as z-scores, and by the method.

    Groups with a single patient, and scans without a group, do not take part and are named in the
    log. The result is empty with fewer than two groups.
    """
    patients = {
        name: len({_patient(case) for case in measured if case.group == name})
        for name in Counter(case.group for case in measured if case.group)
    }
    usable = {name for name, count in patients.items() if count > 1}
    left = [name for name in patients if name not in usable]
    if left:
        log.warning("groups of one patient are left out of the classifiers: %s", first_few(left))
    kept = [case for case in measured if case.group in usable]
    if len(usable) < 2:
        return {}
    groups, scans = [case.group for case in kept], [case.values for case in kept]
    folds = stratified_folds(groups, [_patient(case) for case in kept])
    results = {"raw": predict_site(lambda _: raw_features(scans), groups, folds)}
    for name in dict.fromkeys(("zscore", method)):
        features = partial(harmonized_features, name, scans, groups)
        results[name] = predict_site(features, groups, folds)
    return results


def _patient(measured: _Measured) -> str:
    return measured.case.patient or measured.case.id


def _pictures(
    folder: Path, model: Harmonization, measured: Sequence[_Measured]
) -> list[tuple[Path, str]]:
    groups = [case.group or "(none)" for case in measured]
    pictures = []
    for index, channel in enumerate(model.channels):
        values = [case.values[index] for case in measured]
        after = np.stack([case.quantiles[index] for case in measured])
        suffix = _suffix(model, index)
        before = np.stack([own.quantiles for own in values])
        densities = density_figure(
            folder / f"densities{suffix}", before, after, groups, channel.name
        )
        pictures.append((densities, _DENSITIES))
        differences = difference_figure(
            folder / f"differences{suffix}", values, after, groups, channel.name
        )
        pictures.append((differences, _DIFFERENCES))
    return pictures


_DENSITIES = (
    "Densities of the intensities: thick lines are groups, thin ones scans (at most 60 of a group)."
)
_DIFFERENCES = (
    "Mean quantiles of each group minus those of all scans, with two standard errors: z-scores of "
    "each scan on the left, harmonized scans on the right."
)


def _parser() -> Parser:
    parser = Parser(
        prog="segkit harmonize report",
        description="Show what a harmonization does to the scans of a dataset: densities of the "
        "groups before and after, how well classifiers recognize the group, differences between "
        "groups inside the labels, and how much of their contrast is kept.",
    )
    parser.add_argument("dataset", metavar="DATASET", help="a dataset, as for segkit train")
    add_model_flag(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for report.html, cases.csv, site_prediction.csv, summary.json and the figures",
    )
    add_group_flags(parser, intensities=False)
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    return parser
