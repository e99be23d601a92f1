"""Numbers of values behind one mean, as docs/science/scaling.md has them."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from segkit.planning.network_stages import build_stages
from segkit.studies.scaling.candidate import Frame
from tests.studies.scaling.conftest import frame_for

PAGE = Path(__file__).parents[3] / "docs" / "science" / "scaling.md"
WIDTHS = (16, 32, 64, 128)


def pools(frame: Frame, **norm: object) -> list[int]:
    """Return channels per group times voxels of every encoder stage."""
    own = frame_for(frame.size, **norm)
    topology = own.topology((40, 56, 40))
    network = build_stages(topology, WIDTHS, inputs=1, config=own.network)
    layers = [stage.layers[0] for stage in network.encoder]
    return [layer.channels // layer.groups * layer.voxels for layer in layers]


def test_the_table_of_pools(frame: Frame) -> None:
    voxels = [layer.voxels for layer in (stage.layers[0] for stage in frame.plan.network.encoder)]
    columns = [
        voxels,
        pools(frame, norm="instance"),
        [2 * count for count in voxels],  # BatchNorm: all voxels of a channel in the batch
        pools(frame, num_groups=8),
        pools(frame, channels_per_group=8),
        pools(frame, channels_per_group=2),
    ]
    table = re.findall(r"^\| ([0-3]) \| ([\d |]+) \|$", PAGE.read_text(), re.MULTILINE)
    rows = [[int(number) for number in row.split(" | ")] for _, row in table]
    assert rows == [list(row) for row in zip(*columns, strict=True)]


def test_fixed_groups_shrink_by_4_per_stage_and_fixed_channels_by_8(frame: Frame) -> None:
    for settings, factor in (({"num_groups": 8}, 4), ({"channels_per_group": 8}, 8)):
        sizes = pools(frame, **settings)
        assert [before / after for before, after in pairwise(sizes)] == [factor] * 3
