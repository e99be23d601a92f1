"""The JSON of a harmonization: the same numbers again, and a refusal of every other content."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.harmonization.fit import fit
from segkit.harmonization.model import Harmonization
from segkit.harmonization.model_file import (
    harmonization_of,
    harmonization_text,
    read_harmonization,
    write_harmonization,
)
from segkit.harmonization.values import ChannelValues

Made = Callable[[Any], ChannelValues]


@pytest.fixture(scope="module")
def model(scan: Made) -> Harmonization:
    random = np.random.default_rng(0)
    scans = [(scan(gain * random.gamma(4.0, size=300)),) for gain in [1.0] * 30 + [50.0] * 30]
    return fit("spline", ["T1"], scans, source="intensities")


def test_reading_gives_what_was_written(model: Harmonization, tmp_path: Path) -> None:
    write_harmonization(tmp_path / "h.json", model)
    assert read_harmonization(tmp_path / "h.json") == model


@pytest.mark.parametrize("method", ["zscore", "nyul"])
def test_methods_without_groups_are_stored_too(method: str, scan: Made) -> None:
    model = fit(method, ["T1"], [(scan([1.0, 2.0, 5.0]),)])
    assert harmonization_of(json.loads(harmonization_text(model)), "x") == model


def test_a_channel_that_is_constant_in_all_scans_is_stored_too(scan: Made) -> None:
    model = fit("spline", ["T1"], [(scan([7.0, 7.0]),)] * 4, ["a", "a", "b", "b"])
    assert model.channels[0].groups["b"].weight == 0
    assert harmonization_of(json.loads(harmonization_text(model)), "x") == model


def test_a_group_that_is_constant_in_one_channel_has_a_curve_in_it(scan: Made) -> None:
    flat, ramp = scan([7.0, 7.0]), scan([1.0, 2.0, 5.0])
    scans = [(ramp, flat), (ramp, flat), (ramp, ramp), (ramp, ramp)]
    model = fit("spline", ["T1", "T2"], scans, ["a", "a", "b", "b"])
    assert model.channels[1].groups["a"].quantiles == model.channels[1].target
    assert model.channels[1].groups["a"].scans == 0
    assert harmonization_of(json.loads(harmonization_text(model)), "x") == model


def changed(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return a function that sets a value; ``path`` has its keys, separated by dots."""

    def change(content: dict[str, Any]) -> None:
        *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
        part: Any = content
        for key in parents:
            part = part[key]
        part[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (changed("format_version", 2), "found 2"),
        (changed("method", "combat"), "a ComBat model of a table"),
        (changed("method", "magic"), "method 'magic'"),
        (changed("channels", []), "no channel"),
        (changed("channels.0.target", [1.0, 2.0]), "has 2 numbers instead of"),
        (changed("channels.0.target.3", float("nan")), "not finite"),
        (changed("channels.0.target.3", 99.0), "target falls"),
        (changed("channels.0.groups.group_1.quantiles.0", 99.0), "group_1 falls"),
        (changed("channels.0.groups.group_1.weight", 1.5), "the weight 1.5"),
        (changed("channels.0.groups", {}), "no groups"),
        (changed("scans", {"group_1": 3}), "group_2 is not among the groups"),
        (changed("grouping.source", "guess"), "grouping 'guess'"),
        (changed("grouping.tags", ["PatientName"]), "the DICOM attribute 'PatientName'"),
        (changed("grouping.mixture", None), "a mixture without groups"),
        (changed("grouping.mixture.means", [[1.0, 2.0]]), "numbers missing"),
        (changed("grouping.mixture.means.0.0", float("inf")), "not finite"),
        (changed("grouping.mixture.weights.0", 0.0), "not between 0 and 1"),
        (changed("grouping.mixture.weights.0", float("inf")), "not between 0 and 1"),
        (changed("scans.group_9", 3), "no curve of group_9"),
        (changed("grouping.mixture.covariances.0.0.0", -1.0), "covariance that is none"),
        (changed("more", 1), "TypeError"),
        (changed("channels.0.target.3", "x"), "ValueError"),
        (changed("channels.0.target.3", 10**400), "OverflowError"),
        (changed("scans", {"group_1": float("inf")}), "OverflowError"),
    ],
)
def test_other_content_is_refused(
    change: Callable[[dict[str, Any]], None], found: str, model: Harmonization
) -> None:
    content = json.loads(harmonization_text(model))
    change(content)
    with pytest.raises(InputError, match=found):
        harmonization_of(content, "h.json")
