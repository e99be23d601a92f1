#!/usr/bin/env bash
# pydicom 3.0.2: iter_pixels cannot read many uncompressed segmentations of one bit per pixel; pixel_array reads them.
#
# In a BINARY DICOM segmentation frames follow each other bit by bit, so that a frame can begin in the middle of a byte.
# For one frame, pydicom reads as many bytes as the frame fills when it begins at a byte's first bit; a frame that
# begins later can reach into one byte more. That happens where rows times columns leaves 3, 5, 6 or 7 when divided by
# 8.
# Seen with pydicom 3.0.2: frames of 217 x 181 pixels, ValueError "cannot reshape array of size 39275 into shape
# (217,181)" at the second frame. pixel_array(file, index=1) raises the same. The property Dataset.pixel_array, and the
# function pixel_array without an index, are right, and no frame that comes back was wrong.
# What to do: take the pixel_array of all frames, or unpack all bits with numpy.unpackbits(..., bitorder="little") and
# cut them into frames.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pydicom==3.0.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import iter_pixels, pack_bits
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage

FAILS = {3, 5, 6, 7}


def segmentation(frames: np.ndarray) -> Dataset:
    """Return what pydicom needs of a BINARY segmentation to decode its pixels."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = SegmentationStorage
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = frames.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 1, 1, 0, 0
    dataset.PixelData = pack_bits(frames)
    return dataset


def outcome(dataset: Dataset, frames: np.ndarray) -> str:
    """Return how far iter_pixels comes."""
    number = 0
    try:
        for number, frame in enumerate(iter_pixels(dataset), 1):
            if not np.array_equal(frame, frames[number - 1]):
                return f"wrong in frame {number}"
    except ValueError as error:
        return f"ValueError in frame {number + 1}: {error}"
    return f"right in all {number} frames"


random = np.random.default_rng(0)
changed = False
for columns in range(176, 184):
    frames = random.integers(0, 2, (8, 217, columns), np.uint8)
    dataset = segmentation(frames)
    whole = np.array_equal(dataset.pixel_array, frames)
    found = outcome(dataset, frames)
    rest = 217 * columns % 8
    print(
        f"pydicom {pydicom.__version__}, 217 x {columns}, {rest} left of division by 8: "
        f"pixel_array {'right' if whole else 'wrong'}, iter_pixels {found}"
    )
    changed |= not whole or found.startswith("ValueError") != (rest in FAILS) or found.startswith("wrong")
if changed:
    raise SystemExit("the behavior has changed")
print("as described: iter_pixels fails where rows times columns leaves 3, 5, 6 or 7")
PYTHON
