"""The pixels of a DICOM file as the stored numbers, whatever transfer syntax they are packed in.

pydicom decodes what it can; SimpleITK, which is there anyway, the rest: JPEG lossless, and JPEG of 12 bits. It does so
in a process of its own.
"""

# mypy: allow-untyped-calls
# (SimpleITK and parts of pydicom have no annotations)

from __future__ import annotations

import re
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    HTJ2K,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEGLSLossless,
    JPEGLSNearLossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from segkit.errors import InputError
from segkit.io.dicom.headers import guarded, opened
from segkit.io.dicom.pixels.compressed_size import wrong_size
from segkit.io.dicom.pixels.decoder_process import decode
from segkit.io.dicom.series.study import Instance

_IMAGE = (
    *(
        "Rows",
        "Columns",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "PlanarConfiguration",
        "NumberOfFrames",
    ),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"),
)
_RGB = ("Red", "Green", "Blue")
_PALETTE = "PALETTE COLOR"
_PHOTOMETRIC = {
    "MONOCHROME1",
    "MONOCHROME2",
    "RGB",
    "YBR_FULL",
    "YBR_FULL_422",
    "YBR_ICT",
    "YBR_RCT",
    _PALETTE,
}
_VIDEO = re.compile(r"1\.2\.840\.10008\.1\.2\.(4\.10[0-8]|7\.)")
"""How the transfer syntaxes of MPEG2, MPEG-4, HEVC and SMPTE ST 2110 begin."""


def check_pixels(instance: Instance) -> None:
    """Raise an InputError for pixels that are no grey values and no colours, and for videos."""
    kind = str(instance.header.get("PhotometricInterpretation") or "none")
    if kind not in _PHOTOMETRIC:
        raise InputError(
            str(instance.file),
            expected=f"one of the photometric interpretations {', '.join(sorted(_PHOTOMETRIC))}",
            found=kind,
            remedy="Convert it to RGB or grey values first.",
        )
    if kind == _PALETTE and not all(
        f"{colour}PaletteColorLookupTableDescriptor" in instance.header for colour in _RGB
    ):
        raise InputError(
            str(instance.file),
            expected=f"tables of red, green and blue for the photometric interpretation {_PALETTE}",
            found="none, or not all of them",
            remedy="Convert it to RGB or grey values first.",
        )
    if _VIDEO.match(str(instance.syntax)):
        raise InputError(
            str(instance.file),
            expected="images",
            found=f"a video: the transfer syntax {instance.syntax.name} ({instance.syntax})",
            remedy="Videos are not read: export the pictures that you need as DICOM or PNG.",
        )


def channels_of(instance: Instance) -> int:
    """Of what `stored_pixels` gives: 3 for colours, whether they stand in the pixels or in a palette."""
    if instance.header.get("PhotometricInterpretation") == _PALETTE:
        return len(_RGB)
    return int(instance.header.get("SamplesPerPixel") or 1)


def stored_pixels(instance: Instance) -> NDArray[Any]:
    """Stored numbers (frames, rows, columns[, samples]) in native byte order; colours as RGB, of a palette in 8 bits.

    Raises:
        InputError: a transfer syntax that cannot be decoded, or pixels that are damaged or too few.
    """
    with guarded(instance.file), opened(instance.file, instance.header) as stream:
        dataset = pydicom.dcmread(stream, force=True)
        dataset.file_meta.TransferSyntaxUID = instance.syntax
        found = _decoded(instance, dataset)
        shape = (instance.frames, int(instance.header.Rows), int(instance.header.Columns))
        found = found.reshape(
            shape + found.shape[-1:]
            if int(instance.header.get("SamplesPerPixel", 1)) > 1
            else shape
        )
        found = _used_bits(found.astype(found.dtype.newbyteorder("="), copy=False), instance.header)
        return (
            _looked_up(found, dataset)
            if instance.header.get("PhotometricInterpretation") == _PALETTE
            else found
        )


def _looked_up(indices: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Colours (..., 3) of a palette; those of 16 bits without their lower half, which screens do not show either."""
    colours = apply_color_lut(indices, dataset)
    return colours if colours.dtype == np.uint8 else (colours >> 8).astype(np.uint8)


def _decoded(instance: Instance, dataset: Dataset) -> NDArray[Any]:
    if wrong := wrong_size(dataset):
        raise _undecodable(instance, wrong)
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
        return decode(path)


def _used_bits(array: NDArray[Any], header: Dataset) -> NDArray[Any]:
    """Without what stands in the bits above the stored ones, where old files keep overlays."""
    spare = array.dtype.itemsize * 8 - int(header.get("BitsStored") or 0)
    if array.dtype.kind == "f" or not 0 < spare < array.dtype.itemsize * 8:
        return array
    return (array << spare) >> spare


def _first_remedy(syntax: Any) -> str:
    if syntax in (HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL):
        return "pip install pylibjpeg pylibjpeg-openjpeg, with which pydicom decodes it"
    if syntax in (JPEGLSLossless, JPEGLSNearLossless) and find_spec("jpeg_ls") is None:
        return "pip install pyjpegls, with which pydicom decodes it (Python 3.14 has no wheel of it: take Python 3.13)"
    return "Copy the file again if it is damaged"


def _undecodable(instance: Instance, found: str) -> InputError:
    syntax = instance.syntax
    lines = [line.strip() for line in found.splitlines() if line.strip()]
    return InputError(
        str(instance.file),
        expected="pixels that can be decoded",
        found=f"the transfer syntax {syntax.name} ({syntax}): {lines[-1] if lines else 'no reason given'}",
        remedy=f"{_first_remedy(syntax)}, or have it converted to Explicit VR Little Endian.",
    )
