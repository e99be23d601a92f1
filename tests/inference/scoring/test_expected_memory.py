"""Expected memory of the largest scan of a training, with terms that can be worked out by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from segkit.bundle.card import ModelCard, open_card
from segkit.inference.scoring.expected_memory import PROCESS_BYTES, expected_memory
from segkit.plans.ranges import DataRanges

FROZEN = Path(__file__).parents[2] / "data" / "bundle_v1"
WEIGHTS = 4236
"""Bytes of the frozen model's only file of weights."""


def trained_on(size: float, edge: float) -> ModelCard:
    """Return the frozen model as if trained on scans up to ``size`` mm, with voxels of ``edge``."""
    card = open_card(FROZEN)
    ranges = DataRanges(2, ((edge, 2 * edge),) * 3, ((size / 2, size),) * 3, (), {})
    return dataclasses.replace(card, plan=dataclasses.replace(card.plan, training=ranges))


def test_nothing_is_known() -> None:
    assert expected_memory([open_card(FROZEN)]) is None


def test_grows_with_the_scan() -> None:
    """The scan has the largest field of view and the smallest voxels: 100 mm by 0.5 mm."""
    small, large = expected_memory([trained_on(100, 0.5)]), expected_memory([trained_on(200, 0.5)])
    assert small is not None
    assert large is not None
    assert (small[1], large[1]) == ((200, 200, 200), (400, 400, 400))
    # The scan as float32 and its label map as uint16, at least.
    assert small[0] > PROCESS_BYTES + WEIGHTS + 6 * 200**3
    assert large[0] - small[0] > 5.9 * (400**3 - 200**3)
    # Everything that depends on the scan is at most eight times as large.
    assert large[0] - PROCESS_BYTES < 8 * (small[0] - PROCESS_BYTES)


def test_every_model_of_an_ensemble_has_weights() -> None:
    one = trained_on(100, 0.5)
    single, double = expected_memory([one]), expected_memory([one, one])
    assert single is not None
    assert double is not None
    assert double[0] - single[0] == WEIGHTS
