"""Time one batch of windows with PyTorch and OpenVINO, in turns, in float32 and bfloat16 (extra
[openvino]).

    python benchmarks/engines.py BUNDLE [--rounds 7] [--batch 1]
    python benchmarks/engines.py --widths 32 64 128 256 320 --edge 64 [--convolutions 2]

The second uses random weights of a U-Net with these features per stage, 9 labels including the
background, and windows of edge^3. Windows are normal noise. Times are medians of CPU seconds
without the first round. Differences are those of scores to PyTorch in float64; labels are those of
the highest scores. "ready" is the CPU time from the network in memory to its engine, without
imports.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from segkit.bundle.bundle import read_bundle
from segkit.inference.scoring.engine import load_openvino, make_engine
from segkit.inference.scoring.window_scorer import WindowScorer
from segkit.networks import build_network
from segkit.plans.plan import ChannelPlan, LayerPlan, NetworkPlan, Plan, StagePlan

CPU = torch.device("cpu")
LABELS = 8


def main() -> None:
    """Time and compare the engines, and print a table in Markdown."""
    given = _parser().parse_args()
    torch.set_num_threads(given.threads)
    load_openvino()
    plan, network = _given(given) if given.bundle else _drawn(given)
    torch.manual_seed(1)
    windows = torch.randn(given.batch, len(plan.channels), *plan.patch)
    with torch.inference_mode():
        exact = copy.deepcopy(network).double()(windows.double())
    runs, ready = {}, {}
    for engine in ("torch", "openvino"):
        for precision in ("float32", "bfloat16"):
            started = time.process_time()
            runs[engine, precision] = _run(copy.deepcopy(network), plan, engine, precision)
            ready[engine, precision] = time.process_time() - started
    _print(plan, runs, ready, windows=windows, exact=exact, rounds=given.rounds)


def _print(
    plan: Plan,
    runs: dict[tuple[str, str], Callable[[Tensor], Tensor]],
    ready: dict[tuple[str, str], float],
    *,
    windows: Tensor,
    exact: Tensor,
    rounds: int,
) -> None:
    times: dict[tuple[str, str], list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            started = time.process_time()
            run(windows)
            times[name].append(time.process_time() - started)
    medians = {name: median(seconds[1:]) for name, seconds in times.items()}
    print(f"{plan.name}: {len(windows)} of {' x '.join(str(edge) for edge in plan.patch)}")
    print(
        "| engine | precision | ms | of torch's | min, max | ready, s | largest difference |"
        " labels that agree |"
    )
    print("| --- " * 8 + "|")
    for (engine, precision), run in runs.items():
        mine, scores = times[engine, precision][1:], run(windows)
        ms, share = (
            medians[engine, precision] * 1e3,
            medians[engine, precision] / medians["torch", precision],
        )
        spread = f"{min(mine) * 1e3:.0f}, {max(mine) * 1e3:.0f}"
        off, same = (
            (scores - exact).abs().max(),
            (scores.argmax(1) == exact.argmax(1)).double().mean(),
        )
        again = "" if torch.equal(scores, run(windows)) else " (another the second time)"
        print(f"| {engine} | {precision} | {ms:.0f} | {share:.2f} | {spread} ", end="")
        print(f"| {ready[engine, precision]:.2f} | {off:.1e}{again} | {same:.5f} |", flush=True)


def _run(network: nn.Module, plan: Plan, engine: str, precision: str) -> Callable[[Tensor], Tensor]:
    made = make_engine(engine, plan, precision)
    scorer = WindowScorer([network], plan, device=CPU, precision=precision, tta=False, engine=made)

    @torch.inference_mode()
    def run(windows: Tensor) -> Tensor:
        averaged = scorer(windows)
        return (
            torch.stack([scorer.scores(window) for window in averaged])
            if scorer.heads
            else averaged
        )

    return run


def _given(given: argparse.Namespace) -> tuple[Plan, nn.Module]:
    bundle = read_bundle(given.bundle)
    return bundle.plan, bundle.networks()[0]


def _drawn(given: argparse.Namespace) -> tuple[Plan, nn.Module]:
    torch.manual_seed(0)
    plan = _plan(given.widths, given.edge, given.convolutions)
    return plan, build_network(plan).eval()


def _plan(widths: list[int], edge: int, convolutions: int) -> Plan:
    def stage(index: int, stride: int) -> StagePlan:
        layer = LayerPlan("layer", widths[index], "group", widths[index] // 2, edge)
        return StagePlan((3, 3, 3), (stride, stride, stride), (layer,) * convolutions)

    stages = range(len(widths))
    return Plan(
        name="-".join(str(width) for width in widths),
        dims=3,
        slice_axis=None,
        channels=(ChannelPlan("scan", "zscore"),),
        labels={f"label{value}": value for value in range(1, LABELS + 1)},
        spacing=(1.0, 1.0, 1.0),
        unit="mm",
        patch=(edge, edge, edge),
        batch_size=2,
        mirror_axes=(),
        crop_to_content=True,
        network=NetworkPlan(
            "unet",
            "leaky_relu",
            encoder=tuple(stage(index, 2 if index else 1) for index in stages),
            decoder=tuple(stage(index, 2) for index in reversed(stages[:-1])),
            deep_supervision=False,
        ),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 64, 128, 256, 320])
    parser.add_argument("--edge", type=int, default=64)
    parser.add_argument("--convolutions", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    return parser


if __name__ == "__main__":
    main()
