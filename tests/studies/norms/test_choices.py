"""Norms by their names in a study."""

from __future__ import annotations

import pytest

from segkit.config.compose import load
from segkit.plans.norm_catalogue import NORMS as CATALOGUE
from segkit.studies.norms.choices import NORMS, with_norm


def test_a_norm_replaces_the_groups_of_another_one() -> None:
    config = load(["network.num_groups=4"])
    eight = with_norm(config, "group_8").network
    assert (eight.norm, eight.channels_per_group, eight.num_groups) == ("group", 8, None)
    rule = with_norm(with_norm(config, "group_8"), "group").network
    assert (rule.norm, rule.channels_per_group, rule.num_groups) == ("group", "auto", None)
    assert config.network.num_groups == 4


@pytest.mark.parametrize("name", NORMS)
def test_every_norm_is_in_the_catalogue(name: str) -> None:
    assert with_norm(load([]), name).network.norm in CATALOGUE
