"""Sentences of the page of a harmonization, from numbers made by hand."""

from __future__ import annotations

from segkit.harmonization.site_prediction import SitePrediction
from segkit.report.harmonization_page import CaseEffect, effect_sentences, leakage_sentences


def effect(case: str, group: str, means: tuple[float, float], contrast: float) -> CaseEffect:
    """A case whose contrast was 2 before."""
    return CaseEffect(case, group, True, "T1", *means, 2.0, contrast)


def test_what_was_removed_and_kept() -> None:
    """Means 0, 0 and 2, 2 lie apart by group before; 0, 2 and 0, 2 do not after."""
    effects = [
        effect("p", "a", (0, 0), 2.0),
        effect("q", "a", (0, 2), 2.0),
        effect("r", "b", (2, 0), 1.0),
        effect("s", "b", (2, 2), 2.2),
    ]
    assert effect_sentences(effects) == [
        "T1: groups explain 1.000 of the variance of the mean intensity inside the labels before, "
        "and 0.000 after harmonization.",
        "T1: the median scan keeps 1.000 of the contrast of its labels, the lowest 0.500; 3 of 4 "
        "scans keep at least 0.95.",
    ]


def test_one_group_explains_nothing() -> None:
    assert "groups explain" not in effect_sentences([effect("p", "a", (0, 0), 2.0)])[0]


def test_leakage_is_suspected_of_low_areas_only() -> None:
    found = {"raw": {"x": SitePrediction(0.5, 0.4)}, "spline": {"x": SitePrediction(0.2, 1.0)}}
    assert leakage_sentences(found) == [
        "Leakage suspected: x on spline scans has an AUC of 0.200, below 0.35. With few scans, "
        "chance does this as well."
    ]
