"""Dice by overlap on a bundle's card, and the overlap that follows from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from segkit.bundle.bundle import read_bundle
from segkit.bundle.overlap_dice import (
    choose_overlap,
    joint_overlap_dice,
    overlap_costs,
    overlap_entry,
)
from segkit.errors import InputError

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"


def card(half: float, quarter: float, none: float, cases: int = 2) -> dict[str, Any]:
    """A card with one label and its Dice at the overlaps 0.5, 0.25 and 0."""
    dice = {0.5: {"a": half}, 0.25: {"a": quarter}, 0.0: {"a": none}}
    return overlap_entry(dice, cases, 0)


@pytest.mark.parametrize(
    ("quarter", "none", "chosen"),
    [
        (0.9, 0.9, 0.0),
        (0.899, 0.899, 0.0),  # exactly what is accepted, in spite of rounding
        (0.899, 0.8989, 0.25),
        (0.8989, 0.8989, 0.5),
        (0.8, 0.95, 0.0),  # the smallest that is accepted, whatever lies between
    ],
)
def test_the_smallest_overlap_that_costs_at_most_a_thousandth(
    quarter: float, none: float, chosen: float
) -> None:
    assert choose_overlap([card(0.9, quarter, none)])[0] == chosen


def test_the_reason_has_figures_and_the_number_of_cases() -> None:
    assert choose_overlap([card(0.9, 0.8996, 0.9012, cases=1)])[1] == (
        "compared with overlap 0.5 on 1 validation case, overlap 0.25 loses 0.0004 of Dice, "
        "overlap 0 gains 0.0012 of Dice; a loss of at most 0.001 is accepted"
    )
    assert choose_overlap([card(0.9, 0.89998, 0.9)])[1] == (
        "compared with overlap 0.5 on 2 validation cases, overlap 0.25 loses less than 0.0001 of "
        "Dice, overlap 0 changes nothing; a loss of at most 0.001 is accepted"
    )


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        ([{}], "the training has not measured Dice at other overlaps"),
        (
            [card(0.9, 0.9, 0.9), {}],
            "the training of one of the models has not measured Dice at other overlaps",
        ),
        (
            [overlap_entry({}, 0, 12)],
            "each of the 12 validation scans has the same windows at every overlap, so that there "
            "was nothing to compare",
        ),
        (
            [overlap_entry({}, 0, 1)],
            "the validation scan has the same windows at every overlap, so that there was nothing "
            "to compare",
        ),
        (
            [overlap_entry({0.5: {"a": 0.9}, 0.0: {"b": 0.9}}, 2, 0)],
            "no label of the validation cases has a Dice at every overlap",
        ),
    ],
)
def test_where_nothing_is_known_it_is_a_half(cards: list[dict[str, Any]], reason: str) -> None:
    assert choose_overlap(cards) == (0.5, reason)


def test_the_mean_is_over_labels_that_every_overlap_has() -> None:
    # Label b is found at 0.5 only, where it is wrong: it must not speak for the other overlaps.
    dice = {0.5: {"a": 0.9, "b": 0.0}, 0.25: {"a": 0.89}, 0.0: {"a": 0.8}}
    assert overlap_costs(overlap_entry(dice, 2, 0)["overlap"]) == {0.25: 0.01, 0.0: 0.1}
    nothing = overlap_entry({0.5: {"b": 0.0}, 0.25: {"a": 0.9}}, 2, 0)
    assert choose_overlap([nothing])[0] == 0.5


def test_models_of_an_ensemble_count_by_their_cases() -> None:
    # The costs of overlap 0 are 0.002 on one case and 0 on three: 0.0005 on all four.
    models = [card(0.9, 0.9, 0.898, cases=1), card(0.8, 0.8, 0.8, cases=3)]
    joint = joint_overlap_dice(models)["overlap"]
    assert (joint["cases"], joint["dice"]["0"]) == (4, {"a": 0.8245})
    assert choose_overlap(models)[0] == 0.0
    assert choose_overlap(models[:1])[0] == 0.25
    # A model without a case in which windows differ says nothing against the others.
    assert choose_overlap([models[0], overlap_entry({}, 0, 5)])[0] == 0.25


def edited(folder: Path, entry: object) -> Path:
    model = Path(shutil.copytree(FROZEN, folder / "model"))
    content = json.loads((model / "bundle.json").read_text())
    (model / "bundle.json").write_text(json.dumps({**content, "overlap": entry}))
    return model


def test_a_card_keeps_it(tmp_path: Path) -> None:
    entry = overlap_entry({0.5: {"bright": 0.9}, 0.0: {"bright": 0.9}}, 2, 1)["overlap"]
    assert read_bundle(edited(tmp_path, entry)).card["overlap"] == entry


@pytest.mark.parametrize(
    "entry",
    [
        [],
        {"cases": 1, "same_windows": 0},
        {"cases": 0, "same_windows": 0, "dice": {"0.5": {}}},
        {"cases": 1, "same_windows": -1, "dice": {"0.5": {}}},
        {"cases": 1, "same_windows": 0, "dice": {"0": {"bright": 0.9}}},
        {"cases": 1, "same_windows": 0, "dice": {"0.5": {"bright": 1.5}}},
        {"cases": 1, "same_windows": 0, "dice": {"0.5": {"heart": 0.5}}},
        {"cases": 1, "same_windows": 0, "dice": {"0.5": {}, "1": {}}},
        {"cases": 1, "same_windows": 0, "dice": {"0.5": {}, "half": {}}},
        {"cases": 1, "same_windows": 0, "dice": {"0.5": {"bright": True}}},
    ],
)
def test_another_entry_is_refused(tmp_path: Path, entry: object) -> None:
    with pytest.raises(InputError, match=r"expected overlap with numbers of cases and"):
        read_bundle(edited(tmp_path, entry))
