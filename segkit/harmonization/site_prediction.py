"""How well classifiers recognize the group of a scan by its intensities, with permutation tests.

If harmonization has removed the traces of scanner and site, the area under the ROC curve (AUC) is
about 0.5. An AUC far below 0.5 is a sign of leakage: the harmonization was fitted to scans on which
the classifiers are tested. Therefore it is fitted again inside each fold of the classifiers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from segkit.harmonization.classifiers import CLASSIFIERS, Classifier
from segkit.harmonization.methods import METHODS
from segkit.harmonization.values import PROBABILITIES, ChannelValues

Numbers = NDArray[np.float64]
Scans = Sequence[Sequence[ChannelValues]]

FOLDS = 5
PERMUTATIONS = 200
LEAKAGE = 0.35
"""AUC below which leakage is suspected."""
_PERCENTILES = np.array([3, 7, 15, 25, 35, 45, 55, 65, 75, 85, 93, 97]) / 100
"""Percentiles that describe a scan; none is a landmark, at which Nyul's method leaves nothing."""
_DIGITS = 1e-6
"""Share of a scan's spread to which features are rounded: smaller differences are arithmetic."""


@dataclass(frozen=True)
class SitePrediction:
    """How well one classifier recognizes the groups."""

    auc: float
    """Mean over groups and folds of the AUC of each group against all others."""
    p: float
    """Share of permuted groups with an AUC at least as high."""

    @property
    def suspected_leakage(self) -> bool:
        """True if the AUC is so far below 0.5 that test scans have probably leaked into a fit."""
        return self.auc < LEAKAGE


def scan_features(quantiles: Numbers) -> list[float]:
    """Return 12 percentiles, mean, standard deviation, skewness and kurtosis of quantiles."""
    mean, std = float(quantiles.mean()), float(quantiles.std())
    unit = std * _DIGITS or 1.0
    percentiles = np.round(np.interp(_PERCENTILES, PROBABILITIES, quantiles) / unit) * unit
    standard = (quantiles - mean) / (std or 1.0)
    shape = [float(np.round((standard**power).mean(), 6)) for power in (3, 4)]
    rounded = [float(np.round(value / unit) * unit) for value in (mean, std)]
    return [*percentiles.tolist(), *rounded, *shape]


def raw_features(scans: Scans) -> Numbers:
    """Return the features (N, 16 C) of scans as they are."""
    return np.array([[x for own in scan for x in scan_features(own.quantiles)] for scan in scans])


def harmonized_features(
    method: str, scans: Scans, groups: Sequence[str], training: NDArray[np.bool_]
) -> Numbers:
    """Return the features (N, 16 C) of scans after a harmonization fitted to some of them.

    Args:
        method: name in METHODS.
        scans: values of each channel of each scan.
        groups: group of each scan.
        training: which scans (N,) the harmonization is fitted to.
    """
    chosen = METHODS[method]
    rows: list[list[float]] = [[] for _ in scans]
    members = [group for group, used in zip(groups, training, strict=True) if used]
    for channel in range(len(scans[0])):
        values = [scan[channel] for scan in scans]
        fitted = [own for own, used in zip(values, training, strict=True) if used]
        model = chosen.fit("", fitted, members)
        for row, own, group in zip(rows, values, groups, strict=True):
            row.extend(scan_features(chosen.mapping(model, own, group)(own.quantiles)))
    return np.array(rows)


def stratified_folds(
    groups: Sequence[str], patients: Sequence[str], count: int = FOLDS
) -> NDArray[np.intp]:
    """Return the fold of each scan: every group is spread over all folds, patients are not.

    There are no more folds than the smallest group has patients, but at least two. A patient of
    several groups counts for the first of them.
    """
    random = np.random.default_rng(0)
    first = dict(reversed([*zip(patients, groups, strict=True)]))
    fold_of: dict[str, int] = {}
    names = sorted(set(first.values()))
    smallest = min(sum(group == name for group in first.values()) for name in names)
    count = max(2, min(count, smallest))
    for name in names:
        members = sorted(patient for patient, group in first.items() if group == name)
        for place, index in enumerate(random.permutation(len(members))):
            fold_of[members[index]] = place % count
    return np.array([fold_of[patient] for patient in patients])


def predict_site(
    features: Callable[[NDArray[np.bool_]], Numbers],
    groups: Sequence[str],
    folds: NDArray[np.intp],
    *,
    permutations: int = PERMUTATIONS,
) -> dict[str, SitePrediction]:
    """Return how well each classifier recognizes the groups.

    Args:
        features: function of the scans (N,) that a harmonization may be fitted to, which returns
            the features (N, D) of all scans.
        groups: group of each scan.
        folds: fold of each scan.
        permutations: number of permutations of the groups.
    """
    names = sorted(set(groups))
    codes = np.array([names.index(group) for group in groups])
    random = np.random.default_rng(0)
    shuffled = [random.permutation(codes) for _ in range(permutations)]
    assignments = np.stack([codes, *shuffled], axis=1)
    parts = []
    for fold in np.unique(folds):
        training = folds != fold
        parts.append((features(training), training))
    return {
        name: _tested(classifier, parts, assignments, len(names))
        for name, classifier in CLASSIFIERS.items()
    }


def _tested(
    classifier: Classifier,
    parts: Sequence[tuple[Numbers, NDArray[np.bool_]]],
    assignments: NDArray[np.intp],
    groups: int,
) -> SitePrediction:
    aucs = []
    for points, training in parts:
        membership = (assignments[training][:, None] == np.arange(groups)[:, None]).astype(float)
        scores = classifier(points[training], points[~training], membership)
        aucs.append(_macro_auc(scores, assignments[~training]))
    mean = _mean_of_folds(np.stack(aucs))
    observed, permuted = float(mean[0]), mean[1:]
    p = (1 + int((permuted >= observed - 1e-12).sum())) / (1 + len(permuted))
    return SitePrediction(observed, p)


def _mean_of_folds(aucs: Numbers) -> Numbers:
    """Return the mean (P,) over the folds that have an AUC; chance if none has one."""
    found = np.isfinite(aucs)
    mean = np.where(found, aucs, 0.0).sum(axis=0) / np.maximum(found.sum(axis=0), 1)
    return np.asarray(np.where(found.any(axis=0), mean, 0.5))


def _macro_auc(scores: Numbers, assignments: NDArray[np.intp]) -> Numbers:
    """Return the mean AUC (P,) over the groups that occur and are not alone in a fold.

    It is nan where the whole fold is one group.

    Args:
        scores: scores (m, K, P).
        assignments: true groups (m, P).
    """
    positive = assignments[:, None] == np.arange(scores.shape[1])[:, None]
    ranks = rankdata(scores, axis=0)
    count = positive.sum(axis=0)
    others = len(scores) - count
    wins = (ranks * positive).sum(axis=0) - count * (count + 1) / 2
    usable = (count > 0) & (others > 0)
    auc = np.where(usable, wins / np.maximum(count * others, 1), 0.0)
    mean = auc.sum(axis=0) / np.maximum(usable.sum(axis=0), 1)
    return np.asarray(np.where(usable.any(axis=0), mean, np.nan))
