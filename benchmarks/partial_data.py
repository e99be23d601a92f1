"""Measure Dice on phantoms if a channel or most of the annotation is missing.

    python benchmarks/partial_data.py channels [--out runs/partial] [--cases 12] [--steps 400]
    [--dropout 0.2] python benchmarks/partial_data.py annotation [--out runs/partial] [--cases 12]
    [--steps 400] [--every 10]

``channels``: a phantom of two channels, T1 and its inverse T2 with separate noise. Two trainings,
with channel dropout and without, predict with all channels and with each of them missing.
``annotation``: one training on whole label maps, and one in which only every N-th slice is
annotated and the others have the ignore value. Dice is the mean over labels of the means over the
validation cases, in whole label maps on the scans' own grids. Finished trainings are not repeated;
other numbers of steps or cases need another --out. Print a table in Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean

import numpy as np

import segkit
from segkit.dataset.layouts import read_dataset
from segkit.dataset.phantom import LABELS, phantom_case
from segkit.dataset.split import split_cases
from segkit.evaluation.overlap import dice
from segkit.io import read_labels, read_volume, write_image, write_labels
from segkit.volume import Volume

IGNORE = 9
RECIPE = [
    "network.features=[8,16,32]",
    "plan.patch=[32,32,32]",
    "trainer.validations=1",
    "trainer.precision=float32",
]
NAMES = f"dataset.labels={{{','.join(f'{name}:{value}' for name, value in LABELS.items())}}}"


def main() -> None:
    """Write the phantoms, run what is missing, and print the table."""
    arguments = _parser().parse_args()
    print({"channels": _channels, "annotation": _annotation}[arguments.what](arguments))


def _channels(arguments: argparse.Namespace) -> str:
    data = _phantom(Path(arguments.out) / "channels", arguments.cases)
    names = ["T1", "T2"]
    lines = [
        "| channel dropout | both channels | without T1 | without T2 |",
        "| --- | --- | --- | --- |",
    ]
    for share in (0.0, arguments.dropout):
        words = [NAMES, "dataset.channels=[T1,T2]", f"augment.channel_dropout={share}"]
        run = _train(arguments, f"dropout_{share:g}", data, words)
        scores = [_score(run, data, without=place) for place in (None, *range(len(names)))]
        lines.append(f"| {share:g} | " + " | ".join(f"{score:.4f}" for score in scores) + " |")
    return "\n".join(lines)


def _annotation(arguments: argparse.Namespace) -> str:
    whole = _phantom(Path(arguments.out) / "channels", arguments.cases)
    sparse = _phantom(
        Path(arguments.out) / f"every_{arguments.every}", arguments.cases, every=arguments.every
    )
    lines = ["| annotated slices | Dice |", "| --- | --- |"]
    channels = "dataset.channels=[T1,T2]"
    # The training of `_channels` without dropout is that on whole label maps.
    runs = {
        "all": _train(arguments, "dropout_0", whole, [NAMES, channels]),
        f"1 in {arguments.every}": _train(
            arguments,
            f"every_{arguments.every}_run",
            sparse,
            [NAMES, channels, f"dataset.ignore={IGNORE}"],
        ),
    }
    lines += [f"| {share} | {_score(run, whole):.4f} |" for share, run in runs.items()]
    return "\n".join(lines)


def _phantom(folder: Path, cases: int, *, every: int = 1) -> Path:
    """Write two-channel scans to images/, and their label maps to labels/.

    In the label maps, all slices but every N-th have the value IGNORE.
    """
    for number in range(cases):
        image, labels = phantom_case(number)
        noise = np.random.Generator(np.random.Philox(key=[1, number])).standard_normal(
            image.array.shape
        )
        bright = image.array.astype(np.float32)
        inverse = bright.max() - bright + 0.3 * bright.std() * noise
        known = np.arange(labels.array.shape[3]) % every == 0
        write_image(folder / f"images/{number}.nrrd", _stacked(image, bright, inverse))
        write_labels(
            folder / f"labels/{number}.nii.gz",
            labels.with_array(np.where(known, labels.array, IGNORE)),
        )
    return folder


def _stacked(image: Volume, *channels: np.ndarray) -> Volume:
    return image.with_array(np.concatenate(channels).astype(np.float32))


def _train(arguments: argparse.Namespace, name: str, data: Path, words: list[str]) -> Path:
    run = Path(arguments.out) / name
    return segkit.train(
        f"dataset={data}",
        f"run_dir={run}",
        f"trainer.max_steps={arguments.steps}",
        *RECIPE,
        *words,
        resume=True,
    )


def _score(run: Path, data: Path, *, without: int | None = None) -> float:
    """Return the mean Dice of a run on the validation cases of ``data``."""
    predictor = segkit.load(run)
    scores: dict[str, list[float]] = {name: [] for name in LABELS}
    for case in split_cases(read_dataset(data), 0).validation:
        scan = read_volume(case.images[0])
        if without is not None:
            array = scan.array.copy()
            array[without] = (
                0  # one constant value is 0 after normalisation, as a missing channel is
            )
            scan = scan.with_array(array)
        predicted, truth = (
            predictor.predict(scan).array[0],
            read_labels(data / f"labels/{case.id}.nii.gz").array[0],
        )
        for name, value in LABELS.items():
            scores[name].append(dice(predicted == value, truth == value))
    return mean(mean(values) for values in scores.values())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["channels", "annotation"])
    parser.add_argument("--out", default="runs/partial")
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--every", type=int, default=10)
    return parser


if __name__ == "__main__":
    main()
