from __future__ import annotations

from typing import Any

import pytest

from segkit.errors import UsageError
from segkit.planning.norm_groups import channels_per_group, groups_for


@pytest.mark.parametrize(
    ("channels", "voxels", "expected"),
    [
        (16, 89_600, 2),
        (128, 175, 2),
        (320, 27, 4),
        (320, 8, 8),
        (320, 1, 64),
        (4, 32, 2),
        (128, 1, 64),
        (64, 1, None),
        (7, 1000, None),
        (2, 1000, None),
        (15, 1000, 3),
    ],
)
def test_the_finest_groups_that_see_64_values(
    channels: int, voxels: int, expected: int | None
) -> None:
    assert channels_per_group(channels, voxels) == expected


def test_never_one_group_and_never_one_channel() -> None:
    for channels in range(1, 64):
        for voxels in (1, 8, 27, 1000):
            size = channels_per_group(channels, voxels)
            assert size is None or (size >= 2 and channels // size >= 2 and channels % size == 0)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("group", 16)),
        ({"per_group": 8}, ("group", 4)),
        ({"num_groups": 8}, ("group", 8)),
        ({"kind": "instance"}, ("group", 32)),
        ({"kind": "layer"}, ("group", 1)),
        ({"kind": "group_ws"}, ("group_ws", 16)),
        ({"kind": "group_ws", "num_groups": 8}, ("group_ws", 8)),
        ({"kind": "batch"}, ("batch", 0)),
        ({"kind": "batch_renorm"}, ("batch_renorm", 0)),
        ({"kind": "none"}, ("none", 0)),
    ],
)
def test_every_kind(options: dict[str, Any], expected: tuple[str, int]) -> None:
    assert groups_for(32, 1000, layer="encoder.0.0", **options) == expected


@pytest.mark.parametrize(
    ("channels", "voxels", "options", "message"),
    [
        (7, 1000, {}, r"Layer bottleneck\.0: 7 channels at 1000 voxels cannot be split"),
        (
            32,
            9,
            {"per_group": 5},
            r"Layer bottleneck\.0: network\.channels_per_group=5 "
            r"does not divide its 32 channels\. ",
        ),
        (
            12,
            9,
            {"num_groups": 8},
            r"network\.num_groups=8 does not divide its 12 channels\. Possible: 1, 2, 3, 4, 6, 12",
        ),
        (32, 9, {"per_group": "fine"}, r"network\.channels_per_group=fine must be a whole number"),
        (32, 9, {"num_groups": 0}, r"network\.num_groups=0 must be a whole number of at least 1"),
        (32, 9, {"per_group": 2, "num_groups": 8}, "both set. Give only one"),
        (
            32,
            1,
            {"kind": "instance"},
            r"Layer bottleneck\.0: instance norm needs at least 2 voxels .* sees 1",
        ),
        (
            32,
            9,
            {"kind": "batch_norm"},
            r"network\.norm=batch_norm is not known\. Choose one of: group, instance",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    channels: int, voxels: int, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        groups_for(channels, voxels, layer="bottleneck.0", **options)
