"""Classifiers that guess the group of a scan, on Hippocampus and on made-up features."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from segkit.harmonization.classifiers import CLASSIFIERS, normal_scores
from segkit.harmonization.site_prediction import (
    SitePrediction,
    _macro_auc,
    _mean_of_folds,
    harmonized_features,
    predict_site,
    raw_features,
    stratified_folds,
)
from segkit.harmonization.values import ChannelValues

Scans = list[tuple[ChannelValues, ...]]
GROUPS = ["a"] * 30 + ["b"] * 30
FOLDS = stratified_folds(GROUPS, [str(number) for number in range(60)])


def predicted(points: np.ndarray, permutations: int = 39) -> dict[str, SitePrediction]:
    return predict_site(lambda _: points, GROUPS, FOLDS, permutations=permutations)


def test_all_classifiers_see_groups_and_none_sees_noise() -> None:
    noise = np.random.default_rng(0).normal(size=(60, 4))
    shifted = noise + 3.0 * np.array([[group == "b"] for group in GROUPS])
    assert all(found.auc > 0.99 and found.p == 1 / 40 for found in predicted(shifted).values())
    found_in_noise = predicted(noise).values()
    assert all(0.35 < found.auc < 0.65 and found.p > 0.05 for found in found_in_noise)


def test_two_classifiers_see_what_a_linear_one_cannot() -> None:
    noise = np.random.default_rng(0).uniform(1, 2, size=(60, 1))
    sign = np.random.default_rng(1).choice([-1, 1], size=(60, 1))
    inside = np.where([[group == "b"] for group in GROUPS], 0.1, 1.0)
    found = predicted(sign * noise * inside, permutations=9)
    assert found["logistic regression"].auc < 0.75
    assert found["random trees"].auc > 0.95
    assert found["nearest neighbors"].auc > 0.95


def test_leakage_is_suspected_far_below_chance_only() -> None:
    assert SitePrediction(0.2, 1.0).suspected_leakage
    assert not SitePrediction(0.45, 1.0).suspected_leakage


def test_a_fit_to_all_scans_is_seen_as_leakage() -> None:
    """Centering by the group's mean over all scans, as if harmonized before the split."""
    noise = np.random.default_rng(3).normal(size=(60, 30))
    centered = noise.copy()
    for name in "ab":
        members = [group == name for group in GROUPS]
        centered[members] -= noise[members].mean(axis=0)
    assert predicted(centered, permutations=1)["logistic regression"].suspected_leakage


def test_patients_stay_in_one_fold_and_groups_in_all() -> None:
    patients = [str(number // 2) for number in range(60)]
    folds = stratified_folds(GROUPS, patients)
    assert folds[::2].tolist() == folds[1::2].tolist()
    assert set(folds[:30]) == set(folds[30:]) == set(range(5))
    assert set(stratified_folds(["a", "a", "b", "b", "b"], list("vwxyz"))) == {0, 1}


def test_patients_of_two_groups_do_not_leave_a_fold_without_training_scans() -> None:
    """p and q were seen by both scanners, and count for the first; r is alone in the other."""
    folds = stratified_folds(["a", "b", "a", "b", "b"], list("ppqqr"))
    assert set(folds) == {0, 1}


def test_a_fold_of_one_group_has_no_auc() -> None:
    """Columns are assignments: both groups, told apart; both, mixed up; only the second group."""
    scores = np.repeat(np.array([[0.9, 0.1], [0.2, 0.8]])[..., None], 3, axis=2)
    aucs = _macro_auc(scores, np.array([[0, 1, 1], [1, 0, 1]]))
    np.testing.assert_array_equal(aucs, [1, 0, np.nan])
    other = np.array([0.5, np.nan, np.nan])
    np.testing.assert_array_equal(_mean_of_folds(np.stack([aucs, other])), [0.75, 0, 0.5])


def test_normal_scores_do_not_depend_on_the_unit() -> None:
    values = np.random.default_rng(0).normal(size=(9, 2))
    one = normal_scores(values, values)
    other = normal_scores(np.exp(values), np.exp(values))
    np.testing.assert_array_equal(one[1], other[1])


def test_membership_of_several_assignments_is_independent() -> None:
    random = np.random.default_rng(0)
    train, test = random.normal(size=(20, 3)), random.normal(size=(5, 3))
    codes = random.integers(2, size=(20, 4))
    membership = (codes[:, None] == np.arange(2)[:, None]).astype(float)
    for classifier in CLASSIFIERS.values():
        together = classifier(train, test, membership)
        alone = classifier(train, test, membership[..., 2:3])
        np.testing.assert_allclose(together[..., 2:3], alone, atol=1e-12)


@pytest.mark.slow  # two kinds of scans with 200 permutations each
def test_groups_of_hippocampus_with_all_permutations(
    hippocampus: Scans, hippocampus_groups: list[str]
) -> None:
    folds = stratified_folds(hippocampus_groups, [str(i) for i in range(len(hippocampus))])
    features = partial(harmonized_features, "spline", hippocampus, hippocampus_groups)
    found = predict_site(features, hippocampus_groups, folds)
    assert all(0.35 <= result.auc <= 0.65 for result in found.values())
    raw = predict_site(lambda _: raw_features(hippocampus), hippocampus_groups, folds)
    assert all(result.p == 1 / 201 for result in raw.values())


def test_groups_of_hippocampus_are_plain_before_and_not_after(
    hippocampus: Scans, hippocampus_groups: list[str]
) -> None:
    folds = stratified_folds(hippocampus_groups, [str(i) for i in range(len(hippocampus))])
    raw = predict_site(
        lambda _: raw_features(hippocampus), hippocampus_groups, folds, permutations=5
    )
    assert all(found.auc >= 0.99 for found in raw.values())
    features = partial(harmonized_features, "spline", hippocampus, hippocampus_groups)
    after = predict_site(features, hippocampus_groups, folds, permutations=5)
    assert all(0.35 <= found.auc <= 0.65 for found in after.values())
