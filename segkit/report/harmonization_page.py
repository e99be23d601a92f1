"""HTML page, tables and JSON of what a harmonization does to the scans of a dataset."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from segkit.files.atomic import write_text
from segkit.harmonization.contrast import between_group_share
from segkit.harmonization.methods import METHODS
from segkit.harmonization.model import Harmonization
from segkit.harmonization.site_prediction import LEAKAGE, PERMUTATIONS, SitePrediction
from segkit.report.study_page import Section, study_page
from segkit.report.tables import Cell, csv_text

KEPT = 0.95
"""Share of the contrast of a scan that should be kept."""
AUC_COLUMNS = ("scans", "classifier", "auc", "p")
CASE_COLUMNS = (
    *("case", "group", "known", "channel", "mean_before", "mean_after"),
    *("contrast_before", "contrast_after"),
)
Predictions = Mapping[str, Mapping[str, SitePrediction]]
"""Site prediction by kind of scans (raw, zscore, method) and classifier."""


@dataclass(frozen=True)
class CaseEffect:
    """Effect on one channel of one case: mean intensity in the labels and their contrast."""

    case: str
    group: str
    is_known: bool
    channel: str
    mean_before: float | None
    """Mean intensity inside all labels; None without labeled voxels."""
    mean_after: float | None
    contrast_before: float | None
    """Contrast of the labels against the rest of the scan; None if it has none."""
    contrast_after: float | None

    @property
    def kept(self) -> float | None:
        """Contrast after harmonization as a share of that before; None without contrast."""
        if not self.contrast_before or self.contrast_after is None:
            return None
        return self.contrast_after / self.contrast_before


def write_report(
    folder: Path,
    model: Harmonization,
    dataset: str,
    effects: Sequence[CaseEffect],
    *,
    predictions: Predictions,
    pictures: Sequence[tuple[Path, str]],
) -> list[Path]:
    """Write report.html, cases.csv, site_prediction.csv and summary.json, and return them.

    Args:
        folder: where to write.
        model: the harmonization.
        dataset: name of the dataset.
        effects: effect on each channel of each case.
        predictions: how well classifiers recognize the groups; empty with fewer than two groups.
        pictures: PNG files with captions.
    """
    files = {
        "cases.csv": csv_text(CASE_COLUMNS, map(_case_row, effects)),
        "site_prediction.csv": csv_text(AUC_COLUMNS, prediction_rows(predictions)),
        "summary.json": json.dumps(_summary(model, effects, predictions), indent=2) + "\n",
        "report.html": _page(model, dataset, effects, predictions, pictures),
    }
    for name, text in files.items():
        write_text(folder / name, text)
    return [folder / name for name in files]


def prediction_rows(predictions: Predictions) -> list[list[Cell]]:
    """Return a row for each kind of scans and classifier."""
    return [
        [kind, classifier, result.auc, result.p]
        for kind, of_kind in predictions.items()
        for classifier, result in of_kind.items()
    ]


def effect_sentences(effects: Sequence[CaseEffect]) -> list[str]:
    """Return what became of differences between groups and of contrast, channel by channel."""
    sentences = []
    for channel in dict.fromkeys(effect.channel for effect in effects):
        own = [effect for effect in effects if effect.channel == channel]
        before, after = (group_share(own, after=after) for after in (False, True))
        if before is not None and after is not None:
            sentences.append(
                f"{channel}: groups explain {before:.3f} of the variance of the mean intensity "
                f"inside the labels before, and {after:.3f} after harmonization."
            )
        kept = [effect.kept for effect in own if effect.kept is not None]
        if kept:
            enough = sum(share >= KEPT for share in kept)
            sentences.append(
                f"{channel}: the median scan keeps {median(kept):.3f} of the contrast of its "
                f"labels, the lowest {min(kept):.3f}; {enough} of {len(kept)} scans keep at least "
                f"{KEPT:.2f}."
            )
    return sentences


def group_share(effects: Sequence[CaseEffect], *, after: bool) -> float | None:
    """Return the share of the variance of label means between groups; None without groups."""
    pairs = [
        (effect.mean_after if after else effect.mean_before, effect.group) for effect in effects
    ]
    found = [(value, group) for value, group in pairs if value is not None and group]
    if len({group for _, group in found}) < 2:
        return None
    return between_group_share([value for value, _ in found], [group for _, group in found])


def leakage_sentences(predictions: Predictions) -> list[str]:
    """Return a warning for each AUC so low that test scans have probably leaked into a fit."""
    return [
        f"Leakage suspected: {classifier} on {kind} scans has an AUC of {result.auc:.3f}, below "
        f"{LEAKAGE}. With few scans, chance does this as well."
        for kind, of_kind in predictions.items()
        for classifier, result in of_kind.items()
        if result.suspected_leakage
    ]


def _case_row(effect: CaseEffect) -> list[Cell]:
    cells = asdict(effect)
    cells["known"] = "yes" if effect.is_known else "no"
    return [cells[name] for name in CASE_COLUMNS]


def _summary(
    model: Harmonization, effects: Sequence[CaseEffect], predictions: Predictions
) -> dict[str, Any]:
    channels = {}
    for channel in dict.fromkeys(effect.channel for effect in effects):
        own = [effect for effect in effects if effect.channel == channel]
        kept = [effect.kept for effect in own if effect.kept is not None]
        channels[channel] = {
            "group_share_before": group_share(own, after=False),
            "group_share_after": group_share(own, after=True),
            "contrast_kept_median": median(kept) if kept else None,
            "contrast_kept_lowest": min(kept, default=None),
        }
    return {
        "method": model.method,
        "training_scans": dict(model.scans),
        "cases": dict(_cases_of_groups(effects)),
        "channels": channels,
        "site_prediction": {
            kind: {name: asdict(result) for name, result in of_kind.items()}
            for kind, of_kind in predictions.items()
        },
    }


def _cases_of_groups(effects: Sequence[CaseEffect]) -> Counter[str]:
    """Return the number of cases of each group, whatever the number of channels."""
    return Counter({effect.case: effect.group for effect in effects}.values())


def _page(
    model: Harmonization,
    dataset: str,
    effects: Sequence[CaseEffect],
    predictions: Predictions,
    pictures: Sequence[tuple[Path, str]],
) -> str:
    unknown = sorted({effect.case for effect in effects if not effect.is_known})
    lead = [f"{model.method}: {METHODS[model.method].text}."]
    if unknown:
        lead.append(f"{len(unknown)} cases belong to no group of the training scans.")
    sections = [
        Section("Groups", header=_GROUP_HEADER, rows=_group_rows(model, effects)),
        Section("What was removed and what was kept", points=effect_sentences(effects)),
        Section(
            "Can the group be recognized?",
            paragraphs=_SITE_TEXT if predictions else [_NO_GROUPS],
            points=leakage_sentences(predictions),
            header=["scans", "classifier", "AUC", "p"],
            rows=prediction_rows(predictions),
        ),
        Section("Figures", pictures=pictures),
    ]
    return study_page(f"Harmonization of {dataset}", lead, sections)


_GROUP_HEADER = ("group", "cases here", "training scans", "weights of the group's own curve")
_SITE_TEXT = (
    "Classifiers guess the group of a scan from percentiles and moments of its intensities. An AUC "
    "of 0.5 is chance. p is the share of "
    f"{PERMUTATIONS} permutations of the groups with an AUC at least as high.",
    "The classifiers are tested on scans that they were not trained on, and the method is fitted "
    "again without these scans. The table is thus about the method, and not about the given file.",
)
_NO_GROUPS = "There are fewer than two groups with two patients, so nothing can be recognized."


def _group_rows(model: Harmonization, effects: Sequence[CaseEffect]) -> list[list[Cell]]:
    counts = _cases_of_groups(effects)
    rows: list[list[Cell]] = []
    for name in sorted({*counts, *model.scans}):
        weights = [
            f"{channel.groups[name].weight:.2f}"
            for channel in model.channels
            if name in channel.groups
        ]
        rows.append(
            [name or "(none)", counts[name], model.scans.get(name, 0), ", ".join(weights) or "-"]
        )
    return rows
