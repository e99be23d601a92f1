"""Three classifiers that guess the group of a scan, for many assignments of the groups at once.

A permutation test needs hundreds of trainings on permuted groups. The weights of the neighbors and
of the random trees do not depend on the groups, and the logistic regressions of all permutations
are computed together. Each function takes training features (n, D), test features (m, D) and
membership (n, K, P): whether each training scan belongs to each of K groups in P assignments. It
returns scores (m, K, P).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, softmax

Numbers = NDArray[np.float64]
Classifier = Callable[[Numbers, Numbers, Numbers], Numbers]

NEIGHBORS = 10
TREES = 100
LEAF = 2
"""Largest number of training scans in a leaf that is not split further."""
_RIDGE = 1.0
_STEPS = 60


def normal_scores(train: Numbers, test: Numbers) -> tuple[Numbers, Numbers]:
    """Return the features as normal scores of their ranks among the training scans.

    The unit and the gain of a feature then do not matter, and a feature that is far from normal,
    such as the mean of scans whose gains differ a thousandfold, can be used by a linear classifier.

    >>> normal_scores(np.array([[1.0], [1000]]), np.array([[5.0]]))[1].round(3).tolist()
    [[0.0]]
    """
    order = np.sort(train, axis=0)

    def scores(values: Numbers) -> Numbers:
        ranks = np.stack(
            [
                (np.searchsorted(known, own, "left") + np.searchsorted(known, own, "right")) / 2
                for known, own in zip(order.T, values.T, strict=True)
            ],
            axis=1,
        )
        return np.asarray(ndtri((ranks + 0.5) / (len(train) + 1)))

    return scores(train), scores(test)


def nearest_neighbors(train: Numbers, test: Numbers, membership: Numbers) -> Numbers:
    """Return the shares of the groups among the nearest neighbors, by normal scores."""
    known, new = normal_scores(train, test)
    distances = np.square(new[:, None] - known).sum(axis=-1)
    count = min(NEIGHBORS, len(train))
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return np.asarray(membership[nearest].mean(axis=1))


def random_trees(train: Numbers, test: Numbers, membership: Numbers) -> Numbers:
    """Return the mean shares of the groups in the leaves of totally random trees.

    Each node is split at a random value of a random feature (Geurts, Ernst and Wehenkel 2006, with
    K = 1), so the trees depend on ranks only, not on the groups.
    """
    random = np.random.default_rng(0)
    weights = np.zeros((len(test), len(train)))
    for _ in range(TREES):
        _grow(train, test, weights, random)
    flat = membership.reshape(len(train), -1)
    return np.asarray((weights / TREES) @ flat).reshape(len(test), *membership.shape[1:])


def _grow(train: Numbers, test: Numbers, weights: Numbers, random: np.random.Generator) -> None:
    """Split until the training scans of a node are few or equal; add the weights of its leaves.

    Args:
        train: training features (n, D).
        test: test features (m, D).
        weights: weights (m, n) of the training scans for each test scan, to add to.
        random: generator of the splits.
    """
    pending = [(np.arange(len(train)), np.arange(len(test)))]
    while pending:
        known, new = pending.pop()
        if not len(new):
            continue
        points = train[known]
        features = np.flatnonzero(np.ptp(points, axis=0)) if len(known) > LEAF else ()
        if not len(features):
            weights[new[:, None], known] += 1 / len(known)
            continue
        feature = features[random.integers(len(features))]
        values = points[:, feature]
        smaller = values[values < values.max()]
        threshold = smaller[random.integers(len(smaller))]
        below, new_below = values <= threshold, test[new, feature] <= threshold
        pending += [(known[below], new[new_below]), (known[~below], new[~new_below])]


def logistic_regression(train: Numbers, test: Numbers, membership: Numbers) -> Numbers:
    """Return the probabilities of the groups by multinomial logistic regression with a ridge.

    Boehning's bound on the curvature (1992) does not depend on the groups, so that all permutations
    take their steps together, each of which lowers the penalized loss.
    """
    known, new = (
        np.hstack([np.ones((len(scores), 1)), scores]) for scores in normal_scores(train, test)
    )
    penalty = np.diag([1e-6, *[_RIDGE] * (known.shape[1] - 1)])
    inverse = np.linalg.inv(known.T @ known / 2 + penalty)
    weights = np.zeros((known.shape[1], *membership.shape[1:]))
    for _ in range(_STEPS):
        residual = membership - softmax(np.tensordot(known, weights, 1), axis=1)
        gradient = np.tensordot(known.T, residual, 1) - np.tensordot(penalty, weights, 1)
        weights += np.tensordot(inverse, gradient, 1)
    return np.asarray(softmax(np.tensordot(new, weights, 1), axis=1))


CLASSIFIERS: dict[str, Classifier] = {
    "logistic regression": logistic_regression,
    "nearest neighbors": nearest_neighbors,
    "random trees": random_trees,
}
"""The classifiers by name: a linear one and two that are not."""
