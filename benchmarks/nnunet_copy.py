"""Copy a dataset of segkit to nnU-Net's raw layout, for the peers that read it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from segkit.dataset.dataset import Dataset
from segkit.dataset.split import Split
from segkit.io.labels import read_labels, write_labels
from segkit.io.scans import read_case, write_image
from segkit.training.data.split import split_ids
from segkit.volume import Volume


def write_copy(raw: Path, dataset: Dataset, split: Split) -> Path:
    """Write the copy unless it exists, and return its folder.

    Labels are numbered from 1, and the split is nnU-Net's only fold.
    """
    folder, values, ending = raw / "Dataset001_segkit", _values(dataset), file_ending(dataset)
    if (folder / "dataset.json").is_file():
        return folder
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    cases = [*split.training, *split.validation]
    for case in cases:
        image = read_case(case.images)
        for number, channels in enumerate(
            [image.array] if image.unit == "px" else image.array[:, None]
        ):
            path = folder / "imagesTr" / f"{case.id}_{number:04d}{ending}"
            write_image(path, Volume(channels, image.affine, image.unit))
        assert case.label is not None
        labels = read_labels(case.label)
        numbers = np.searchsorted([0, *values], labels.array).astype(np.uint8)
        write_labels(folder / "labelsTr" / f"{case.id}{ending}", labels.with_array(numbers))
    names = sorted(dataset.labels, key=lambda name: dataset.labels[name])
    about = {
        "channel_names": {str(number): name for number, name in enumerate(dataset.channels)},
        "labels": {"background": 0, **{name: number for number, name in enumerate(names, 1)}},
        "numTraining": len(cases),
        "file_ending": ending,
    }
    ids = split_ids(split)
    folds = [{"train": ids["training"], "val": ids["validation"]}]
    (folder / "splits_final.json").write_text(json.dumps(folds), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


def bring_back(predicted: Path, folder: Path, dataset: Dataset, split: Split) -> None:
    """Write the peer's label maps of the validation cases with the label values of the dataset."""
    values, ending = np.array([0, *_values(dataset)]), file_ending(dataset)
    for case in split.validation:
        found = read_labels(predicted / f"{case.id}{ending}")
        write_labels(folder / f"{case.id}{ending}", found.with_array(values[found.array]))


def file_ending(dataset: Dataset) -> str:
    """Return the suffix of files for nnU-Net: PNG for pictures, NIfTI for anything else."""
    return ".png" if read_case(dataset.cases[0].images).unit == "px" else ".nii.gz"


def _values(dataset: Dataset) -> list[int]:
    """Return the label values in ascending order."""
    if dataset.regions or dataset.ignore is not None or dataset.subset:
        raise SystemExit(
            "this benchmark takes plain labels only: no regions, no ignore label, every value named"
        )
    return sorted(dataset.labels.values())
