"""Which layers become narrower: by hand, on chains of convolutions."""

from __future__ import annotations

import pytest

from segkit.plans.convolutions import IMAGE, Convolution, multiply_adds, parameters
from segkit.studies.pruning.candidate import Candidate, at_least, gently
from segkit.studies.pruning.widths import choose_widths, smallest_cost, uniform_widths


def chain(*widths: int, edge: int = 10) -> list[Convolution]:
    """Return 1x1x1 convolutions from one channel to ``widths``, on edge^3 voxels."""
    names = [IMAGE, *(f"layer{number}" for number in range(len(widths)))]
    return [
        Convolution(name, (before,), name, inputs, outputs, (1, 1, 1), (edge, edge, edge))
        for before, name, inputs, outputs in zip(
            names, names[1:], [1, *widths], widths, strict=False
        )
    ]


def even(name: str, channels: int, value: float = 1.0) -> Candidate:
    return Candidate(name, unit=2, least=4, importance=(value,) * (channels // 2))


def test_nothing_is_removed_if_the_network_is_small_enough() -> None:
    parts = chain(8, 8, 2)
    candidates = [even("layer0", 8), even("layer1", 8)]
    assert choose_widths(parts, candidates, multiply_adds, multiply_adds(parts)) == {}


def test_the_least_important_groups_of_the_layer_that_loses_least_go() -> None:
    parts = chain(8, 8, 2)
    candidates = [
        Candidate("layer0", 2, 4, (5.0, 0.1, 0.2, 5.0)),
        Candidate("layer1", 2, 4, (5.0, 1.0, 1.0, 5.0)),
    ]
    # 1 x 8 + 8 x 8 + 8 x 2 = 88 per voxel; with 4 channels in the first layer 4 + 32 + 16 = 52.
    kept = choose_widths(parts, candidates, multiply_adds, 52_000)
    assert kept == {"layer0": [0, 1, 6, 7]}


def test_a_layer_that_saves_nothing_by_being_narrow_stays() -> None:
    def steps_of_eight(parts: list[Convolution]) -> float:  # as kernels for eight channels at once
        return sum(-(-part.in_channels // 8) * -(-part.out_channels // 8) for part in parts)

    parts = chain(8, 16, 2)
    candidates = [even("layer0", 8, 0.0), even("layer1", 16)]
    assert set(choose_widths(parts, candidates, steps_of_eight, 3)) == {"layer1"}  # type: ignore[arg-type]


def test_what_cannot_be_reached() -> None:
    parts = chain(8, 8, 2)
    candidates = [even("layer0", 8), even("layer1", 8)]
    assert smallest_cost(parts, candidates, multiply_adds) == 1000 * (4 + 16 + 8)
    with pytest.raises(ValueError, match=r"the smallest network costs 2.8e\+04, more than 1e\+04"):
        choose_widths(parts, candidates, multiply_adds, 10_000)


def test_channels_beside_a_skip_connection_follow_it_and_count() -> None:
    skip = Candidate("skip", 2, 2, (0.0, 1.0), {"up": (3.0, 0.0, 0.0, 4.0)})
    assert skip.kept(2) == {"skip": [2, 3], "up": [0, 3]}
    assert (skip.lost(2), skip.sizes(2)) == (0.0, {"skip": 2, "up": 2})


@pytest.mark.parametrize(
    ("channels", "unit", "least", "widths"),
    [
        (16, 2, 4, [4, 8, 12]),
        (32, 2, 4, [4, 8, 12, 16, 20, 24, 28]),
        (128, 2, 4, [4, 16, 32, 48, 64, 80, 96, 112]),
        (24, 3, 6, [6, 12]),
        (6, 2, 4, [4]),
        (4, 2, 4, []),
    ],
)
def test_widths_are_whole_groups_in_steps(
    channels: int, unit: int, least: int, widths: list[int]
) -> None:
    assert Candidate("a", unit, least, (1.0,) * (channels // unit)).widths == widths


def test_parameters_are_a_cost_as_well() -> None:
    parts = chain(8, 8, 2)
    kept = choose_widths(parts, [even("layer0", 8), even("layer1", 8)], parameters, 80)
    assert kept.keys() <= {"layer0", "layer1"}
    assert kept


def test_a_measured_loss_replaces_the_sum_of_estimates() -> None:
    parts = chain(8, 8, 2)
    measured = Candidate("layer0", 2, 4, (0.0,) * 4, losses={4: 9.0})
    estimated = Candidate("layer1", 2, 4, (1.0,) * 4)
    assert (measured.lost(4), measured.lost(8), estimated.lost(4)) == (9.0, 0.0, 2.0)
    assert set(choose_widths(parts, [measured, estimated], multiply_adds, 60_000)) == {"layer1"}


def test_layers_that_save_only_together() -> None:
    def steps_of_eight(parts: list[Convolution]) -> float:
        return max(-(-part.out_channels // 8) for part in parts)

    parts = chain(16, 16, 2)
    candidates = [even("layer0", 16), even("layer1", 16)]
    assert set(choose_widths(parts, candidates, steps_of_eight, 1)) == {"layer0", "layer1"}  # type: ignore[arg-type]


def test_half_of_a_layer_goes_at_once_at_most() -> None:
    (gentle,) = gently([even("layer0", 16, 0.0)])
    assert gentle.widths == [8, 12]
    assert gently([even("layer0", 20)])[0].widths == [12, 16]
    # Of two moves that lose nothing, the smaller step comes first.
    parts, candidates = chain(16, 8, 2), [even("layer0", 16, 0.0)]
    kept = choose_widths(parts, candidates, multiply_adds, multiply_adds(parts) - 1)
    assert len(kept["layer0"]) == 12


def test_what_a_large_step_removed_too_much_comes_back() -> None:
    # 1 x 16 + 16 x 2 = 48 per voxel, with 12 channels 36. For what it saves the step to 8 loses
    # least; it is taken first, although 12 channels would do.
    losses = {4: 9.0, 8: 1.0, 12: 0.9}
    layer = Candidate("layer0", 4, 4, (1.0,) * 4, losses=losses)
    kept = choose_widths(chain(16, 2), [layer], multiply_adds, 36_000)
    assert len(kept["layer0"]) == 12


def test_the_last_choice_is_as_wide_as_the_target_allows() -> None:
    parts, candidates = chain(16, 16, 2), [even("layer0", 16), even("layer1", 16, 9.0)]
    # 16 x 16 + 16 + 32 = 304; layer0 with n channels: n + 16 n + 32. 236 allow 12 channels.
    kept = choose_widths(parts, candidates, multiply_adds, 236_000)
    assert {name: len(numbers) for name, numbers in kept.items()} == {"layer0": 12}
    finest = choose_widths(parts, candidates, multiply_adds, 274_000, finest=True)
    assert {name: len(numbers) for name, numbers in finest.items()} == {"layer0": 14}  # 270


def test_the_uniform_network_is_the_widest_within_the_target() -> None:
    parts, candidates = chain(16, 16, 2), [even("layer0", 16), even("layer1", 16)]
    # n + n^2 + 2 n per voxel: 180 for 12 channels each, 88 for 8.
    assert uniform_widths(parts, candidates, multiply_adds, 180_000) == {"layer0": 12, "layer1": 12}
    assert uniform_widths(parts, candidates, multiply_adds, 179_000) == {"layer0": 8, "layer1": 8}
    assert uniform_widths(parts, candidates, multiply_adds, 27_000) == {}  # 28 with 4 channels


def test_no_layer_becomes_narrower_than_its_limit() -> None:
    parts, candidates = chain(16, 16, 2), [even("layer0", 16, 0.0), even("layer1", 16, 9.0)]
    free = choose_widths(parts, candidates, multiply_adds, 180_000)
    assert {name: len(numbers) for name, numbers in free.items()} == {"layer0": 8}  # 8 + 128 + 32
    limited = at_least(candidates, {"layer0": 12, "layer1": 12})
    kept = choose_widths(parts, gently(limited), multiply_adds, 180_000)
    assert {name: len(numbers) for name, numbers in kept.items()} == {"layer0": 12, "layer1": 12}
