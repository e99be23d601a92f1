"""Fixtures for all tests: the folder of the real data, a phantom of two cases, DICOM files."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.dataset.dataset import Case
from segkit.dataset.phantom import write_phantom


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real data sets, or a skip that says why."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SEGKIT_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder} (set SEGKIT_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two cases, written once; tests must not change it."""
    return write_phantom(tmp_path_factory.mktemp("data") / "phantom", cases=2)


@pytest.fixture
def write_case(tmp_path: Path) -> Callable[..., Case]:
    """Write a scan and its label map as NIfTI and return the Case."""

    def write(
        name: str, image: Any, labels: Any = None, *, affine: Any = None, label_affine: Any = None
    ) -> Case:
        affine = np.eye(4) if affine is None else affine
        path, label_path = tmp_path / f"{name}.nii.gz", tmp_path / f"{name}_seg.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.asarray(image, dtype=np.float32), affine), path)
        if labels is None:
            return Case(name, (path,))
        placed = affine if label_affine is None else label_affine
        nibabel.save(nibabel.Nifti1Image(np.asarray(labels, dtype=np.uint8), placed), label_path)
        return Case(name, (path,), label_path)

    return write


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """Return full_disk(bytes), which simulates a full disk: no file can become longer."""
    resource = pytest.importorskip("resource", reason="limits of file size are POSIX")

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.fixture
def peak_of() -> Callable[[str, str], int]:
    """Return peak_of(prepare, action): the peak memory of ``action`` in bytes.

    Both are code that runs in a separate process.
    """
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs Linux's count of the most memory held")

    def measured(prepare: str, action: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", f"{_MEMORY}\n{prepare}\n{_BEFORE}\n{action}\n{_AFTER}"],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout)

    return measured


_MEMORY = """
from pathlib import Path

def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024
"""
_BEFORE = 'before = memory("VmRSS"); Path("/proc/self/clear_refs").write_text("5")'
_AFTER = 'print(memory("VmHWM") - before)'


class WrittenDicom:
    """Writer of DICOM files with known numbers."""

    def __init__(self, pydicom: Any) -> None:
        self.pydicom = pydicom

    def header(self, series: str = "1.2.3.1", number: int = 1, **elements: Any) -> Any:
        """Return the header of a CT slice without pixels; ``elements`` replace or add, None
        removes.
        """
        uid = self.pydicom.uid
        made = self.pydicom.Dataset()
        made.file_meta = self.pydicom.dataset.FileMetaDataset()
        made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        values = {"SOPClassUID": uid.CTImageStorage, "SOPInstanceUID": f"{series}.{number}"}
        values |= {
            "SeriesInstanceUID": series,
            "StudyInstanceUID": "1.2.3",
            "FrameOfReferenceUID": "1.2.3.99",
        }
        values |= {
            "PatientName": "Test^Case",
            "PatientID": "1",
            "Modality": "CT",
            "SeriesNumber": 1,
        }
        values |= {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [0, 0, 0]}
        values |= {"InstanceNumber": number, "PixelSpacing": [1, 1], "SliceThickness": 1}
        for keyword, value in (values | elements).items():
            if value is not None:
                setattr(made, keyword, value)
        return made

    def file(self, path: Path, pixels: NDArray[Any], **elements: Any) -> Path:
        """Pixels (rows, columns), or (frames, rows, columns), stored as they are."""
        made = self.header(**elements)
        made.Rows, made.Columns = pixels.shape[-2:]
        if pixels.ndim == 3:
            made.NumberOfFrames = len(pixels)
        made.SamplesPerPixel, made.PixelRepresentation = 1, int(pixels.dtype.kind == "i")
        made.PhotometricInterpretation = elements.get("PhotometricInterpretation", "MONOCHROME2")
        made.BitsAllocated = pixels.dtype.itemsize * 8
        made.BitsStored = elements.get("BitsStored", made.BitsAllocated)
        made.HighBit = made.BitsStored - 1
        made.PixelData = pixels.tobytes()
        path.parent.mkdir(parents=True, exist_ok=True)
        made.save_as(path, enforce_file_format=True)
        return path

    def series(
        self,
        folder: Path,
        voxels: NDArray[Any],
        *,
        axes: NDArray[Any] | None = None,
        origin: tuple[float, float, float] = (0, 0, 0),
        names: list[int] | None = None,
        **elements: Any,
    ) -> Path:
        """Write voxels (X, Y, Z), one file for each slice, and return the folder.

        ``axes`` has the steps in mm in LPS as columns; ``names`` are the instance numbers.
        """
        steps = np.eye(3) if axes is None else axes
        spacing = np.linalg.norm(steps, axis=0)
        for place, name in enumerate(names or range(voxels.shape[2])):
            own = {
                "ImageOrientationPatient": [
                    f"{value:.12f}" for value in (steps / spacing)[:, :2].T.ravel()
                ],
                "ImagePositionPatient": [
                    f"{value:.8f}" for value in np.array(origin) + place * steps[:, 2]
                ],
                "PixelSpacing": [f"{spacing[1]:.10f}", f"{spacing[0]:.10f}"],
            }
            pixels = np.ascontiguousarray(voxels[..., place].T)
            self.file(folder / f"{name:03d}", pixels, number=name + 1, **own | elements)
        return folder


@pytest.fixture(scope="session")
def dicom() -> WrittenDicom:
    """dicom.series(folder, voxels, ...) and dicom.file(path, pixels, ...) write DICOM."""
    return WrittenDicom(pytest.importorskip("pydicom", reason="the extra [dicom] is not installed"))


@pytest.fixture
def stranger() -> Iterator[Path]:
    """A folder that others may read, in a process that may not do everything."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        is_root = os.geteuid() == 0
        yield Path(folder)
        if is_root:
            os.seteuid(0)
        for path in Path(folder).iterdir():
            path.chmod(0o755)
