#!/usr/bin/env bash
# highdicom 0.28.2: writing a mask as a FRACTIONAL segmentation multiplies the caller's own array by 255.
#
# A mask of uint8 with values 0 and 1, with the axes slice, row and column, or with a fourth one for the segments,
# is scaled in place to the range of the file. The file is right; the array in memory is 255 times itself afterwards, and
# a volume computed from its sum is too. The documentation of pixel_array does not mention it. A second segmentation of
# the same array is refused, as its values are 255 then; a read-only array ends with the error "output array is
# read-only". Arrays of bool, uint16 and floating-point numbers, and the types BINARY and LABELMAP, leave it as it was.
# Seen with highdicom 0.28.2, pydicom 3.0.2, numpy 2.4.6, Python 3.11.
# What to do: pass mask.astype(bool), or a copy.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import highdicom
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SHAPE = (3, 5, 7)


def slices() -> list[Dataset]:
    """Return a CT of three slices, without a file."""
    shared = dict(PatientID="p", PatientName="p^", PatientBirthDate="", PatientSex="", StudyID="", StudyDate="", StudyTime="")
    shared |= dict(AccessionNumber="", ReferringPhysicianName="", Modality="CT", SeriesNumber=1, SOPClassUID=CTImageStorage)
    shared |= {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}
    shared |= dict(Rows=SHAPE[1], Columns=SHAPE[2], SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2")
    shared |= dict(BitsAllocated=16, BitsStored=16, HighBit=15, PixelRepresentation=1, PixelSpacing=[1, 1], SliceThickness=2)
    shared |= dict(ImageOrientationPatient=[1, 0, 0, 0, 1, 0], PixelData=bytes(2 * SHAPE[1] * SHAPE[2]))
    series = []
    for number in range(SHAPE[0]):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SOPInstanceUID, image.InstanceNumber = generate_uid(), number + 1
        image.ImagePositionPatient = [0, 0, 2 * number]
        for name, value in shared.items():
            setattr(image, name, value)
        series.append(image)
    return series


SLICES = slices()
TISSUE = highdicom.sr.CodedConcept("85756007", "SCT", "Tissue")


def write(mask: np.ndarray, kind: str) -> np.ndarray:
    """Write a segmentation of one segment to a file, and return its values as read again."""
    segment = highdicom.seg.SegmentDescription(1, "organ", TISSUE, TISSUE, "MANUAL")
    identity = (generate_uid(), 1, generate_uid(), 1, "maker", "model", "1", "1")
    written = highdicom.seg.Segmentation(SLICES, mask, kind, [segment], *identity, omit_empty_frames=False)
    written.save_as("mask.dcm")
    uids = [image.SOPInstanceUID for image in SLICES]
    return highdicom.seg.segread("mask.dcm").get_pixels_by_source_instance(uids, segment_numbers=[1])[..., 0]


organ = np.zeros(SHAPE, np.uint8)
organ[1, 1:4, 2:6] = 1
print(f"highdicom {highdicom.__version__}, pydicom {pydicom.__version__}; voxels of the organ: {organ.sum()}")
changed = False
for kind in ("FRACTIONAL", "BINARY", "LABELMAP"):
    for name in ("uint8", "bool", "uint16", "float32"):
        for axes in (3, 4):
            mask = organ.astype(name).reshape(SHAPE + (1,) * (axes - 3))
            file_is_right = np.array_equal(write(mask, kind), organ)
            total = float(mask.sum())
            print(f"{kind}, {name}, {axes} axes: file right: {file_is_right}; sum of the array afterwards {total:g}")
            changed |= not file_is_right or total != (12 * 255 if (kind, name) == ("FRACTIONAL", "uint8") else 12)
twice = organ.copy()
write(twice, "FRACTIONAL")
try:
    write(twice, "FRACTIONAL")
    changed = True
except ValueError as error:
    print(f"the same array again: {error}")
read_only = organ.copy()
read_only.flags.writeable = False
try:
    write(read_only, "FRACTIONAL")
    changed = True
except ValueError as error:
    print(f"a read-only array: {error}")
if changed:
    raise SystemExit("the behavior has changed")
print("as described: the caller's array is multiplied by 255")
PYTHON
