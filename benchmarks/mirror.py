"""Compare trainings with augment.mirror=auto, all axes and none, with equal steps and seeds.

    python benchmarks/mirror.py DATASET [DATASET ...] [--out runs/mirror] [--steps 1000] [--seeds 0
    1 2]

Every combination is a separate training in its own folder, so the command can be stopped and run
again: finished trainings are not repeated. Dice is that of the validation cases of the fold, whole
volumes, without test-time augmentation. "all" is every axis that the network sees, as in nnU-Net,
except that labels named left and right change names. If the rule chooses all axes or none, "auto"
is not trained a second time. Print the decision of the rule for each dataset, and a table in
Markdown with the mean over the seeds and every seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean

import segkit
from segkit.bundle.bundle import read_bundle
from segkit.plans.plan import Plan

Score = dict[str, float]


def main() -> None:
    """Run what is missing and print the table."""
    arguments = _parser().parse_args()
    lines = [
        "| data set | mirrored axes | mean Dice (all seeds) | labels |",
        "| --- | --- | --- | --- |",
    ]
    for dataset in arguments.datasets:
        plan = segkit.plan(dataset)
        print(f"{plan.name}: {plan.reasons['mirror']}")
        for words, axes in _choices(plan).items():
            scores = [_trained(arguments, dataset, axes, seed=seed) for seed in arguments.seeds]
            lines.append(f"| {plan.name} | {words} | {_cells(scores)} |")
    print("\n".join(lines))


def _choices(plan: Plan) -> dict[str, list[int]]:
    """Return the choices, each as text and axes; the one that the rule makes is marked."""
    free = [axis for axis in range(3) if axis != plan.slice_axis]
    choices = {"all": free, "none": []}
    rule = list(plan.mirror_axes)
    if rule in choices.values():
        return {
            words + (" (auto)" if axes == rule else ""): axes for words, axes in choices.items()
        }
    return {f"{', '.join('xyz'[axis] for axis in rule)} (auto)": rule, **choices}


def _trained(arguments: argparse.Namespace, dataset: str, axes: list[int], *, seed: int) -> Score:
    """Return the validation Dice of each label of a training; run it unless it is finished."""
    chosen = "".join("xyz"[axis] for axis in axes) or "none"
    run = Path(arguments.out) / f"{Path(dataset).stem}-{chosen}-steps{arguments.steps}-seed{seed}"
    segkit.train(
        f"dataset={dataset}",
        f"run_dir={run}",
        f"augment.mirror={'none' if not axes else str(axes).replace(' ', '')}",
        f"trainer.max_steps={arguments.steps}",
        f"seed={seed}",
        "trainer.validations=1",
        resume=True,
    )
    score: Score = read_bundle(run / "bundle").card["metrics"]["dice"]
    return score


def _cells(scores: list[Score]) -> str:
    wholes = [mean(score.values()) for score in scores]
    labels = ", ".join(f"{name} {mean(score[name] for score in scores):.4f}" for name in scores[0])
    return f"**{mean(wholes):.4f}** ({', '.join(f'{whole:.4f}' for whole in wholes)}) | {labels}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--out", default="runs/mirror")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    return parser


if __name__ == "__main__":
    main()
