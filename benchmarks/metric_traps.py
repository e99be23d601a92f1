"""Print what metrics of MONAI, torchmetrics, SimpleITK and segkit say about the same masks.

    python benchmarks/metric_traps.py

One case is predicted perfectly and the label of the other is missed; then a label is in one of two
cases and predicted perfectly; then it is in neither mask. Every number is computed here.
"""

from __future__ import annotations

import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from monai.metrics import (
    ConfusionMatrixMetric,
    DiceMetric,
    HausdorffDistanceMetric,
    SurfaceDiceMetric,
)
from torchmetrics.segmentation import DiceScore, GeneralizedDiceScore, MeanIoU

import segkit
from segkit.io import write_labels
from segkit.volume import Volume

CUBE, EMPTY = np.zeros((12, 12, 12), np.uint8), np.zeros((12, 12, 12), np.uint8)
CUBE[3:8, 3:8, 3:8] = 1
SITUATIONS = {
    "one case perfect, one missed": ((CUBE, CUBE), (EMPTY, CUBE)),
    "one case missed": ((EMPTY, CUBE),),
    "one case perfect, one without the label": ((CUBE, CUBE), (EMPTY, EMPTY)),
    "one case without the label": ((EMPTY, EMPTY),),
}
"""Masks of prediction and reference of each case."""


def main() -> None:
    """Print one line for each situation and metric."""
    warnings.simplefilter("ignore")
    packages = ("monai", "torchmetrics", "SimpleITK", "torch", "numpy")
    print(", ".join(f"{name} {version(name)}" for name in packages))
    for situation, cases in SITUATIONS.items():
        print(f"\n{situation}")
        for name, value in {**_monai(cases), **_torchmetrics(cases), **_simpleitk(cases)}.items():
            print(f"  {name:<58}{value}")
        for name, value in _segkit(cases).items():
            print(f"  {name:<58}{value}")


def _tensors(cases):
    """Return one-hot predictions and references (N, 2, X, Y, Z), background first."""
    return [
        torch.stack([torch.from_numpy(np.stack([1 - pair[side], pair[side]])) for pair in cases])
        for side in (0, 1)
    ]


def _monai(cases):
    predicted, reference = _tensors(cases)
    metrics = {
        "MONAI DiceMetric": DiceMetric(include_background=False),
        "MONAI HausdorffDistanceMetric": HausdorffDistanceMetric(include_background=False),
        "MONAI HausdorffDistanceMetric(percentile=95)": HausdorffDistanceMetric(
            include_background=False, percentile=95
        ),
        "MONAI SurfaceDiceMetric": SurfaceDiceMetric([1.0], include_background=False),
    }
    for metric in metrics.values():
        metric(predicted, reference)
    values = {name: f"{float(metric.aggregate()):.4g}" for name, metric in metrics.items()}
    for kind in (torch.float32, torch.bool):
        metric = ConfusionMatrixMetric(include_background=False, metric_name="sensitivity")
        metric(predicted.to(kind), reference.to(kind))
        values[f"MONAI ConfusionMatrixMetric sensitivity, {kind}"] = (
            f"{float(metric.aggregate()[0])}"
        )
    return values


def _torchmetrics(cases):
    predicted, reference = (tensor.long() for tensor in _tensors(cases))
    metrics = {
        "torchmetrics GeneralizedDiceScore(per_class=True)": GeneralizedDiceScore(
            2, include_background=False, per_class=True
        ),
        "torchmetrics DiceScore(average='macro')": DiceScore(
            2, include_background=False, average="macro"
        ),
        "torchmetrics MeanIoU": MeanIoU(2, include_background=False),
    }
    return {name: f"{float(metric(predicted, reference)):.4g}" for name, metric in metrics.items()}


def _simpleitk(cases):
    values = []
    for predicted, reference in cases:
        overlap = sitk.LabelOverlapMeasuresImageFilter()
        overlap.Execute(*(sitk.GetImageFromArray(mask) for mask in (reference, predicted)))
        values.append(f"{overlap.GetDiceCoefficient():.4g}")
    return {"SimpleITK LabelOverlapMeasures, each case": ", ".join(values)}


def _segkit(cases):
    with tempfile.TemporaryDirectory() as folder:
        for number, pair in enumerate(cases):
            for side, mask in zip("pr", pair, strict=True):
                path = Path(folder) / side / f"case{number}.nii.gz"
                write_labels(path, Volume(mask[None], np.eye(4)))
        found = segkit.evaluate(f"{folder}/p", f"{folder}/r", labels={"organ": 1}).summary
    means, counts = found["labels"]["organ"], found["counts"]["organ"]
    values = {f"segkit {name}": f"{means[name]}" for name in ("dice", "hd95_mm", "surface_dice")}
    return {**values, "segkit counts": f"{counts}"}


if __name__ == "__main__":
    main()
