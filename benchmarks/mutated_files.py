"""Predict thousands of damaged files: does one of them end or block the prediction of a folder?

    python benchmarks/mutated_files.py MODEL OUT --files 2000 --seed 0

Sound scans of small noise are written as NIfTI, NRRD, MetaImage and zips of DICOM, and MODEL is
copied; in each file some bytes, most of them in its header, are replaced at random, or its end is
cut off. Then 'segkit predict FOLDER' is called once for the scans and once for the studies of
DICOM, and each copy of the model is opened with its weights. Print for each kind how many were
used, how many were refused by name, how many failed otherwise (there should be none), and the
longest time of one file. The exit code is 1 if one was not refused by name.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813

import segkit
from segkit.errors import SegkitError

HEADER = 400
"""Number of bytes at the start of a file in which most of the damage is done."""
UNNAMED = re.compile(r"Traceback|a bug in segkit|^\w*(Error|Exception): ")
Write = Callable[[Path, np.ndarray], None]


def nifti(path: Path, voxels: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 1.0, 1.2, 1.0])), path)


def itk(path: Path, voxels: np.ndarray) -> None:
    sitk.WriteImage(
        sitk.GetImageFromArray(voxels.T), str(path), useCompression=path.stem.endswith("packed")
    )


def dicom_slice(voxels: np.ndarray, place: int) -> bytes:
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    values = {
        "SOPClassUID": pydicom.uid.CTImageStorage, "SOPInstanceUID": f"1.2.3.4.{place}",
        "SeriesInstanceUID": "1.2.3.4", "StudyInstanceUID": "1.2.3",
        "FrameOfReferenceUID": "1.2.9", "PatientID": "1", "Modality": "CT",
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [0, 0, place],
        "InstanceNumber": place + 1,
        "PixelSpacing": [1, 1], "SliceThickness": 1,
        "Rows": voxels.shape[1], "Columns": voxels.shape[0],
        "SamplesPerPixel": 1, "PixelRepresentation": 1, "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
        "RescaleSlope": 1, "RescaleIntercept": 0,
        "PixelData": voxels[..., place].T.tobytes(),
    }  # fmt: skip
    for keyword, value in values.items():
        setattr(made, keyword, value)
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def damaged(content: bytes, chance: random.Random, header: int = HEADER) -> bytes:
    """Return the content with 1 to 8 bytes replaced, three of four times in the header, or without
    its end.
    """
    changed = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        end = min(len(changed), header) if chance.random() < 0.75 else len(changed)
        changed[chance.randrange(end)] = chance.randrange(256)
    return bytes(changed[: chance.randrange(len(changed))] if chance.random() < 0.1 else changed)


SCANS: list[tuple[str, Write]] = [
    (".nii", nifti), (".nii.gz", nifti), (".nrrd", itk), ("_packed.nrrd", itk),
    (".mha", itk), ("_packed.mha", itk),
]  # fmt: skip


def write_scans(folder: Path, count: int, chance: random.Random, voxels: np.ndarray) -> None:
    folder.mkdir()
    sound = []
    for suffix, write in SCANS:
        path = folder / f"sound{suffix}"
        write(path, voxels)
        sound.append((suffix, path.read_bytes()))
        path.unlink()
    for number in range(count):
        suffix, content = sound[number % len(sound)]
        (folder / f"scan{number:05d}{suffix}").write_bytes(damaged(content, chance))


def write_studies(folder: Path, count: int, chance: random.Random, voxels: np.ndarray) -> None:
    folder.mkdir()
    slices = [dicom_slice(voxels, place) for place in range(voxels.shape[2])]
    for number in range(count):
        hit = chance.randrange(len(slices))
        with zipfile.ZipFile(folder / f"study{number:05d}.zip", "w") as archive:
            for place, content in enumerate(slices):
                archive.writestr(
                    f"{place}.dcm", damaged(content, chance, 1200) if place == hit else content
                )


def write_models(folder: Path, count: int, chance: random.Random, model: Path) -> None:
    """Write copies of a bundle, one file of each damaged; every fourth is a .segkit file that is
    damaged itself.
    """
    folder.mkdir()
    bundle = model / "bundle" if (model / "bundle").is_dir() else model
    subprocess.run(
        [*SEGKIT, "export", bundle, folder / "sound.segkit"], check=True, stdout=subprocess.DEVNULL
    )
    packed = (folder / "sound.segkit").read_bytes()
    (folder / "sound.segkit").unlink()
    for number in range(count):
        place = folder / f"model{number:05d}"
        if number % 4 == 0:
            place.with_suffix(".segkit").write_bytes(damaged(packed, chance, len(packed)))
            continue
        shutil.copytree(bundle, place)
        file = chance.choice(sorted(path for path in place.rglob("*") if path.is_file()))
        file.write_bytes(damaged(file.read_bytes(), chance, 4000))


SEGKIT = [sys.executable, "-m", "segkit"]


def predict(folder: Path, model: Path, out: Path) -> tuple[Counter[str], float]:
    """Predict a folder in one call; returns what became of its files, and the longest time of one
    in seconds.
    """
    done = subprocess.run(
        [*SEGKIT, "predict", folder, "-m", model, "-o", out, "--fast", "--device", "cpu"],
        check=False,
        capture_output=True,
        text=True,
    )
    print(f"  exit code {done.returncode}")
    outcomes = json.loads((out / "predictions.json").read_text())
    found: Counter[str] = Counter()
    for path in sorted(folder.iterdir()):
        cases = [case for case in outcomes if path.name.startswith(case)]
        outcome = outcomes[cases[0]] if cases else {"status": "lost", "message": "", "seconds": 0}
        status, message = outcome["status"], outcome["message"]
        if status == "failed" and (path.name not in message or UNNAMED.search(message)):
            status = "unnamed"
        if status not in ("done", "failed"):
            print(f"  {path.name}: {status}: {message}")
        found[status] += 1
    if done.returncode not in (0, 5) or "Traceback" in done.stderr:
        print(done.stderr[-3000:])
        found["process ended"] += 1
    return found, max(outcome["seconds"] for outcome in outcomes.values())


def open_models(folder: Path) -> tuple[Counter[str], float]:
    """Open each model with its weights; returns what became of them, and the longest time of one in
    seconds.
    """
    found: Counter[str] = Counter()
    longest = 0.0
    for path in sorted(folder.iterdir()):
        started = time.perf_counter()
        try:
            segkit.load(path, device="cpu")
            found["done"] += 1
        except SegkitError as error:
            found["failed" if path.name in str(error) else "unnamed"] += 1
            if path.name not in str(error):
                print(f"  {path.name}: {error}")
        except Exception as error:
            print(f"  {path.name}: {type(error).__name__}: {error}")
            found["unnamed"] += 1
        longest = max(longest, time.perf_counter() - started)
    return found, longest


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="a model of one channel with a unit of mm")
    parser.add_argument("out", type=Path, help="a folder that does not exist")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.out.mkdir(parents=True)
    chance, fifth = random.Random(given.seed), given.files // 5
    voxels = np.random.default_rng(given.seed).normal(100, 10, (16, 15, 14)).astype(np.int16)
    write_scans(given.out / "scans", given.files - 2 * fifth, chance, voxels)
    write_studies(given.out / "studies", fifth, chance, voxels)
    write_models(given.out / "models", fifth, chance, given.model)
    wrong = 0
    for name in ("scans", "studies"):
        found, longest = predict(given.out / name, given.model, given.out / f"{name}_out")
        print(f"{name}: {dict(found)}, at most {longest:.1f} s")
        wrong += sum(found.values()) - found["done"] - found["failed"]
    found, longest = open_models(given.out / "models")
    print(f"models: {dict(found)}, at most {longest:.1f} s")
    wrong += found["unnamed"]
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
