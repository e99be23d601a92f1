from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from segkit.evaluation.label_maps import on_one_grid
from segkit.evaluation.pairs import Pair
from segkit.io import read_labels


def test_a_cropped_reference_cuts_nothing_off_the_prediction(tmp_path: Path) -> None:
    whole = np.zeros((5, 5, 5), np.uint8)
    whole[2:4, 2:4, 2:4] = 1
    crop = np.eye(4)
    crop[:3, 3] = 2
    pair = Pair("a", tmp_path / "whole.nii", tmp_path / "crop.nii")
    nib.save(nib.Nifti1Image(whole, np.eye(4)), pair.prediction)
    nib.save(nib.Nifti1Image(whole[2:4, 2:4, 2:4], crop), pair.reference)
    for ours, theirs in ((pair.prediction, pair.reference), (pair.reference, pair.prediction)):
        found = on_one_grid(Pair("a", ours, theirs), read_labels(ours), read_labels(theirs))
        for volume in found:
            np.testing.assert_array_equal(volume.array[0], whole)
