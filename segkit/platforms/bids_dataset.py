"""BIDS datasets: the images of a model's channels, and derivatives with label maps.

Source: the BIDS specification 1.11, "Derivatives: imaging data types" (dseg, its table and its
sidecar file) and "dataset_description.json".
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.errors import InputError, UsageError, first_few
from segkit.files.names import NIFTI, natural_key, suffix_of
from segkit.inference.files.channels import ModelChannels
from segkit.inference.files.scan import Scan

VERSION = "1.11.1"
"""Version of the BIDS specification that the derivatives follow."""
log = logging.getLogger(__name__)

DESCRIPTION = "dataset_description.json"
SUFFIXES = {
    **dict.fromkeys(("t1", "t1w", "t1n"), "T1w"),
    **dict.fromkeys(("t2", "t2w"), "T2w"),
    **dict.fromkeys(("flair", "t2f"), "FLAIR"),
    **dict.fromkeys(("pd", "pdw"), "PDw"),
    "t2star": "T2starw",
    "swi": "swi",
    "mra": "angio",
    "ct": "CT",
}
"""BIDS suffix of the images of a channel, by its name in lower case."""


@dataclass(frozen=True)
class Kind:
    """Images of a channel: their suffix, and entities that their names have."""

    suffix: str
    entities: frozenset[str] = frozenset()

    @classmethod
    def of(cls, text: str) -> Kind:
        """Return the kind that a user writes, such as ``T1w`` or ``ce-gadolinium_T1w``."""
        *entities, suffix = text.split("_")
        return cls(suffix, frozenset(entities))

    def matches(self, image: Image) -> bool:
        """Return whether an image is of this kind."""
        return image.suffix == self.suffix and self.entities <= set(image.entities)


@dataclass(frozen=True)
class Image:
    """Image of a dataset, by the parts of its name."""

    path: Path
    entities: tuple[str, ...]
    suffix: str

    @classmethod
    def of(cls, path: Path) -> Image:
        """Return the image of a path such as ``sub-01_run-1_T1w.nii.gz``."""
        *entities, suffix = path.name[: -len(suffix_of(path))].split("_")
        return cls(path, tuple(entities), suffix)


def kinds_of(channels: ModelChannels, given: Mapping[str, str]) -> list[Kind]:
    """Return the kind of image of every channel: as a user says, else by the channel's name.

    Raises:
        UsageError: a name that is no channel, or a channel whose images are not known.
    """
    for name in given:
        if name not in channels.names:
            raise UsageError(
                f"--suffix {name}: the model has no channel {name}; "
                f"it has: {', '.join(channels.names)}"
            )
    texts = [given.get(name) or SUFFIXES.get(name.lower()) for name in channels.names]
    for name, text in zip(channels.names, texts, strict=True):
        if text is None:
            raise UsageError(
                f"which images are the channel {name}? Write --suffix {name}=SUFFIX, such as "
                f"{name}=T1w or {name}=ce-gadolinium_T1w"
            )
    return [Kind.of(text) for text in texts if text]


def scans(
    dataset: Path,
    channels: ModelChannels,
    kinds: Sequence[Kind],
    participants: Sequence[str] = (),
    sessions: Sequence[str] = (),
) -> list[Scan]:
    """Return the scans in the folders ``anat`` of a dataset.

    Args:
        dataset: folder of the dataset.
        channels: channels of the model.
        kinds: kind of image of each channel.
        participants: labels of the participants, with or without ``sub-``; none means all.
        sessions: labels of the sessions, with or without ``ses-``; none means all.

    Raises:
        InputError: not a BIDS dataset, no such participant, or no image.
    """
    _check(dataset)
    found: list[Scan] = []
    without = []
    chosen = _participants(dataset, participants)
    _check_sessions(dataset, chosen, sessions)
    for participant in chosen:
        folders = _anat_folders(participant, sessions)
        own = [scan for folder in folders for scan in _scans_of_folder(folder, channels, kinds)]
        found += own
        without += [] if own else [participant.name]
    wanted = f"images anat/*_{' or '.join(sorted({kind.suffix for kind in kinds}))}.nii.gz"
    if not found:
        raise InputError(
            dataset,
            expected=wanted,
            found="none",
            remedy="Choose the images of a channel with --suffix CHANNEL=SUFFIX.",
        )
    if without:
        log.warning("left out, without %s: %s", wanted, first_few(without))
    return found


def _check(dataset: Path) -> None:
    if not (dataset / DESCRIPTION).is_file():
        raise InputError(
            dataset,
            expected=f"a BIDS dataset, with {DESCRIPTION}",
            found="no such file in it" if dataset.is_dir() else "no such folder",
            remedy="Give the folder of the dataset.",
        )


def _anat_folders(participant: Path, sessions: Sequence[str]) -> Iterator[Path]:
    """Yield the folder ``anat`` of a participant, and those of all or some sessions."""
    wanted = {f"ses-{label.removeprefix('ses-')}" for label in sessions}
    for place in (participant, *_folders(participant, "ses-")):
        if (not wanted or place.name in wanted) and (place / "anat").is_dir():
            yield place / "anat"


def _check_sessions(dataset: Path, participants: Sequence[Path], labels: Sequence[str]) -> None:
    """Check that each session is one of some participant.

    Raises:
        InputError: it is not.
    """
    known = {path.name: None for folder in participants for path in _folders(folder, "ses-")}
    for label in labels:
        name = f"ses-{label.removeprefix('ses-')}"
        if name not in known:
            raise InputError(
                dataset,
                expected=f"the folder {name} of a participant",
                found=first_few(known) or "no folder ses-LABEL",
                remedy="Correct the label of the session.",
            )


def _participants(dataset: Path, labels: Sequence[str]) -> list[Path]:
    """Return the folders of the participants, or of those with these labels.

    Raises:
        InputError: there is no folder of a label.
    """
    paths = _folders(dataset, "sub-")
    names = [f"sub-{label.removeprefix('sub-')}" for label in labels]
    unknown = [name for name in names if not (dataset / name).is_dir()]
    if unknown:
        raise InputError(
            dataset,
            expected=f"the folder {unknown[0]}",
            found=first_few([path.name for path in paths]) or "no folder sub-LABEL",
            remedy="Correct the label of the participant.",
        )
    return [path for path in paths if not names or path.name in names]


def _folders(folder: Path, start: str) -> list[Path]:
    """Return the folders inside ``folder`` whose names begin with ``start``, in natural order."""
    paths = [path for path in folder.glob(f"{start}*") if path.is_dir()]
    return sorted(paths, key=lambda path: natural_key(path.name))


def _scans_of_folder(
    folder: Path, channels: ModelChannels, kinds: Sequence[Kind]
) -> Iterator[Scan]:
    """Yield the scans of a folder ``anat``.

    They are images whose names differ in the channel only; if no channel has more than one image,
    they are one scan, whatever entities they have.
    """
    paths = (path for path in folder.iterdir() if suffix_of(path) in NIFTI)
    images = sorted(map(Image.of, paths), key=lambda image: natural_key(image.path.name))
    groups: dict[tuple[str, ...], dict[int, list[Image]]] = defaultdict(lambda: defaultdict(list))
    whole: dict[int, list[Image]] = defaultdict(list)
    for image in images:
        index = _channel(image, kinds)
        if index is not None:
            key = tuple(part for part in image.entities if part not in kinds[index].entities)
            groups[key][index].append(image)
            whole[index].append(image)
    if whole and all(len(found) == 1 for found in whole.values()):
        groups = {_shared(groups): whole}
    for key, by_channel in groups.items():
        yield _scan(folder, "_".join(key), channels, by_channel)


def _shared(keys: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the entities that all keys have, in the order of the first one."""
    first, *others = keys
    return tuple(part for part in first if all(part in other for other in others))


def _channel(image: Image, kinds: Sequence[Kind]) -> int | None:
    """Return the channel of an image: the one whose kind asks for the most entities."""
    indices = [index for index, kind in enumerate(kinds) if kind.matches(image)]
    return max(indices, key=lambda index: len(kinds[index].entities), default=None)


def _scan(
    folder: Path, name: str, channels: ModelChannels, by_channel: Mapping[int, Sequence[Image]]
) -> Scan:
    """Return the scan of some images; it has a problem if one is missing, or there are two."""
    given = sorted(by_channel)
    missing = [text for index, text in enumerate(channels.names) if index not in given]
    double = next((images for images in by_channel.values() if len(images) > 1), None)
    found = ""
    if double:
        found = " and ".join(image.path.name for image in double)
    elif missing and channels.fills is None:
        found = f"none of {', '.join(missing)}"
    problem = None
    if found:
        problem = InputError(
            folder,
            expected=f"one image of each channel ({', '.join(channels.names)}) named {name}_SUFFIX",
            found=found,
            remedy="Rename the images so that only their suffixes differ, or see --suffix.",
        )
    images = tuple(by_channel[index][0].path for index in given)
    return Scan(name, images, missing=channels.missing(given), problem=problem)
