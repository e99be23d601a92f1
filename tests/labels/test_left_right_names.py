from __future__ import annotations

import pytest

from segkit.labels.left_right_names import lateral_pairs


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left lung", "right lung"),
        ("lung_upper_lobe_left", "lung_upper_lobe_right"),
        ("Left-Thalamus", "Right-Thalamus"),
        ("hippocampus_L", "hippocampus_R"),
        ("L hippocampus", "R hippocampus"),
        ("ctx-lh-precuneus", "ctx-rh-precuneus"),
        ("LeftKidney", "RightKidney"),
        ("rib_left_1", "rib_right_1"),
        ("Niere links", "Niere rechts"),
        ("linke Niere", "rechte Niere"),
        ("left", "right"),
    ],
)
def test_pairs_are_found_whatever_stands_between(left: str, right: str) -> None:
    assert lateral_pairs(["liver", left, right]) == (((left, right),), ())
    assert lateral_pairs([right, left]) == (((right, left),), ())


@pytest.mark.parametrize(
    "name", ["liver", "colon", "rib", "vertebrae_L1", "L", "bright", "cleft", "lh"]
)
def test_these_have_no_side(name: str) -> None:
    assert lateral_pairs([name, "other"]) == ((), ())


def test_partners_agree_in_the_rest_of_their_names() -> None:
    names = [
        "lung_upper_lobe_left",
        "lung_lower_lobe_left",
        "lung_middle_lobe_right",
        "lung_lower_lobe_right",
    ]
    assert lateral_pairs(names) == (
        (("lung_lower_lobe_left", "lung_lower_lobe_right"),),
        ("lung_upper_lobe_left", "lung_middle_lobe_right"),
    )
