"""Compare the expected Dice of scans that an estimator has not seen with their true Dice.

    python benchmarks/quality_estimate.py RUN [--cases 20] [--threads 1] [--rows ROWS.csv]

RUN is a finished training whose dataset has not moved. Every other validation case is given to the
estimator, with degraded copies, as at the end of a training. The others are the test: their scans
are degraded as files would be, before any preparation, and predicted as `segkit predict --stats`
does. Four kinds of degradation are those of the fit at other strengths, and seven the estimator
never meets. Print tables in Markdown: the temperature that the same cases give, and the calibration
error (ECE) as the training states it and of the test, before and after; the mean true and expected
Dice of each kind, with the mean absolute error, and the number of scans with a label in an unusual
place; and Spearman's rank correlation over all labels of all scans, over scans as they are, and
over scans as they are with unseen degradations.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import itertools
import logging
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from segkit.bundle.bundle import Bundle, read_bundle
from segkit.config.run_file import read_config
from segkit.dataset.dataset import Case
from segkit.dataset.split import split_cases
from segkit.evaluation.calibration import NO_VOXELS
from segkit.inference.prediction import Prediction, Wanted
from segkit.inference.predictor import Predictor
from segkit.io import read_case
from segkit.io.labels import read_labels
from segkit.networks.precision import ComputeMode
from segkit.planning.plan_dataset import open_dataset
from segkit.preprocessing.case_store import PreparedCase, prepare_cases
from segkit.quality.accuracy import groups_of_cases, spearman
from segkit.quality.calibration import CALIBRATION_KEY
from segkit.quality.entry import EXPECTED_KEY
from segkit.training.outputs.measured_quality import fitted_quality, measure_case
from segkit.training.outputs.temperature import (
    TEMPERATURES,
    CaseCalibration,
    case_calibration,
)
from segkit.training.validation import predict_case
from segkit.volume import Volume

Random = np.random.Generator
Voxels = NDArray[Any]
Row = dict[str, Any]


def _noise(image: Voxels, random: Random) -> Voxels:
    return image + random.normal(0, random.uniform(0.3, 4) * image.std(), image.shape)


def _blur(image: Voxels, random: Random) -> Voxels:
    sigma = random.uniform(0.5, 5)
    return np.stack([gaussian_filter(channel, sigma) for channel in image])


def _inverted(image: Voxels, _random: Random) -> Voxels:
    return image.max() + image.min() - image


def _bias(image: Voxels, random: Random) -> Voxels:
    """Multiply with a field that rises along a random axis, up to twelvefold from end to end."""
    axis = int(random.integers(1, 4))
    shape = [-1 if index == axis else 1 for index in range(4)]
    ramp = np.linspace(-1, 1, image.shape[axis]).reshape(shape)
    return (image - image.min()) * np.exp(random.uniform(0.3, 1.25) * ramp)


def _thick(image: Voxels, random: Random) -> Voxels:
    """Repeat every k-th slice along Z."""
    step = int(random.integers(3, 7))
    return np.repeat(image[..., ::step], step, axis=-1)[..., : image.shape[-1]]


def _ghost(image: Voxels, random: Random) -> Voxels:
    return image + random.uniform(0.3, 1) * np.roll(image, image.shape[2] // 3, axis=2)


def _spikes(image: Voxels, random: Random) -> Voxels:
    spikes = random.random(image.shape) < random.uniform(0.02, 0.3)
    extremes = random.choice([image.min(), image.max()], image.shape)
    return np.where(spikes, extremes, image)


def _axes(image: Voxels, labels: Voxels) -> tuple[Voxels, Voxels]:
    return image.transpose(0, 2, 1, 3), labels.transpose(0, 2, 1, 3)


def _upside_down(image: Voxels, labels: Voxels) -> tuple[Voxels, Voxels]:
    return image[..., ::-1], labels[..., ::-1]


VALUES: dict[str, Callable[[Voxels, Random], Voxels]] = {
    "noise": _noise,
    "blur": _blur,
    "inverted": _inverted,
    "bias field": _bias,
    "thick slices": _thick,
    "ghost": _ghost,
    "spikes": _spikes,
}
SEEN = ("noise", "blur", "axes exchanged", "cropped")
"""Kinds that the fit has copies of, at other strengths (axes: another exchange)."""


def _front_to_back(image: Voxels, labels: Voxels) -> tuple[Voxels, Voxels]:
    return image[:, :, ::-1], labels[:, :, ::-1]


def degraded(scan: Volume, labels: Volume, name: str) -> Iterator[tuple[str, Volume, Volume]]:
    """Yield kind, scan and label map of a scan as it is and of its degraded versions."""
    yield "as it is", scan, labels
    image = np.asarray(scan.array, np.float64)
    reference = np.asarray(labels.array)
    for kind, change in VALUES.items():
        random = np.random.default_rng(zlib.crc32(f"test {name} {kind}".encode()))
        yield kind, scan.with_array(change(image, random).astype(np.float32)), labels
    random = np.random.default_rng(zlib.crc32(f"test {name}".encode()))
    kept = round(image.shape[2] * random.uniform(0.3, 0.8))
    moved = {
        "axes exchanged": _axes(image, reference),
        "upside down": _upside_down(image, reference),
        "front to back": _front_to_back(image, reference),
        "cropped": (image[:, :, :kept], reference[:, :, :kept]),
    }
    for kind, (voxels, values) in moved.items():
        yield (
            kind,
            Volume(np.ascontiguousarray(voxels, np.float32), scan.affine, scan.unit),
            Volume(np.ascontiguousarray(values), scan.affine, scan.unit),
        )


def main() -> None:
    """Fit, predict and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--cases", type=int, default=20, help="cases of the fit, and of the test")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=Path, help="CSV for the Dice of every label and scan")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    bundle = read_bundle(given.run)
    config = read_config(given.run / "config.yaml")
    dataset = open_dataset(config)
    cases = split_cases(dataset, config.fold, config.folds).validation
    to_fit, to_test = (cases[start::2][: given.cases] for start in (0, 1))
    store = Path(config.dataset.store or given.run / "prepared")
    prepare = partial(prepare_cases, dataset=dataset, plan=bundle.plan, folder=store)
    card = bundle.card | _fitted(bundle, prepare(to_fit))
    print(card[EXPECTED_KEY]["accuracy"], flush=True)
    print_calibration(card[CALIBRATION_KEY], _tested(bundle, prepare(to_test)))
    logging.disable(logging.WARNING)  # the warnings are counted
    predictor = Predictor(dataclasses.replace(bundle, card=card), precision="float32")
    rows: list[Row] = []
    for case in to_test:
        rows += _rows(predictor, case)
        if given.rows:
            _write(given.rows, rows)
    print_tables(rows)


def _module(bundle: Bundle) -> Any:
    """Return what the end of a training uses of its module."""
    mode = ComputeMode("float32", "contiguous")
    (network,) = bundle.networks()
    return SimpleNamespace(average=network, mode=mode, device=torch.device("cpu"))


def _fitted(bundle: Bundle, prepared: list[PreparedCase]) -> dict[str, Any]:
    """Return the entries of bundle.json that a training would fit to these cases."""
    module = _module(bundle)
    measured = {case.id: measure_case(module, case, bundle.plan) for case in prepared}
    fitted = fitted_quality(measured, bundle.plan, groups_of_cases(measured))
    return fitted.entries


def _tested(bundle: Bundle, prepared: list[PreparedCase]) -> list[CaseCalibration]:
    """Return the sums for the calibration error of cases as they are."""
    module = _module(bundle)
    sums = []
    with torch.inference_mode():
        for case in prepared:
            scores, reference = predict_case(
                module.average, case, bundle.plan, mode=module.mode, device=module.device
            )
            found = case_calibration(scores, reference.numpy(), bundle.plan)
            sums += [found] if found else []
    return sums


def print_calibration(entry: dict[str, Any], test: list[CaseCalibration]) -> None:
    """Print temperatures and calibration errors, as the training states them and of test cases."""
    print("\n| label | temperature | ECE stated: before | after | ECE of test: before | after |")
    print("| --- | --- | --- | --- | --- | --- |")
    for label, temperature in entry["temperatures"].items():
        stated = entry["ece"][label]
        chosen = int(np.abs(np.log(np.array(TEMPERATURES) / temperature)).argmin())
        totals = [
            sum((case.labels[label][index] for case in test if label in case.labels), NO_VOXELS)
            for index in (TEMPERATURES.index(1.0), chosen)
        ]
        errors = (stated["before"], stated["after"], *(total.ece() for total in totals))
        print(f"| {label} | {temperature:.2f} | {' | '.join(f'{one:.4f}' for one in errors)} |")


def _rows(predictor: Predictor, case: Case) -> Iterator[Row]:
    """Yield a row for each label of each version of a case."""
    labels = read_labels(case.label)
    for kind, scan, reference in degraded(read_case(case.images), labels, case.id):
        prediction = predictor.prediction(scan, Wanted(expected_dice=True))
        for label, dice in _dice(prediction, reference).items():
            quality = prediction.expected_dice[label]
            yield {
                "case": case.id,
                "kind": kind,
                "label": label,
                "dice": dice,
                "expected": quality.dice,
                "error": quality.error,
                "flags": len(prediction.scan_warnings),
                "misplaced": any(PLACE in text for text in prediction.label_warnings.values()),
            }


PLACE = "its center is"
"""Part of the warning about a label in an unusual place."""


def _dice(prediction: Prediction, reference: Volume) -> dict[str, float]:
    dice = {}
    for name, value in prediction.label_names.items():
        ours, theirs = prediction.labels.array == value, reference.array == value
        if ours.any() or theirs.any():
            dice[name] = 2 * float((ours & theirs).sum()) / float(ours.sum() + theirs.sum())
    return dice


def _write(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def print_tables(rows: list[Row]) -> None:
    """Print the tables; labels without an expected Dice are counted and left out."""
    known = [row for row in rows if row["expected"] is not None]
    print(f"\n{len(rows)} labels, {len(rows) - len(known)} without an expected Dice\n")
    print("| scans | labels | true Dice | expected | mean absolute error | Spearman | flagged |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    kinds = list(dict.fromkeys(row["kind"] for row in known))
    unseen = [kind for kind in kinds if kind not in SEEN]
    groups = {kind: [kind] for kind in kinds}
    groups |= {"as they are and unseen kinds": unseen, "all": kinds}
    for name, chosen in groups.items():
        print(_line(name, [row for row in known if row["kind"] in chosen]))
    print(_line("all, means over labels", _scan_means(known)))


def _line(name: str, rows: list[Row]) -> str:
    truth, expected = (np.array([row[key] for row in rows]) for key in ("dice", "expected"))
    error = np.abs(truth - expected).mean()
    rank = spearman(truth, expected)
    numbers = [f"{truth.mean():.3f}", f"{expected.mean():.3f}", f"{error:.3f}"]
    rank_text = "-" if rank is None else f"{rank:.2f}"
    flags = {(row["case"], row["kind"]): row["misplaced"] for row in rows if "misplaced" in row}
    flagged = f"{sum(flags.values())} of {len(flags)}" if flags else ""
    return f"| {name} | {len(rows)} | {' | '.join(numbers)} | {rank_text} | {flagged} |"


def _scan_means(rows: list[Row]) -> list[Row]:
    def scan(row: Row) -> tuple[str, str]:
        return row["case"], row["kind"]

    means = []
    for _, labels in itertools.groupby(sorted(rows, key=scan), key=scan):
        each = list(labels)
        means.append({key: np.mean([row[key] for row in each]) for key in ("dice", "expected")})
    return means


if __name__ == "__main__":
    main()
