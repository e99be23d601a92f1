"""Rows of a small study, as results.csv holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from segkit.report.tables import Cell
from segkit.studies.tickets.levels import TICKET

MakeRows = Callable[..., list[Mapping[str, Cell]]]
SHARES = {0: 1.0, 1: 0.5, 2: 0.25}


@pytest.fixture
def dice_rows() -> MakeRows:
    """Return dice_rows(dice, norm=, kind=, level=, measure=), with ``dice`` by case and seed."""

    def make(
        dice: Mapping[tuple[str, int], float],
        *,
        norm: str = "group",
        kind: str = TICKET,
        level: int = 0,
        measure: str = "dice",
    ) -> list[Mapping[str, Cell]]:
        return [
            {
                "norm": norm,
                "seed": seed,
                "kind": kind,
                "level": level,
                "status": "done",
                "remaining": SHARES[level],
                "measure": measure,
                "case": case,
                "label": label,
                "value": value + offset,
            }
            for (case, seed), value in dice.items()
            for label, offset in (("low", -0.125), ("high", 0.125))
        ]

    return make
