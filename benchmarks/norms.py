"""Does GroupNorm by the rule learn as well as instance norm? Equal steps, same seeds, each at its
best learning rate.

    python benchmarks/norms.py DATASET [--out runs/norms] [--steps 500 1500] [--seeds 0 1 2]
    [--norms group instance]
                                        [--rates 2e-3 4e-3 8e-3]

Every combination is a separate training in its own folder, so the command can be stopped and run
again: finished trainings are not repeated. The learning rate is chosen once per norm, with the
first seed at the smaller number of steps. Dice is that of the validation cases of the fold, whole
volumes, without test-time augmentation. Print a table in Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean

import segkit
from segkit.bundle.bundle import read_bundle

Score = dict[str, float]


def main() -> None:
    """Run what is missing and print the table."""
    arguments = _parser().parse_args()
    rows = []
    for norm in arguments.norms:
        rate, tried = _best_rate(arguments, norm)
        print(
            f"{norm}: best learning rate {rate:g} of "
            + ", ".join(f"{r:g} ({s:.4f})" for r, s in tried.items())
        )
        for steps in sorted(arguments.steps):
            for seed in arguments.seeds:
                rows.append(
                    (
                        norm,
                        steps,
                        seed,
                        rate,
                        _trained(arguments, norm, steps=steps, seed=seed, rate=rate),
                    )
                )
    print(_table(rows))


def _best_rate(arguments: argparse.Namespace, norm: str) -> tuple[float, dict[float, float]]:
    tried = {}
    for rate in arguments.rates:
        score = _trained(
            arguments, norm, steps=min(arguments.steps), seed=arguments.seeds[0], rate=rate
        )
        tried[rate] = mean(score.values())
    return max(tried, key=lambda rate: tried[rate]), tried


def _trained(
    arguments: argparse.Namespace, norm: str, *, steps: int, seed: int, rate: float
) -> Score:
    """Return the validation Dice of each label of a training; run it unless it is finished."""
    run = Path(arguments.out) / f"{norm}-lr{rate:g}-steps{steps}-seed{seed}"
    segkit.train(
        f"dataset={arguments.dataset}",
        f"run_dir={run}",
        f"network.norm={norm}",
        f"trainer.max_steps={steps}",
        f"trainer.learning_rate={rate:g}",
        f"seed={seed}",
        "trainer.validations=1",
        "trainer.precision=float32",
        resume=True,
    )
    score: Score = read_bundle(run / "bundle").card["metrics"]["dice"]
    return score


def _table(rows: list[tuple[str, int, int, float, Score]]) -> str:
    labels = list(rows[0][4])
    lines = [
        "| norm | steps | seed | learning rate | mean Dice | " + " | ".join(labels) + " |",
        "| --- " * (5 + len(labels)) + "|",
    ]
    for norm, steps, seed, rate, score in rows:
        cells = [norm, f"{steps}", f"{seed}", f"{rate:g}", f"**{mean(score.values()):.4f}**"]
        lines.append(
            "| " + " | ".join([*cells, *(f"{score[label]:.4f}" for label in labels)]) + " |"
        )
    for norm in dict.fromkeys(row[0] for row in rows):
        for steps in sorted({row[1] for row in rows}):
            scores = [row[4] for row in rows if row[:2] == (norm, steps)]
            per_label = [f"{mean(score[label] for score in scores):.4f}" for label in labels]
            whole = mean(mean(score.values()) for score in scores)
            lines.append(
                f"| {norm} | {steps} | mean | | **{whole:.4f}** | " + " | ".join(per_label) + " |"
            )
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset")
    parser.add_argument("--out", default="runs/norms")
    parser.add_argument("--steps", type=int, nargs="+", default=[500, 1500])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rates", type=float, nargs="+", default=[2e-3, 4e-3, 8e-3])
    parser.add_argument("--norms", nargs="+", default=["group", "instance"])
    return parser


if __name__ == "__main__":
    main()
