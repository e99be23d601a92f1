"""Times of convolutions: what is measured, never how fast it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segkit.bundle.bundle import write_bundle
from segkit.inference.scoring.window_scorer import WindowScorer
from segkit.networks import build_network
from segkit.plans.convolutions import convolutions, multiply_adds, resized
from segkit.plans.plan import Plan
from segkit.studies.memory_process import is_measurable
from segkit.studies.pruning.latency import ConvolutionTimes, window_seconds
from segkit.studies.pruning.window_memory import window_memory

CPU = torch.device("cpu")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_convolution_of_a_prediction_is_timed_once(plan: Plan, precision: str) -> None:
    times = ConvolutionTimes(plan, precision=precision, device=CPU)
    parts = convolutions(plan)
    total = times(parts)
    assert total > 0
    assert times(parts) == total  # not measured again
    narrow = resized(parts, {"encoder.0.0": 4})
    changed = {part.name for part, other in zip(parts, narrow, strict=True) if part != other}
    assert changed == {"encoder.0.0.conv", "encoder.0.1.conv"}
    others = sum(times.seconds(part) for part in parts if part.name not in changed)
    assert times(narrow) == pytest.approx(
        others + sum(times.seconds(part) for part in narrow if part.name in changed)
    )


def test_when_the_time_is_over_convolutions_are_estimated_by_their_multiply_adds(
    plan: Plan,
) -> None:
    times = ConvolutionTimes(plan, precision="float32", device=CPU)
    first, second, third, *_ = convolutions(plan)
    times.left = lambda: -1.0
    measured = times.seconds(first)  # without any there is nothing to estimate by
    assert times.seconds(first) == measured
    estimate = measured * multiply_adds([second]) / multiply_adds([first])
    assert times.seconds(second) == pytest.approx(estimate)
    times.left = lambda: 1.0
    both = measured + times.seconds(second)  # measured after all
    times.left = lambda: 0.0
    work = multiply_adds([first, second])
    assert times.seconds(third) == pytest.approx(both * multiply_adds([third]) / work)


def test_networks_take_turns(plan: Plan) -> None:
    class Scorer:
        device = CPU

        def __init__(self, name: str) -> None:
            self.name = name

        def __call__(self, _window: torch.Tensor) -> None:
            order.append(self.name)

    order: list[str] = []
    times = window_seconds([Scorer("a"), Scorer("b")], torch.zeros(1))  # type: ignore[list-item]
    assert order == ["a", "b"] * 28
    assert len(times.seconds) == 2
    assert min(times.seconds) >= 0
    assert times.runs == 25
    order.clear()
    short = window_seconds([Scorer("a")], torch.zeros(1), seconds=-1)  # type: ignore[list-item]
    assert (order, short.runs) == (["a"] * 4, 3)


def test_a_real_network_is_timed(plan: Plan) -> None:
    network = build_network(plan).eval()
    scorer = WindowScorer([network], plan, device=CPU, precision="float32", tta=False)
    (seconds,) = window_seconds([scorer], torch.zeros(1, 1, *plan.patch)).seconds
    assert seconds > 0


@pytest.mark.skipif(not is_measurable("cpu"), reason="only Linux tells the peak of a process")
def test_memory_is_at_least_that_of_the_largest_features(plan: Plan, tmp_path: Path) -> None:
    write_bundle(tmp_path, plan, {}, {"0": build_network(plan).state_dict()})
    first, second = window_memory([tmp_path] * 2, precision="float32", device=CPU)
    voxels = torch.Size(plan.patch).numel()
    assert first is not None
    assert 4 * 2 * 8 * voxels <= first < 1e9  # input and output of a convolution of 8 channels
    assert second == pytest.approx(first, rel=0.3)  # not less because the first had memory
    assert (
        window_memory([tmp_path] * 2, precision="float32", device=CPU, seconds=0.01) == [None] * 2
    )
