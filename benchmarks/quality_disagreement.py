"""Ask whether disagreement of mirrored or of several networks improves the expected Dice.

    python -m benchmarks.quality_disagreement RUN MEMBER MEMBER [--rows ROWS.csv]

RUN and the MEMBERs are finished trainings on the same fold, so that their ensemble has seen none of
the validation cases either. Each validation case is predicted as it is, and every other one in all
degraded copies of a training and in five kinds that the fit never meets: by RUN, by RUN with its
prediction of the mirrored image (TTA), by each member, and by the average of all. Two signs are
added to the usual ones: the Dice of the label in the plain and in the mirrored prediction, and its
mean Dice in the members and in their average. The estimator is fitted to nine tenths of the cases
(as they are and copies of a training) and asked about the others, in turn. Print tables in
Markdown: mean absolute error and Spearman's rank correlation of expected and true Dice, for scans
as they are and for all, with each set of signs; and of an estimator that was fitted to predictions
of RUN, or to those of each member, when it is asked about the ensemble, as `segkit predict` does.
"""

from __future__ import annotations

import argparse
import csv
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.quality_estimate import VALUES
from segkit.bundle.bundle import read_bundle
from segkit.config.run_file import read_config
from segkit.dataset.split import split_cases
from segkit.networks.precision import ComputeMode
from segkit.planning.plan_dataset import open_dataset
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase, prepare_cases
from segkit.quality.accuracy import groups_of_cases, spearman
from segkit.quality.features import AS_IT_IS, NAMES, SIGNS, label_features, logit, voxel_volume_of
from segkit.quality.fitting import _isotonic, _logit, _nonnegative_ridge
from segkit.quality.soft_overlap import SoftOverlap
from segkit.training.data.degraded_copies import DEGRADATIONS, copies
from segkit.training.validation import dice_by_name, predict_scan

Row = dict[str, Any]
Ask = Callable[[Row], float]
TTA, MEMBERS = "tta", "members"
"""Names of the signs of disagreement."""
SETS = {
    "usual signs": NAMES,
    "and mirrored image": (*NAMES, TTA),
    "and members": (*NAMES, MEMBERS),
    "members alone": (MEMBERS,),
}
"""Sets of signs that are compared."""
NEW = ("inverted", "bias field", "thick slices", "ghost", "spikes")
"""Kinds of degradation that the fit never meets."""
MODE, CPU = ComputeMode("float32", "channels_last"), torch.device("cpu")


def versions(number: int, case: PreparedCase, plan: Plan) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield kind, image and reference of a case as it is and, of every other case, degraded."""
    for kind, image, reference in copies(case, plan):
        if kind == AS_IT_IS or number % 2 == 0:
            yield kind, image, reference
    if number % 2:
        return
    image = np.array(case.image, np.float64)
    reference = torch.from_numpy(np.array(case.labels, np.int64))
    for kind in NEW:
        random = np.random.default_rng(zlib.crc32(f"{case.id} {kind}".encode()))
        changed = VALUES[kind](image, random)
        standard = (changed - changed.mean()) / max(float(changed.std()), 1e-6)
        standard = standard * image.std() + image.mean()
        yield kind, torch.from_numpy(standard.astype(np.float32)), reference


@torch.inference_mode()
def rows_of(number: int, case: PreparedCase, networks: Sequence[Any], plan: Plan) -> Iterator[Row]:
    """Yield a row for each label of each version of a case, as each subject predicts it."""
    axis = 1 + plan.mirror_axes[0]
    for kind, image, reference in versions(number, case, plan):
        predict = partial(predict_scan, plan=plan, mode=MODE, device=CPU, name=case.id)
        members = [predict(network, image).float() for network in networks]
        mirrored = predict(networks[0], image.flip(axis).contiguous()).float().flip(axis)
        average = torch.stack(members).mean(0)
        subjects = {f"member {index}": scores for index, scores in enumerate(members)}
        subjects |= {"TTA": (members[0] + mirrored) / 2, "ensemble": average}
        maps = [scores.argmax(0) for scores in (*members, average, mirrored)]
        for subject, scores in subjects.items():
            dice, signs = dice_by_name(scores, reference, plan), _signs(scores, plan)
            for value, (label, found) in enumerate(signs.items(), start=1):
                if label not in dice or not (scores.argmax(0) == value).any():
                    continue
                *own, mean, turned = (one == value for one in maps)
                yield {
                    **{"case": case.id, "kind": kind, "subject": subject, "label": label},
                    **dict(zip(NAMES, found, strict=True)),
                    TTA: logit(_overlap(own[0], turned)),
                    MEMBERS: logit(float(np.mean([_overlap(one, mean) for one in own]))),
                    "dice": dice[label],
                }


def _signs(scores: Tensor, plan: Plan) -> dict[str, tuple[float, ...]]:
    overlap = SoftOverlap(len(plan.labels))
    overlap.add(scores.numpy())
    labels = scores.argmax(0).numpy()
    volume = voxel_volume_of(plan)
    found = label_features(overlap, labels, plan, voxel_volume=volume, ranges=plan.training)
    return {name: one.values for name, one in found.items()}


def _overlap(first: Tensor, second: Tensor) -> float:
    size = int(first.sum() + second.sum())
    return 2 * int((first & second).sum()) / size if size else 1.0


def fitted(rows: Sequence[Row], names: Sequence[str]) -> tuple[Ask, Mapping[str, float]]:
    """Return an estimator with these signs, and the mean Dice of each label.

    It is that of `segkit.quality.fitting` for any number of signs.
    """
    directions = np.array([dict(zip(NAMES, SIGNS, strict=True)).get(name, 1) for name in names])

    def signs(row: Row) -> NDArray[np.float64]:
        return np.array([float(row[name]) for name in names])

    known = [row for row in rows if row["kind"] == AS_IT_IS]
    labels = {row["label"] for row in known}
    typical = {
        label: np.mean([signs(row) for row in known if row["label"] == label], axis=0)
        for label in labels
    }
    usual = {
        label: float(np.mean([row["dice"] for row in known if row["label"] == label]))
        for label in labels
    }
    used = [row for row in rows if row["label"] in labels]
    centered = np.array([(signs(row) - typical[row["label"]]) * directions for row in used])
    dice = np.array([row["dice"] for row in used])
    expected = np.array([usual[row["label"]] for row in used])
    is_known = np.array([row["kind"] == AS_IT_IS for row in used])
    weights = np.where(is_known, max(1.0, (~is_known).sum() / is_known.sum()), 1.0)
    weight = _nonnegative_ridge(centered, _logit(dice) - _logit(expected), weights)
    curve = np.array(_isotonic(centered @ weight, dice / np.maximum(expected, 0.01), weights))

    def ask(row: Row) -> float:
        score = (signs(row) - typical[row["label"]]) * directions @ weight
        share = np.interp(score, curve[:, 0], curve[:, 1])
        return float(min(max(share * usual[row["label"]], 0.0), 1.0))

    return ask, usual


def expected_of_others(
    rows: Sequence[Row], fit: Sequence[str], subject: str, names: Sequence[str]
) -> list[tuple[str, float, float, float]]:
    """Return kind, true, expected and usual Dice of a subject's labels, by fits to other cases.

    Args:
        rows: all rows.
        fit: subjects to each of which an estimator is fitted; the mean of them is taken.
        subject: the subject that they are asked about.
        names: signs.
    """
    groups = groups_of_cases([row["case"] for row in rows])
    results = []
    for group in dict.fromkeys(groups.values()):
        others = [row for row in rows if groups[row["case"]] != group]
        others = [row for row in others if row["kind"] in (AS_IT_IS, *DEGRADATIONS)]
        asked = [fitted([row for row in others if row["subject"] == one], names) for one in fit]
        for row in rows:
            if groups[row["case"]] == group and row["subject"] == subject:
                expected = float(np.mean([ask(row) for ask, _ in asked]))
                usual = float(np.mean([typical[row["label"]] for _, typical in asked]))
                results.append((row["kind"], row["dice"], expected, usual))
    return results


def _line(name: str, results: Sequence[tuple[str, float, float, float]]) -> str:
    cells = [name]
    for kinds in ((AS_IT_IS,), None):
        chosen = np.array([one[1:] for one in results if kinds is None or one[0] in kinds])
        truth, expected, usual = chosen.T
        error, of_mean = np.abs(truth - expected).mean(), np.abs(truth - usual).mean()
        rank = spearman(expected, truth)
        cells += [f"{error:.3f} ({of_mean:.3f})", "-" if rank is None else f"{rank:.2f}"]
    return f"| {' | '.join(cells)} |"


HEADER = """
| {} | as they are: error (of the mean) | Spearman | all: error (of the mean) | Spearman |
| --- | --- | --- | --- | --- |"""


def main() -> None:
    """Predict, fit and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, help="trainings on the same fold")
    parser.add_argument("--store", type=Path, help="folder of prepared cases")
    parser.add_argument("--rows", type=Path, help="CSV of all rows; read if it exists")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = _read(given.rows) if given.rows and given.rows.exists() else _measured(given)
    members = sorted({row["subject"] for row in rows if row["subject"].startswith("member")})
    for subject, name in (("member 0", "one network"), ("TTA", "TTA"), ("ensemble", "ensemble")):
        print(HEADER.format(f"{name}, fitted to itself"))
        for text, names in SETS.items():
            print(_line(text, expected_of_others(rows, [subject], subject, names)))
    print(HEADER.format("usual signs, fitted to others"))
    for text, fit, subject in (
        ("one network, about the ensemble", members[:1], "ensemble"),
        ("each member, mean, about the ensemble", members, "ensemble"),
        ("one network, about its TTA", members[:1], "TTA"),
    ):
        print(_line(text, expected_of_others(rows, fit, subject, NAMES)))


def _read(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return [
            {
                key: value if key in ("case", "kind", "subject", "label") else float(value)
                for key, value in row.items()
            }
            for row in csv.DictReader(file)
        ]


def _measured(given: argparse.Namespace) -> list[Row]:
    """Predict all versions of all cases, and keep the rows."""
    bundles = [read_bundle(run) for run in given.runs]
    config, plan = read_config(given.runs[0] / "config.yaml"), bundles[0].plan
    dataset = open_dataset(config)
    cases = split_cases(dataset, config.fold, config.folds).validation
    store = given.store or Path(config.dataset.store or given.runs[0] / "prepared")
    networks = [bundle.networks()[0] for bundle in bundles]
    prepared = prepare_cases(cases, dataset, plan, store)
    rows = [
        row for number, case in enumerate(prepared) for row in rows_of(number, case, networks, plan)
    ]
    if given.rows:
        with given.rows.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return rows


if __name__ == "__main__":
    main()
