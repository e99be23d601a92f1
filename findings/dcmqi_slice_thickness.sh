#!/usr/bin/env bash
# dcmqi 1.5.7: segimage2itkimage takes SliceThickness for the distance of planes where a segmentation does not state
# SpacingBetweenSlices, although it works out the distance itself. Slices are moved and put together, with exit code 0.
#
# SpacingBetweenSlices is optional in DICOM; where slices lie follows from ImagePositionPatient. SliceThickness says
# nothing about it: slices of CT often overlap, and one scan can have slices of two thicknesses, which each frame then
# states itself.
# Seen with dcmqi 1.5.7 (from PyPI), with "Slice spacing: 2.5" on stdout and "SliceThickness is present and is 5. using
# it!" on stderr: 8 slices of 5 mm at distances of 2.5 mm become 5 planes at distances of 5 mm. Two slices at a time
# become one plane, and the last one lies 2.5 mm off. 6 slices of 1 mm and 3 of 5 mm become 5 planes at distances of 5
# mm, too: the thickness in the first frame counts for all.
# What to do: state SpacingBetweenSlices where slices lie at equal distances; then all of them are right. Read
# segmentations of two thicknesses frame by frame, with the position of each frame. Do not rely on the exit code.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dcmqi==1.5.7 highdicom==0.28.2 pydicom==3.0.2 nibabel==5.4.2 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import subprocess
import sys
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

FOLDER = Path(sys.argv[1])
ROWS, COLUMNS = 16, 24
EVEN = [2.5 * number for number in range(8)]
TWO = [0, 1, 2, 3, 4, 5, 8, 13, 18]


def images(places: list[float], thicknesses: list[float]) -> list[Dataset]:
    """Return axial CT images of zeros."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    found = []
    for number, (place, thickness) in enumerate(zip(places, thicknesses), 1):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, series, frame
        dataset.PatientName, dataset.PatientID, dataset.Modality, dataset.Manufacturer = "Phantom^", "1", "CT", ""
        for name in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
            setattr(dataset, name, "")
        dataset.ReferringPhysicianName, dataset.SeriesNumber, dataset.InstanceNumber = "", 1, number
        dataset.ImageOrientationPatient, dataset.PixelSpacing = [1, 0, 0, 0, 1, 0], [1, 1]
        dataset.ImagePositionPatient, dataset.SliceThickness = [0, 0, place], thickness
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = ROWS, COLUMNS, 1
        dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 1
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
        dataset.PixelData = bytes(2 * ROWS * COLUMNS)
        found.append(dataset)
    return found


def segmentation(places: list[float], thicknesses: list[float]) -> Dataset:
    """Return a BINARY segmentation that has, in the slice of number n, row n as its only segment."""
    mask = np.zeros((len(places), ROWS, COLUMNS), np.uint8)
    for number in range(len(places)):
        mask[number, number] = 1
    segment = hd.seg.SegmentDescription(
        1, "tissue", codes.SCT.Tissue, codes.SCT.Tissue, hd.seg.SegmentAlgorithmTypeValues.MANUAL
    )
    return hd.seg.Segmentation(
        images(places, thicknesses), mask, "BINARY", [segment], generate_uid(), 2, generate_uid(), 1, "", "", "1", "1"
    )


def without_spacing(dataset: Dataset) -> Dataset:
    """Return the segmentation without what DICOM leaves optional of the distance of its planes."""
    dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].pop("SpacingBetweenSlices", None)
    dataset.pop("DimensionOrganizationType", None)
    return dataset


def with_own_thickness(dataset: Dataset, thickness_at: dict[float, float]) -> Dataset:
    """Return the segmentation with SliceThickness in each frame instead of one for all of them."""
    del dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        measures = Dataset()
        measures.PixelSpacing = [1, 1]
        measures.SliceThickness = thickness_at[float(frame.PlanePositionSequence[0].ImagePositionPatient[2])]
        frame.PixelMeasuresSequence = [measures]
    return dataset


def converted(dataset: Dataset) -> tuple[int, dict[float, list[int]]]:
    """Return dcmqi's exit code, and the numbers of the slices whose rows are found at each place in mm along z."""
    dataset.save_as(FOLDER / "segmentation.dcm", enforce_file_format=True)
    program = str(Path(sys.executable).with_name("segimage2itkimage"))
    options = ["--inputDICOM", str(FOLDER / "segmentation.dcm"), "--outputDirectory", str(FOLDER), "-t", "nii"]
    done = subprocess.run([program, *options], capture_output=True, text=True)
    lines = (done.stdout + done.stderr).splitlines()
    print("  dcmqi says:", "; ".join(line for line in lines if "Slice spacing" in line or "SliceThickness" in line))
    image = nib.load(FOLDER / "1.nii.gz")
    planes = np.asarray(image.dataobj).any(axis=0).T
    step, start = float(image.affine[2, 2]), float(image.affine[2, 3])
    return done.returncode, {start + step * k: np.flatnonzero(rows).tolist() for k, rows in enumerate(planes)}


def shown(title: str, dataset: Dataset, places: list[float]) -> tuple[int, int, int]:
    """Print what becomes of a segmentation; return the exit code, the planes, and the slices in their place."""
    print(title)
    code, planes = converted(dataset)
    right = sum(number in planes.get(place, []) for number, place in enumerate(places))
    print(f"  exit code {code}, {len(planes)} planes, {right} of {len(places)} slices in their place")
    print(f"  slices at each place in mm: {planes}")
    return code, len(planes), right


two = [1] * 6 + [5] * 3
found = [
    shown("slices of 5 mm at distances of 2.5 mm, SpacingBetweenSlices stated", segmentation(EVEN, [5] * 8), EVEN),
    shown("the same, not stated", without_spacing(segmentation(EVEN, [5] * 8)), EVEN),
    shown("slices of 1 and 5 mm", with_own_thickness(segmentation(TWO, two), dict(zip(TWO, two))), TWO),
]
if found != [(0, 8, 8), (0, 5, 4), (0, 5, 2)]:
    raise SystemExit("the behavior has changed")
print("as described: where SpacingBetweenSlices is not stated, SliceThickness moves slices and puts them together")
PYTHON
