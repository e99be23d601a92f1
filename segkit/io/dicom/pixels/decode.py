"""Decode the pixels of a DICOM file to stored numbers.

pydicom decodes most transfer syntaxes. SimpleITK, which segkit requires anyway, decodes lossless
JPEG and 12-bit JPEG, in a separate process (`decoder_process`).
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

_PIXEL_ATTRIBUTES = (
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *("NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    "PixelData",
)
"""Keywords of the attributes that ITK needs to decode pixels."""
_RGB = ("Red", "Green", "Blue")
_PALETTE = "PALETTE COLOR"
_PHOTOMETRIC = {
    *("MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"),
    _PALETTE,
}
"""Photometric interpretations that are read."""
_VIDEO = re.compile(r"1\.2\.840\.10008\.1\.2\.(4\.10[0-8]|7\.)")
"""Prefix of the UIDs of video transfer syntaxes: MPEG2, MPEG-4, HEVC and SMPTE ST 2110."""


def check_pixels(instance: Instance) -> None:
    """Check that the pixels of a file are gray values or colors, and not a video.

    Raises:
        InputError: they are not, or a palette is incomplete.
    """
    kind = str(instance.header.get("PhotometricInterpretation") or "none")
    if kind not in _PHOTOMETRIC:
        raise InputError(
            str(instance.file),
            expected=f"one of the photometric interpretations {', '.join(sorted(_PHOTOMETRIC))}",
            found=kind,
            remedy="Convert it to RGB or gray values first.",
        )
    if kind == _PALETTE and not all(
        f"{color}PaletteColorLookupTableDescriptor" in instance.header for color in _RGB
    ):
        raise InputError(
            str(instance.file),
            expected=f"lookup tables for red, green and blue, as {_PALETTE} requires",
            found="none, or not all of them",
            remedy="Convert it to RGB or gray values first.",
        )
    if _VIDEO.match(str(instance.syntax)):
        raise InputError(
            str(instance.file),
            expected="images",
            found=f"a video: the transfer syntax {instance.syntax.name} ({instance.syntax})",
            remedy="segkit does not read videos: export the images that you need as DICOM or PNG.",
        )


def channels_of(instance: Instance) -> int:
    """Return the number of channels of `stored_pixels`: 3 for colors, including palette colors."""
    if instance.header.get("PhotometricInterpretation") == _PALETTE:
        return len(_RGB)
    return int(instance.header.get("SamplesPerPixel") or 1)


def stored_pixels(instance: Instance) -> NDArray[Any]:
    """Return the stored numbers, shape (frames, rows, columns[, samples]), in native byte order.

    Colors are RGB; palette colors have 8 bits.

    Raises:
        InputError: the transfer syntax cannot be decoded, or pixels are damaged or missing.
    """
    header = instance.header
    with guarded(instance.file), opened(instance.file, header) as stream:
        dataset = pydicom.dcmread(stream, force=True)
        dataset.file_meta.TransferSyntaxUID = instance.syntax
        pixels = _decoded(instance, dataset)
        shape: tuple[int, ...] = (instance.frames, int(header.Rows), int(header.Columns))
        if int(header.get("SamplesPerPixel", 1)) > 1:
            shape += pixels.shape[-1:]
        pixels = pixels.reshape(shape)
        pixels = _without_spare_bits(
            pixels.astype(pixels.dtype.newbyteorder("="), copy=False), header
        )
        if header.get("PhotometricInterpretation") == _PALETTE:
            return _palette_colors(pixels, dataset)
        return pixels


def _palette_colors(indices: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Return the palette colors (..., 3) as 8 bits; 16-bit tables lose their low byte."""
    colors = apply_color_lut(indices, dataset)
    return colors if colors.dtype == np.uint8 else (colors >> 8).astype(np.uint8)


def _decoded(instance: Instance, dataset: Dataset) -> NDArray[Any]:
    if wrong := wrong_size(dataset):
        raise _undecodable(instance, wrong)
    try:
        return np.asarray(pixel_array(dataset))
    except MemoryError:
        raise
    except Exception as error:  # each decoder of pydicom raises exceptions of its own
        if not (instance.syntax.is_transfer_syntax and instance.syntax.is_encapsulated):
            raise _undecodable(instance, str(error)) from error
    try:
        return _decoded_by_itk(dataset)
    except (RuntimeError, ValueError) as error:
        raise _undecodable(instance, str(error)) from error


def _decoded_by_itk(dataset: Dataset) -> NDArray[Any]:
    """Decode a copy with nothing but the pixels, so that ITK does not rescale or reorient them."""
    pixels_only = Dataset()
    for keyword in _PIXEL_ATTRIBUTES:
        if keyword in dataset:
            pixels_only[keyword] = dataset[keyword]
    pixels_only.SOPClassUID = SecondaryCaptureImageStorage
    pixels_only.SOPInstanceUID = generate_uid()
    pixels_only.file_meta = FileMetaDataset()
    pixels_only.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pixels.dcm")
        pixels_only.save_as(path, enforce_file_format=True)
        return decode(path)


def _without_spare_bits(array: NDArray[Any], header: Dataset) -> NDArray[Any]:
    """Remove the bits above BitsStored, in which old files keep overlays, and extend the sign."""
    bits = array.dtype.itemsize * 8
    spare = bits - int(header.get("BitsStored") or 0)
    if array.dtype.kind == "f" or not 0 < spare < bits:
        return array
    return (array << spare) >> spare


def _first_remedy(syntax: Any) -> str:
    if syntax in (HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL):
        return "pip install pylibjpeg pylibjpeg-openjpeg, with which pydicom decodes it"
    if syntax in (JPEGLSLossless, JPEGLSNearLossless) and find_spec("jpeg_ls") is None:
        return (
            "pip install pyjpegls, with which pydicom decodes it "
            "(it has no wheel for Python 3.14: use Python 3.13)"
        )
    return "Copy the file again if it is damaged"


def _undecodable(instance: Instance, problem: str) -> InputError:
    syntax = instance.syntax
    lines = [line.strip() for line in problem.splitlines() if line.strip()]
    reason = lines[-1] if lines else "no reason given"
    return InputError(
        str(instance.file),
        expected="pixels that can be decoded",
        found=f"the transfer syntax {syntax.name} ({syntax}): {reason}",
        remedy=f"{_first_remedy(syntax)}, or have it converted to Explicit VR Little Endian.",
    )
