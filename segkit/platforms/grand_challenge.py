"""grand-challenge.org: the Dockerfile of an algorithm, its inputs.json, and its folders.

Source: comic/grand-challenge.org, components/backends/base.py (folders), serializers.py
(inputs.json) and the template of an algorithm in forge/. There is no descriptor file: the platform
reads the configuration of the image, and starts the image without arguments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from segkit.errors import InputError, UsageError
from segkit.files.names import natural_key, suffix_of
from segkit.inference.files.channels import ModelChannels
from segkit.inference.files.outputs import Job
from segkit.inference.files.scan import Scan
from segkit.io.dicom import dicom_scan
from segkit.io.dicom.files.detection import is_dicom
from segkit.platforms.facts import Facts

INPUT, OUTPUT, MODEL = Path("/input"), Path("/output"), Path("/opt/ml/model")
INPUTS = "inputs.json"
TIFF = ".tif"
FORMATS = (".mha", TIFF, ".tiff")
"""Suffixes of the images that the platform hands over, apart from DICOM."""
OUTPUT_PATH = "images/segmentation"
"""Usual place of the label map below /output; that of an algorithm is on its page of interfaces."""


def dockerfile(facts: Facts) -> str:
    """Return the Dockerfile of an algorithm."""
    words = json.dumps(facts.command("grand-challenge")[1:])
    return f'FROM {facts.image}\nLABEL org.grand-challenge.api-method="exec"\nCMD {words}'


def relative_path(text: str) -> str:
    """Return the relative path of an output socket, as a user gives it.

    Raises:
        UsageError: it would not lie below the folder of the results.
    """
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise UsageError(
            f"--output-path {text}: write it relative to {OUTPUT}, such as {OUTPUT_PATH}"
        )
    return text


@dataclass(frozen=True)
class Socket:
    """Image that the platform hands over: its slug, and its folder below /input."""

    slug: str
    path: str


def image_sockets(folder: Path) -> list[Socket]:
    """Return the sockets of images, without those of segmentations, that inputs.json lists.

    Raises:
        InputError: there is no such file, or it has another content.
    """
    path = folder / INPUTS
    try:
        entries = json.loads(path.read_bytes())
        described = [entry.get("socket") or entry["interface"] for entry in entries]
        return [
            Socket(str(socket["slug"]), str(socket["relative_path"]))
            for socket in described
            if socket.get("super_kind") == "Image" and socket.get("kind") != "Segmentation"
        ]
    except FileNotFoundError:
        found = "no such file"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        found = "other content"
    raise InputError(
        path,
        expected="the list of inputs that grand-challenge.org writes",
        found=found,
        remedy="Give the folder that has it with --input.",
    )


def image_file(folder: Path, socket: Socket) -> Path:
    """Return the image of a socket: a file, or a folder of DICOM.

    Raises:
        InputError: there is no image, or more than one.
    """
    place = folder / socket.path
    files = list(place.iterdir()) if place.is_dir() else []
    images = sorted(
        (path for path in files if suffix_of(path) in FORMATS),
        key=lambda path: natural_key(path.name),
    )
    if len(images) == 1:
        return images[0]
    if not images and files and is_dicom(place):
        return place
    raise InputError(
        place,
        expected=f"one image, {', '.join(FORMATS)} or DICOM",
        found=", ".join(path.name for path in images) or "none",
        remedy=f"Check the input {socket.slug} of the job.",
    )


def job(
    folder: Path, output: Path, channels: ModelChannels, sockets: Mapping[str, str] | None = None
) -> Job:
    """Return the job of a container: its images, and the label map that the platform reads.

    Args:
        folder: the folder with inputs.json.
        output: folder of the label map.
        channels: channels of the model.
        sockets: slug of the socket of each channel; None for one image and one channel.

    Raises:
        UsageError: it is not clear which image is which channel.
        InputError: an image is missing.
    """
    chosen = _chosen(image_sockets(folder), channels, sockets or {})
    images = tuple(image_file(folder, socket) for socket in chosen)
    suffix = TIFF if suffix_of(images[0]) in (".tif", ".tiff") else ".mha"
    scan = Scan("output", images, dicom=dicom_scan(images[0]))
    return Job(scan, output / f"output{suffix}")


def _chosen(
    found: Sequence[Socket], channels: ModelChannels, slugs: Mapping[str, str]
) -> list[Socket]:
    """Return the socket of each channel, in the order of the channels."""
    names = channels.names
    if not slugs and len(names) == len(found) == 1:
        return list(found)
    by_slug = {socket.slug: socket for socket in found}
    unknown = [name for name in slugs if name not in names]
    if set(slugs) != set(names) or not set(slugs.values()) <= set(by_slug):
        what = f"{unknown[0]} is no channel of the model" if unknown else "one word per channel"
        raise UsageError(
            f"--socket: {what}. Write CHANNEL=SLUG for {', '.join(names)}; the images of this job "
            f"are {', '.join(by_slug) or 'none'}"
        )
    return [by_slug[slugs[name]] for name in names]


def slugs_of(words: Sequence[str]) -> dict[str, str]:
    """Return the slug of each channel from words CHANNEL=SLUG.

    Raises:
        UsageError: a word without =.
    """
    pairs = [word.partition("=") for word in words]
    for word, (name, _, slug) in zip(words, pairs, strict=True):
        if not (name and slug):
            raise UsageError(f"--socket {word}: write CHANNEL=SLUG, such as CT=ct-image")
    return {name: slug for name, _, slug in pairs}
