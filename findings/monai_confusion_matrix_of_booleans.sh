#!/usr/bin/env bash
# MONAI 1.6.1: ConfusionMatrixMetric and FBetaScore of boolean tensors give a perfect prediction 0, without a warning.
#
# They ask for one-hot masks with binarized values; a threshold or a comparison (probability > 0.5) gives such masks as
# torch.bool. True positives are counted where prediction + reference is 2, and in torch True + True is True, never 2.
# So every true positive is counted as a false negative; true negatives and false positives are right. DiceMetric and
# MeanIoU of the same booleans are right.
# Seen with monai 1.6.1, torch 2.13.0, Python 3.11: a cube of 4 x 4 x 4 in 8 x 8 x 8 voxels, compared with itself as
# torch.bool: sensitivity 0, F1 score 0, threat score 0, FBetaScore 0, precision nan, accuracy 0.875, specificity 1.
# As uint8, int64 or float32, or if only one of the two is boolean, each is 1.
# What to do: convert at least one of the two masks, such as with prediction.float().
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/pip" install --quiet --no-deps monai==1.6.1
"$folder/venv/bin/python" - <<'PYTHON'
import math
import warnings

import monai
import torch
from monai.metrics import ConfusionMatrixMetric, DiceMetric, FBetaScore, MeanIoU

NAMES = ("sensitivity", "f1 score", "threat score", "precision", "accuracy", "specificity")
OF_BOOLEANS = {
    "sensitivity": 0,
    "f1 score": 0,
    "threat score": 0,
    "precision": math.nan,
    "accuracy": 0.875,
    "specificity": 1,
    "FBetaScore": 0,
    "DiceMetric": 1,
    "MeanIoU": 1,
}
OF_NUMBERS = dict.fromkeys(OF_BOOLEANS, 1)


def values(predicted: torch.Tensor, reference: torch.Tensor) -> dict[str, float]:
    """Return what each metric says about the foreground."""
    metrics = {name: ConfusionMatrixMetric(include_background=False, metric_name=name) for name in NAMES}
    metrics |= {kind.__name__: kind(include_background=False) for kind in (FBetaScore, DiceMetric, MeanIoU)}
    found = {}
    for name, metric in metrics.items():
        metric(predicted, reference)
        mean = metric.aggregate()
        found[name] = float(mean[0] if isinstance(mean, list) else mean)
    return found


def same(found: dict[str, float], expected: dict[str, float]) -> bool:
    """Return whether all values are equal, a nan to a nan."""
    return all(math.isclose(found[k], v) or math.isnan(found[k]) and math.isnan(v) for k, v in expected.items())


cube = torch.zeros(1, 8, 8, 8, dtype=torch.bool)
cube[:, 2:6, 2:6, 2:6] = True
masks = torch.stack([~cube, cube], dim=1)
changed = False
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    pairs = {"bool and bool": (masks, masks), "bool and float32": (masks, masks.float())}
    for kind in (torch.uint8, torch.int64, torch.float32):
        name = str(kind).removeprefix("torch.")
        pairs[f"{name} and {name}"] = (masks.to(kind), masks.to(kind))
    for name, pair in pairs.items():
        found = values(*pair)
        print(f"monai {monai.__version__}, {name}:", ", ".join(f"{key} {value:.4g}" for key, value in found.items()))
        changed |= not same(found, OF_BOOLEANS if name == "bool and bool" else OF_NUMBERS)
print(f"warnings: {len(warned)}")
if changed or warned:
    raise SystemExit("the behavior has changed")
print("as described: of booleans no true positive is counted")
PYTHON
