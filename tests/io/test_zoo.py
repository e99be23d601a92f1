"""Every real file of the zoo is read, or refused with an InputError that says why."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from segkit.errors import InputError
from segkit.files.names import NIFTI, READABLE, suffix_of
from segkit.io import read_labels, read_volume

REFUSED = {
    "complex.nii.gz": "complex numbers",
    "shear.nii.gz": "a shear: two axes meet at 71",
    "nrrd/BallBinary30x30x30_byteskip_minus_five.nhdr": "a 'byte skip' that leads out of the file",
    "nrrd/test1d_ascii.nrrd": r"found the shape \d+ with 1 channels",
    "nrrd/test_customFields.nrrd": r"found the shape \d+ with 1 channels",
    "nrrd/test_simple4d_raw.nrrd": "a fourth axis that is not said to be one of channels",
}
CHANNELS = {
    "ct_perfusion.nii.gz": 3,
    "nb_example4d.nii.gz": 2,
    "nb_example_nifti2.nii.gz": 2,
    "nb_functional.nii": 20,
    "pcasl.nii.gz": 10,
}


@pytest.fixture(scope="module")
def zoo(data_root: Path) -> dict[str, Path]:
    folder = data_root / "zoo"
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_readable_file_is_read_or_refused_for_the_known_reason(zoo: dict[str, Path]) -> None:
    for name, path in zoo.items():
        if suffix_of(path) in READABLE and name not in REFUSED:
            volume = read_volume(path)
            assert np.isfinite(volume.array).all(), name
            assert volume.channels == CHANNELS.get(name, 1), name


def test_nifti_agrees_with_nibabel(zoo: dict[str, Path]) -> None:
    for name, path in zoo.items():
        if suffix_of(path) in NIFTI and name not in REFUSED and name != "ct_perfusion.nii.gz":
            image, volume = nib.load(path), read_volume(path)
            np.testing.assert_array_equal(volume.affine, image.affine, err_msg=name)
            expected = image.get_fdata().reshape(*volume.grid.shape, -1)
            np.testing.assert_allclose(
                np.moveaxis(volume.array, 0, -1), expected, rtol=1e-6, err_msg=name
            )


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_words(zoo: dict[str, Path], name: str) -> None:
    with pytest.raises(InputError, match=REFUSED[name]):
        read_volume(zoo[name])


def test_other_formats_are_refused_by_name(zoo: dict[str, Path]) -> None:
    for path in zoo.values():
        if suffix_of(path) not in READABLE:
            with pytest.raises(InputError, match=rf"found the suffix '\{suffix_of(path)}'"):
                read_volume(path)


def test_overlapping_segments_are_no_label_map(data_root: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"found 2 channels or layers\. Overlapping segments cannot be one label map",
    ):
        read_labels(data_root / "ct_chest" / "SegmentationOverlapping.seg.nrrd")
    assert set(
        np.unique(read_labels(data_root / "ct_chest" / "Segmentation.seg.nrrd").array)
    ) == set(range(8))
