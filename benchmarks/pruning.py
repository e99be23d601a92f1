"""Is a pruned network better than other networks that are equally fast?

    python benchmarks/pruning.py MODEL DATASET [--out runs/pruning] [--budget latency=0.5]
                                 [--steps 600] [--seeds 0] [--rounds 3] [--overrides KEY=VALUE ...]

Arms, each with every seed: the model pruned by `segkit prune`; the same with random instead of
unimportant groups; and two networks trained from scratch, all stages narrower by one factor
(narrow) and all stages of one width (flat), as wide as the time of the first pruned network allows.
Those get the steps of the model's own training and of the pruning together. Every arm is a folder,
and finished ones are not repeated, so the command can be stopped and run again. All networks are
timed in turns at the end. Dice is that of the validation cases of the fold. Prints a table in
Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

import segkit
from segkit.bundle.bundle import Bundle, read_bundle
from segkit.bundle.lookup import resolve_model
from segkit.cli import log_to_stderr
from segkit.inference.scoring.precision import choose_precision
from segkit.inference.scoring.window_scorer import WindowScorer
from segkit.networks.pruning import channel_sets
from segkit.plans.convolutions import Convolution, convolutions, multiply_adds, parameters, resized
from segkit.preprocessing.case_store import PreparedCase, prepare_cases
from segkit.studies.intervals import Interval, mean_interval, paired_difference
from segkit.studies.pruning.comparison import case_values, validated
from segkit.studies.pruning.latency import ConvolutionTimes, window_seconds
from segkit.studies.pruning.ranking import at_random, candidates
from segkit.studies.pruning.selection import empty_window
from segkit.studies.pruning.settings import Budget
from segkit.studies.pruning.setup import set_up_pruning
from segkit.studies.pruning.study import Ranking, prune
from segkit.studies.pruning.widths import Candidate
from segkit.training.data.split import split_cases
from segkit.training.outputs.run_folder import prepared_folder
from segkit.training.setup import Setup

CPU = torch.device("cpu")
Widths = Callable[[float], list[int]]
"""Function from a factor to the channels of every stage."""


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
    first = read_bundle(_pruned(arguments, "pruned", arguments.seeds[0]))
    features = _as_fast(model, first, WIDTHS[name](model), arguments.precision)
    steps = int(model.card["training"]["steps"]) + arguments.steps
    patch = ",".join(map(str, model.plan.patch))
    run_dir = arguments.out / f"{name}_{seed}"
    return read_bundle(
        segkit.train(
            f"dataset={arguments.dataset}",
            f"run_dir={run_dir}",
            f"network={model.plan.network.name}",
            f"network.features=[{','.join(map(str, features))}]",
            f"plan.patch=[{patch}]",
            f"trainer.batch_size={model.plan.batch_size}",
            f"trainer.max_steps={steps}",
            f"seed={seed}",
            *arguments.overrides,
            resume="auto",
        )
    )


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


def _narrow(model: Bundle) -> Widths:
    stages = [stage.layers[-1].channels for stage in model.plan.network.encoder]
    return lambda factor: [max(4, 4 * round(factor * width / 4)) for width in stages]


def _flat(model: Bundle) -> Widths:
    stages = [stage.layers[-1].channels for stage in model.plan.network.encoder]
    return lambda factor: [max(4, 4 * round(factor * max(stages) / 4))] * len(stages)


WIDTHS: dict[str, Callable[[Bundle], Widths]] = {"narrow": _narrow, "flat": _flat}


def _as_fast(model: Bundle, pruned: Bundle, widths: Widths, precision: str) -> list[int]:
    """Return the widest stages that take no more time than the pruned network."""
    chosen, _ = choose_precision(precision, CPU, [model])
    times = ConvolutionTimes(model.plan, precision=chosen, device=CPU)
    parts, limit = convolutions(model.plan), times(convolutions(pruned.plan))
    options = {tuple(widths(step / 64)) for step in range(1, 65)}
    fitting = [
        option for option in options if times(resized(parts, dict(_sizes(parts, option)))) <= limit
    ]
    return list(max(fitting or [min(options)]))


def _sizes(parts: list[Convolution], features: tuple[int, ...]) -> Iterator[tuple[str, int]]:
    """Yield the number of channels of everything that a convolution writes, by name."""
    for part in parts:
        kind, _, rest = part.writes.partition(".")
        number = int(rest.partition(".")[0]) if rest else 0
        if kind in ("encoder", "decoder"):
            level = number if kind == "encoder" else len(features) - 2 - number
            yield part.writes, features[level]


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
    parser.add_argument("--arms", nargs="+", default=[*RANKINGS, *WIDTHS])
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--overrides", nargs="*", default=[])
    return parser


if __name__ == "__main__":
    with log_to_stderr():
        main()
