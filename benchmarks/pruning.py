"""Is a pruned network better than other networks that are equally fast?

    python benchmarks/pruning.py MODEL DATASET [--out runs/pruning] [--budget latency=0.5]
                                 [--steps 600] [--seeds 0] [--rounds 3] [--overrides KEY=VALUE ...]

Arms, each with every seed: the model pruned by `segkit prune`; the same with random instead of
unimportant groups; and four networks trained from scratch for the steps of the model's own training
and of the pruning together: all stages narrower by one factor (narrow), all stages of one width
(flat), the widths of the first pruned network (scratch), which shows whether its weights are worth
anything, and those of the model itself (longer), which shows what the steps alone do. The widths of
narrow and flat are those whose time for a window is nearest to that of the first pruned network.
Every arm is a folder, and finished ones are not repeated, so the command can be stopped and run
again. All networks are timed in turns at the end. Dice is that of the validation cases of the fold.
Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import torch

import segkit
from segkit.bundle.bundle import Bundle, read_bundle
from segkit.bundle.card import bundle_path
from segkit.bundle.lookup import resolve_model
from segkit.cli import log_to_stderr
from segkit.config.compose import load
from segkit.config.overrides import given_keys
from segkit.dataset.split import split_cases
from segkit.evaluation.intervals import Interval, mean_interval, paired_difference
from segkit.inference.scoring.precision import choose_precision
from segkit.inference.scoring.window_scorer import WindowScorer
from segkit.networks import build_network
from segkit.networks.pruning import channel_sets
from segkit.planning.plan_dataset import measured_plan, open_dataset
from segkit.plans.convolutions import convolutions, multiply_adds, parameters
from segkit.plans.plan_file import read_plan
from segkit.preprocessing.case_store import PreparedCase, prepare_cases
from segkit.studies.pruning.candidate import Candidate
from segkit.studies.pruning.comparison import case_values, validated
from segkit.studies.pruning.latency import window_seconds
from segkit.studies.pruning.ranking import at_random, candidates
from segkit.studies.pruning.selection import empty_window
from segkit.studies.pruning.settings import Budget
from segkit.studies.pruning.setup import set_up_pruning
from segkit.studies.pruning.study import Ranking, prune
from segkit.training.outputs.run_folder import PLAN, prepared_folder
from segkit.training.setup import Setup

CPU = torch.device("cpu")


def main() -> None:
    """Run what is missing and print the table."""
    arguments = _parser().parse_args()
    model = read_bundle(resolve_model(arguments.model))
    arms = {"original": dict.fromkeys(arguments.seeds, model)}
    for name in arguments.arms:
        arms[name] = {seed: _arm(arguments, model, name, seed) for seed in arguments.seeds}
    print(_table(arguments, arms))


def _arm(arguments: argparse.Namespace, model: Bundle, name: str, seed: int) -> Bundle:
    """Return the finished model of an arm."""
    if name in RANKINGS:
        return read_bundle(_pruned(arguments, name, seed))
    steps = int(model.card["training"]["steps"]) + arguments.steps
    return read_bundle(
        segkit.train(
            f"run_dir={arguments.out / f'{name}_{seed}'}",
            f"trainer.max_steps={steps}",
            f"seed={seed}",
            *_plan_words(arguments, model, name),
            resume="auto",
        )
    )


def _plan_words(arguments: argparse.Namespace, model: Bundle, name: str) -> list[str]:
    """Return the overrides that determine the plan of an arm that is trained from scratch."""
    if name == "scratch":
        plan = bundle_path(_pruned(arguments, "pruned", arguments.seeds[0])) / PLAN
        return [f"dataset={arguments.dataset}", f"plan.file={plan}", *arguments.overrides]
    return _network(arguments, model, _features(arguments, model, name))


def _network(arguments: argparse.Namespace, model: Bundle, features: Sequence[int]) -> list[str]:
    """Return the overrides that plan the model's network with other channels."""
    return [
        f"dataset={arguments.dataset}",
        f"network={model.plan.network.name}",
        f"network.features=[{','.join(map(str, features))}]",
        f"plan.patch=[{','.join(map(str, model.plan.patch))}]",
        f"trainer.batch_size={model.plan.batch_size}",
        *arguments.overrides,
    ]


def _pruned(arguments: argparse.Namespace, name: str, seed: int) -> Path:
    return prune(
        arguments.model,
        f"dataset={arguments.dataset}",
        f"run_dir={arguments.out / f'{name}_{seed}'}",
        f"budget.{arguments.budget}",
        f"budget.rounds={arguments.rounds}",
        f"trainer.max_steps={arguments.steps}",
        f"seed={seed}",
        *arguments.overrides,
        ranking=RANKINGS[name],
    )


def _random(
    model: Bundle, study: Setup, _cases: list[PreparedCase], _precision: str
) -> list[Candidate]:
    sets = channel_sets(model.plan)
    return candidates(sets, at_random(sets, study.config.seed))


RANKINGS: dict[str, Ranking | None] = {"pruned": None, "random": _random}
FROM_SCRATCH = ("narrow", "flat", "scratch", "longer")


def _features(arguments: argparse.Namespace, model: Bundle, name: str) -> list[int]:
    """Return the channels of the stages of an arm; one that has begun keeps them."""
    begun = (arguments.out / f"{name}_{seed}" / PLAN for seed in arguments.seeds)
    plan = next((read_plan(file) for file in begun if file.exists()), model.plan)
    stages = [stage.layers[-1].channels for stage in plan.network.encoder]
    if name == "longer" or plan is not model.plan:
        return stages
    widest = {"narrow": stages, "flat": [max(stages)] * len(stages)}[name]
    pruned = read_bundle(_pruned(arguments, "pruned", arguments.seeds[0]))
    return _as_fast(arguments, model, pruned, _narrower(widest))


def _narrower(widest: list[int]) -> list[list[int]]:
    """Return the stages narrowed by one factor after another, from the narrowest on.

    Channels are multiples of 4.

    >>> _narrower([8, 16])
    [[4, 4], [4, 8], [4, 12], [8, 12], [8, 16]]
    """
    factors = [part / 64 for part in range(1, 65)]
    found = {tuple(max(4, 4 * round(part * width / 4)) for width in widest) for part in factors}
    return sorted(map(list, found))


def _as_fast(
    arguments: argparse.Namespace, model: Bundle, pruned: Bundle, options: list[list[int]]
) -> list[int]:
    """Return the channels whose network takes the time nearest to that of the pruned one."""
    # Bisection: a wider network takes longer.
    low, high = 0, len(options)
    shares: dict[int, float] = {}
    while low < high:
        middle = (low + high) // 2
        shares[middle] = _share(arguments, model, pruned, options[middle])
        low, high = (middle + 1, high) if shares[middle] < 1 else (low, middle)
    nearest = min(shares, key=lambda option: abs(math.log(shares[option])))
    return options[nearest]


def _share(
    arguments: argparse.Namespace, model: Bundle, pruned: Bundle, features: Sequence[int]
) -> float:
    """Return the time of a window of an untrained network, in relation to the pruned one."""
    words = _network(arguments, model, features)
    config = load(words)
    store = prepared_folder(config, arguments.out / "cases")
    given = given_keys(words)
    plan, _ = measured_plan(config, open_dataset(config), gpu=False, store=store, given=given)
    precision, _ = choose_precision(arguments.precision, CPU, [model])
    networks = [(build_network(plan).eval(), plan), (pruned.networks()[0], pruned.plan)]
    scorers = [
        WindowScorer([network], own, device=CPU, precision=precision, tta=False)
        for network, own in networks
    ]
    own, limit = window_seconds(scorers, empty_window(plan)).seconds
    return own / limit


def _table(arguments: argparse.Namespace, arms: dict[str, dict[int, Bundle]]) -> str:
    original = next(iter(arms["original"].values()))
    precision, _ = choose_precision(arguments.precision, CPU, [original])
    bundles = [bundle for seeds in arms.values() for bundle in seeds.values()]
    seconds = _seconds(bundles, precision)
    cases = _cases(arguments, original)
    values = {name: _values(seeds, cases, precision) for name, seeds in arms.items()}
    rows = [
        "| network | channels | parameters | multiply-adds, M | time | Dice | minus original |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, seeds in arms.items():
        parts = convolutions(next(iter(seeds.values())).plan)
        time = sum(seconds[bundle.path] for bundle in seeds.values()) / len(seeds)
        rows.append(
            f"| {name} | {_channels(next(iter(seeds.values())))} | {parameters(parts):,} |"
            f" {multiply_adds(parts) / 1e6:.0f} | {time / seconds[original.path]:.2f} |"
            f" {_text(mean_interval(values[name]))} |"
            f" {_text(paired_difference(values[name], values['original']))} |"
        )
    return "\n".join(rows)


def _seconds(bundles: Sequence[Bundle], precision: str) -> dict[Path, float]:
    """Return the median seconds of a window of every model, by its path."""
    scorers = [
        WindowScorer(bundle.networks(), bundle.plan, device=CPU, precision=precision, tta=False)
        for bundle in bundles
    ]
    found = window_seconds(scorers, empty_window(bundles[0].plan)).seconds
    return dict(zip((bundle.path for bundle in bundles), found, strict=True))


def _cases(arguments: argparse.Namespace, model: Bundle) -> list[PreparedCase]:
    """Return the validation cases of the model's fold."""
    words = [f"dataset={arguments.dataset}", f"run_dir={arguments.out / 'cases'}"]
    study = set_up_pruning(model, [*words, *arguments.overrides], Budget(macs=0.5))
    split = split_cases(study.dataset, study.config.fold, study.config.folds)
    store = prepared_folder(study.config, study.run_dir)
    return prepare_cases(split.validation, study.dataset, study.plan, store)


def _values(
    seeds: dict[int, Bundle], cases: list[PreparedCase], precision: str
) -> dict[tuple[str, int], float]:
    values: dict[tuple[str, int], float] = {}
    for seed, bundle in seeds.items():
        values |= case_values(validated(bundle, cases, precision=precision, device=CPU), seed)
    return values


def _channels(bundle: Bundle) -> str:
    """Return the channels of the layers, stage by stage."""
    network = bundle.plan.network
    stages = (*network.encoder, *network.decoder)
    return " ".join("-".join(str(layer.channels) for layer in stage.layers) for stage in stages)


def _text(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{interval.mean:.4f} ({interval.low:.4f} to {interval.high:.4f})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=str)
    parser.add_argument("dataset", type=str)
    parser.add_argument("--out", type=Path, default=Path("runs/pruning"))
    parser.add_argument("--budget", default="latency=0.5")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--arms", nargs="+", default=[*RANKINGS, *FROM_SCRATCH])
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--overrides", nargs="*", default=[])
    return parser


if __name__ == "__main__":
    with log_to_stderr():
        main()
