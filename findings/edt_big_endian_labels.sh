#!/usr/bin/env bash
# edt 3.1.2: every distance is 0 if the array is big-endian, as nibabel returns every FreeSurfer segmentation (.mgz).
#
# MGH files are big-endian by definition, and NIfTI files may be. nibabel documents that np.asarray(image.dataobj) has
# the data type of the file, so it is ">i4". edt.edt, edt.edtsq and edt.sdf return float32 zeros for each data type with
# swapped bytes, and no error or warning: zeros are what two equal surfaces give. connected-components-3d 4.1.1, by the
# same authors, refuses such an array with a TypeError, and scipy.ndimage computes the right distances.
# Seen with edt 3.1.2, nibabel 5.4.2, connected-components-3d 4.1.1, scipy 1.17.1, numpy 2.4.6, Python 3.11: a cube of
# 5 voxels has distances up to 3 (scipy, and edt after a change of byte order), and 0 for big-endian arrays of 16, 32 or 64
# bits, integer or floating-point. Arrays of 8 bits have no byte order and are right.
# What to do: labels.astype(labels.dtype.newbyteorder("=")), or a comparison such as labels == 17, in front of edt.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet edt==3.1.2 nibabel==5.4.2 connected-components-3d==4.1.1 scipy==1.17.1 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import cc3d
import edt
import nibabel
import numpy as np
from scipy import ndimage

cube = np.zeros((9, 9, 9), np.int32)
cube[2:7, 2:7, 2:7] = 17  # the left hippocampus in FreeSurfer
nibabel.save(nibabel.MGHImage(cube, np.eye(4)), "aseg.mgz")
labels = np.asarray(nibabel.load("aseg.mgz").dataobj)
native = labels.astype(labels.dtype.newbyteorder("="))
assert np.array_equal(labels, cube) and np.array_equal(native, cube)


def largest(array: np.ndarray) -> list[float]:
    """Return the largest value of edt.edt, edt.edtsq and edt.sdf."""
    return [float(function(array).max()) for function in (edt.edt, edt.edtsq, edt.sdf)]


found = {"aseg.mgz as nibabel returns it": largest(labels), "the same in native byte order": largest(native)}
for name in (">i2", ">u2", ">u4", ">i8", ">f4", ">f8", "uint8"):
    found[name] = largest(cube.astype(name))
print(f"edt {version('edt')}, nibabel {nibabel.__version__}: data type of aseg.mgz {labels.dtype.str}")
print(f"largest distance by scipy {ndimage.distance_transform_edt(labels).max():g}")
for name, values in found.items():
    print(f"{name}: edt {values[0]:g}, edtsq {values[1]:g}, sdf {values[2]:g}")
try:
    refused = cc3d.connected_components(labels) is None
except TypeError as error:
    refused = True
    print(f"cc3d: {error}")
right = ("the same in native byte order", "uint8")
same = all(values == ([3, 9, 3] if name in right else [0, 0, 0]) for name, values in found.items())
if not (same and refused and labels.dtype.str == ">i4" and ndimage.distance_transform_edt(labels).max() == 3):
    raise SystemExit("the behavior has changed")
print("as described: distances of a big-endian array are 0")
PYTHON
