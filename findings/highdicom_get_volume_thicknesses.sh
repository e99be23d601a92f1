#!/usr/bin/env bash
# highdicom 0.28.2: get_volume() of a segmentation of slices of two thicknesses returns a regular volume of thin planes,
# and between thick slices the planes are empty, without a warning.
#
# A head CT often has thin slices at the skull base and thick ones above. get_volume is documented for segmentations
# that are "a regularly-spaced 3D volume". Positions may be missing by default (allow_missing_positions=True, "because
# these frames are omitted"); so a distance of which all others are multiples is taken as the distance of planes, also
# where no frame was omitted. For the source images of the same places, get_volume_from_series refuses with an error.
# Seen with highdicom 0.28.2: 6 slices of 1 mm and 3 of 5 mm, all of them segmented in full (21 mm of tissue). The
# volume has 19 planes of 1 mm, of which 10 are empty: its voxels have 9 mm. A structure seems to have gaps, its volume
# is wrong.
# What to do: give allow_missing_positions=False, which raises RuntimeError, when no frames were omitted; otherwise read
# the frames with their own positions.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import warnings
from importlib.metadata import version

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

# the places in mm of the middles of slices that touch each other, and their thicknesses
PLACES = [0, 1, 2, 3, 4, 5, 8, 13, 18]
THICKNESSES = [1, 1, 1, 1, 1, 1, 5, 5, 5]
ROWS, COLUMNS = 16, 24
STUDY, SERIES, FRAME = generate_uid(), generate_uid(), generate_uid()


def image(number: int) -> Dataset:
    """Return an axial CT image of zeros."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = STUDY, SERIES, FRAME
    dataset.PatientName, dataset.PatientID, dataset.Modality, dataset.Manufacturer = "Phantom^", "1", "CT", ""
    for name in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
        setattr(dataset, name, "")
    dataset.ReferringPhysicianName, dataset.SeriesNumber, dataset.InstanceNumber = "", 1, number + 1
    dataset.ImageOrientationPatient, dataset.PixelSpacing = [1, 0, 0, 0, 1, 0], [1, 1]
    dataset.ImagePositionPatient, dataset.SliceThickness = [0, 0, PLACES[number]], THICKNESSES[number]
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = ROWS, COLUMNS, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    dataset.PixelData = bytes(2 * ROWS * COLUMNS)
    return dataset


images = [image(number) for number in range(len(PLACES))]
segment = hd.seg.SegmentDescription(
    1, "tissue", codes.SCT.Tissue, codes.SCT.Tissue, hd.seg.SegmentAlgorithmTypeValues.MANUAL
)
mask = np.ones((len(images), ROWS, COLUMNS), np.uint8)
segmentation = hd.seg.Segmentation(
    images,
    mask,
    "BINARY",
    [segment],
    generate_uid(),
    2,
    generate_uid(),
    1,
    "none",
    "none",
    "1",
    "1",
    omit_empty_frames=False,
)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    volume = segmentation.get_volume(combine_segments=True)
planes, empty = len(volume.array), int((~volume.array.any(axis=(1, 2))).sum())
print(f"highdicom {version('highdicom')}: {segmentation.NumberOfFrames} frames, all with labels, at {PLACES} mm")
print(f"get_volume: {planes} planes at distances of {volume.spacing[0]} mm, {empty} empty, {len(said)} warnings")
print(f"labels: {planes - empty} mm instead of {sum(THICKNESSES)} mm along z")


def refusal(call) -> str:
    """Return the error that a call raises, or an empty text."""
    try:
        call()
    except (RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


strict = refusal(lambda: segmentation.get_volume(combine_segments=True, allow_missing_positions=False))
source = refusal(lambda: hd.image.get_volume_from_series(images))
print(f"get_volume with allow_missing_positions=False: {strict or 'no error'}")
print(f"get_volume_from_series of the images: {source or 'no error'}")
if (planes, empty, len(said)) != (19, 10, 0) or not strict or not source:
    raise SystemExit("the behavior has changed")
print("as described: planes that the source does not have are in the volume, empty")
PYTHON
