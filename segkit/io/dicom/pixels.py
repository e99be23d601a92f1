"""The pixels of a DICOM file as the stored numbers, whatever transfer syntax they are packed in.

pydicom decodes what it can; SimpleITK, which is there anyway, the rest: JPEG lossless, and JPEG of 12 bits.
"""

# mypy: allow-untyped-calls
# (SimpleITK and parts of pydicom have no annotations)

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813  (the name its own manual uses)
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from segkit.errors import InputError
from segkit.io.dicom.study import Instance, guarded

_IMAGE = (
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"),
)
_PHOTOMETRIC = {"MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"}


def check_photometric(instance: Instance) -> None:
    """Raise an InputError for pixels that are no grey values and no colours."""
    kind = str(instance.header.get("PhotometricInterpretation") or "none")
    if kind not in _PHOTOMETRIC:
        raise InputError(
            str(instance.file),
            expected=f"one of the photometric interpretations {', '.join(sorted(_PHOTOMETRIC))}",
            found=kind,
            remedy="Convert it to RGB or grey values first.",
        )


def stored_pixels(instance: Instance) -> NDArray[Any]:
    """Stored numbers (frames, rows, columns[, samples]) in native byte order; colours as RGB.

    Raises:
        InputError: a transfer syntax that cannot be decoded, or pixels that are damaged or too few.
    """
    with guarded(instance.file), instance.file.open() as stream:
        dataset = pydicom.dcmread(stream, force=True)
        dataset.file_meta.TransferSyntaxUID = instance.syntax
        found = _decoded(instance, dataset)
        shape = (instance.frames, int(instance.header.Rows), int(instance.header.Columns))
        found = found.reshape(shape + found.shape[-1:] if int(instance.header.get("SamplesPerPixel", 1)) > 1 else shape)
        return _used_bits(found.astype(found.dtype.newbyteorder("="), copy=False), instance.header)


def _decoded(instance: Instance, dataset: Dataset) -> NDArray[Any]:
    try:
        return np.asarray(pixel_array(dataset))
    except MemoryError:
        raise
    except Exception as error:  # each of its decoders raises errors of its own
        if not (instance.syntax.is_transfer_syntax and instance.syntax.is_encapsulated):
            raise _undecodable(instance, str(error)) from error
    try:
        return _decoded_by_itk(dataset)
    except (RuntimeError, ValueError) as error:
        raise _undecodable(instance, str(error)) from error


def _decoded_by_itk(dataset: Dataset) -> NDArray[Any]:
    """By way of a file that has the pixels alone, so that ITK scales and turns nothing."""
    plain = Dataset()
    for keyword in _IMAGE:
        if keyword in dataset:
            plain[keyword] = dataset[keyword]
    plain.SOPClassUID, plain.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    plain.file_meta = FileMetaDataset()
    plain.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pixels.dcm")
        plain.save_as(path, enforce_file_format=True)
        sitk.ProcessObject.SetGlobalWarningDisplay(False)
        return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO")))


def _used_bits(array: NDArray[Any], header: Dataset) -> NDArray[Any]:
    """Without what stands in the bits above the stored ones, where old files keep overlays."""
    spare = array.dtype.itemsize * 8 - int(header.get("BitsStored") or 0)
    if array.dtype.kind == "f" or not 0 < spare < array.dtype.itemsize * 8:
        return array
    return (array << spare) >> spare


def _undecodable(instance: Instance, found: str) -> InputError:
    syntax = instance.syntax
    lines = [line.strip() for line in found.splitlines() if line.strip()]
    return InputError(
        str(instance.file),
        expected="pixels that can be decoded",
        found=f"the transfer syntax {syntax.name} ({syntax}): {lines[-1] if lines else 'no reason given'}",
        remedy="Copy the file again if it is damaged, or have it converted to Explicit VR Little Endian.",
    )
