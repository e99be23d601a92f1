from __future__ import annotations

import pytest

from segkit.planning.topology import find_topology

ISO = (1.0, 1.0, 1.0)


def halvings(strides: tuple[tuple[int, ...], ...]) -> list[int]:
    return [sum(stride[axis] == 2 for stride in strides) for axis in range(3)]


@pytest.mark.parametrize(
    ("patch", "spacing", "padded", "counts"),
    [
        # nnU-Net's own plans: Hippocampus, BraTS, Prostate.
        ((35, 50, 36), ISO, (40, 56, 40), [3, 3, 3]),
        ((128, 128, 128), ISO, (128, 128, 128), [5, 5, 5]),
        ((320, 320, 20), (0.625, 0.625, 3.6), (320, 320, 20), [6, 6, 2]),
        ((256, 320, 20), (0.625, 0.625, 3.6), (256, 320, 20), [6, 6, 2]),
        # A single long axis must have 3 x 4 voxels.
        ((11, 4, 4), ISO, (11, 4, 4), [0, 0, 0]),
        ((12, 4, 4), ISO, (12, 4, 4), [1, 0, 0]),
    ],
)
def test_halvings_follow_size_and_spacing(
    patch: tuple[int, ...], spacing: tuple[float, ...], padded: tuple[int, ...], counts: list[int]
) -> None:
    topology = find_topology(patch, spacing)
    assert topology.patch == padded
    assert halvings(topology.strides) == counts
    assert all(
        edge % step == 0 for edge, step in zip(topology.patch, topology.divisor, strict=True)
    )


def test_a_coarse_axis_waits_with_strides_and_kernels() -> None:
    topology = find_topology((320, 256, 20), (0.625, 0.625, 3.6))
    assert topology.strides[:4] == ((1, 1, 1), (2, 2, 1), (2, 2, 1), (2, 2, 2))
    assert topology.kernels[:4] == ((3, 3, 1), (3, 3, 1), (3, 3, 3), (3, 3, 3))
    assert topology.kernels[-1] == (3, 3, 3)


def test_2d_leaves_the_slice_axis_alone() -> None:
    topology = find_topology((1, 50, 36), ISO, axes=(1, 2))
    assert topology.patch == (1, 56, 40)
    assert {kernel[0] for kernel in topology.kernels} == {1}
    assert {stride[0] for stride in topology.strides} == {1}
    assert topology.sizes == ((1, 56, 40), (1, 28, 20), (1, 14, 10), (1, 7, 5))


def test_depth_can_be_limited() -> None:
    topology = find_topology((64, 64, 60), ISO, stages=2)
    assert topology.strides == ((1, 1, 1), (2, 2, 2))
    assert topology.patch == (64, 64, 60)
