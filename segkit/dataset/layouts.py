"""How a dataset lies on disk, read into a Dataset. No voxel is read here.

Medical Segmentation Decathlon    dataset.json with pairs under "training"
nnU-Net v2 raw                    imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz, names in dataset.json
two folders                       images/ and labels/ with files of equal names
CSV                               case,image[,image:CHANNEL ...],label[,patient,group,split]

In each of them a scan may be a folder or zip of DICOM, and a label map a DICOM-SEG.
A dataset.yaml beside them gives names to those that have no place for them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segkit.dataset.channel_files import case_twice
from segkit.dataset.csv_table import read_table
from segkit.dataset.dataset import Case, Dataset
from segkit.dataset.dataset_json import (
    background_notices,
    channel_notices,
    channels_of_json,
    check_ignore,
    checked_labels,
    labels_of_json,
    listed_cases,
    training_cases,
)
from segkit.dataset.dataset_yaml import FILES, find_yaml, read_names
from segkit.dataset.folders import nnunet_cases, two_folder_cases
from segkit.dataset.not_a_dataset import LAYOUTS, no_dataset
from segkit.dataset.paths import unreachable
from segkit.dataset.patient_names import one_patient_hints
from segkit.errors import InputError
from segkit.files.json_file import read_json
from segkit.io.dicom.files.detection import is_dicom
from segkit.labels.codes import SegmentCodes, segments_of_json
from segkit.labels.scheme import LabelScheme, own_values


@dataclass(frozen=True)
class _Found:
    """What a layout says, before the user's own names are applied. Empty names: the layout has none."""

    name: str
    root: Path
    cases: Sequence[Case]
    channels: tuple[str, ...] = ()
    scheme: LabelScheme = field(default_factory=lambda: LabelScheme({}))
    segments: Mapping[str, SegmentCodes] = field(default_factory=dict)
    notices: Sequence[str] = ()


def read_dataset(
    path: str | Path,
    channels: Sequence[str] | None = None,
    labels: Mapping[str, int] | None = None,
    *,
    regions: Mapping[str, Sequence[int]] | None = None,
    ignore: int | None = None,
) -> Dataset:
    """Read the dataset in a folder, a dataset.json or a CSV file.

    ``channels`` and ``labels`` (name -> value) replace the names of the layout; with ``labels`` the other values of
    the files count as background. Where neither has names, channels and labels stay empty until
    ``segkit.dataset.names_from_files.named`` has looked into the files. ``regions`` (name -> values, large ones
    first) replace the labels likewise, and voxels with the value ``ignore`` count as not annotated.

    Raises:
        InputError: no dataset, a damaged or incomplete description, or files that are missing.
    """
    found = _with_yaml(_find(Path(path)))
    _check_cases(found)
    names = tuple(channels) if channels else found.channels
    _check_channels(found, names)
    ignore = found.scheme.ignore if ignore is None else ignore
    scheme = _scheme(path, found.scheme, labels, regions, ignore)
    name = re.sub(r"[^\w.-]+", "_", found.name).strip("._") or "dataset"
    return Dataset(
        name,
        found.root,
        names,
        scheme.labels,
        tuple(found.cases),
        subset=bool(labels or regions),
        regions=scheme.regions,
        ignore=ignore,
        segments={
            label: codes for label, codes in found.segments.items() if label in scheme.labels
        },
        notices=(*found.notices, *one_patient_hints(found.cases)),
    )


def _with_yaml(found: _Found) -> _Found:
    """Return what is found with the names of a dataset.yaml beside it, which must not contradict the layout's own."""
    path = find_yaml(found.root)
    if path is None:
        return found
    given = read_names(path)
    ours, theirs = found.scheme, given.scheme
    for key, mine, its in (
        ("channels", found.channels, given.channels),
        ("labels", ours.labels and ours, theirs.labels and theirs),
        ("ignore", ours.ignore, theirs.ignore),
    ):
        if mine and its and mine != its:
            raise InputError(
                path,
                expected=f"no {key}, or what the dataset says itself",
                found=f"other {key} than in its dataset.json or its columns",
                remedy=f"Remove {key} from one of the two.",
            )
    scheme = (
        theirs
        if theirs.labels
        else replace(ours, ignore=ours.ignore if theirs.ignore is None else theirs.ignore)
    )
    return replace(found, channels=given.channels or found.channels, scheme=scheme)


def _scheme(
    path: str | Path,
    found: LabelScheme,
    labels: Mapping[str, int] | None,
    regions: Mapping[str, Sequence[int]] | None,
    ignore: int | None,
) -> LabelScheme:
    """The user's labels or regions, else those that the layout names, where ``ignore`` is no label."""
    if regions:
        scheme = LabelScheme(
            own_values(regions), {name: tuple(values) for name, values in regions.items()}
        )
    elif labels:
        scheme = LabelScheme(checked_labels(path, labels))
    else:
        scheme = LabelScheme(
            {n: value for n, value in found.labels.items() if value != ignore}, found.regions
        )
    check_ignore(path, scheme, ignore)
    return scheme


def _find(path: Path) -> _Found:
    if path.is_file() and path.suffix.lower() == ".csv":
        return _csv(path)
    folder = path.parent if path.is_file() and path.name in ("dataset.json", *FILES) else path
    if not folder.is_dir():
        found = "another file" if path.exists() else "no such file or folder"
        raise InputError(path, expected=LAYOUTS, found=found, remedy="Check the path.")
    if (folder / "dataset.json").is_file():
        return _of_json(folder, read_json(folder / "dataset.json"))
    if (folder / "imagesTr").is_dir():
        return _nnunet(folder, {})
    if (folder / "images").is_dir() and (folder / "labels").is_dir():
        return _two_folders(folder)
    raise no_dataset(folder)


# -- dataset.json ---------------------------------------------------------------------------------------------------


def _of_json(folder: Path, content: dict[str, Any]) -> _Found:
    if "training" in content:
        return _named(folder, content, *training_cases(folder, content["training"]))
    if "dataset" in content:
        return _named(folder, content, listed_cases(folder, content["dataset"]))
    return _nnunet(folder, content)


def _named(
    folder: Path, content: dict[str, Any], cases: Sequence[Case], notices: Sequence[str] = ()
) -> _Found:
    """The names in a dataset.json, in either notation of channels and labels."""
    where = folder / "dataset.json"
    name = content.get("name")
    scheme = labels_of_json(where, content.get("labels", {}), content.get("regions_class_order"))
    return _Found(
        name if isinstance(name, str) and name else folder.resolve().name,
        folder,
        cases,
        _channel_names(folder, content),
        scheme,
        segments_of_json(
            f"{where}, segmentAttributes", content.get("segmentAttributes", {}), scheme.labels
        ),
        [
            *notices,
            *_other_number(content.get("numTraining"), len(cases)),
            *background_notices(content.get("labels")),
            *channel_notices(content),
        ],
    )


def _other_number(promised: Any, count: int) -> list[str]:
    """Return a notice where the numTraining of a dataset.json is not the number of cases."""
    text = str(promised)
    if not text.isdecimal() or text.lstrip("0") == str(count):
        return []
    return [f"dataset.json promises {text[:20]} cases (numTraining), found {count}"]


def _channel_names(folder: Path, content: dict[str, Any]) -> tuple[str, ...]:
    return channels_of_json(
        folder / "dataset.json", content.get("channel_names", content.get("modality", {}))
    )


# -- nnU-Net v2 raw -------------------------------------------------------------------------------------------------


def _nnunet(folder: Path, content: dict[str, Any]) -> _Found:
    ending = content.get("file_ending", "")
    if not isinstance(ending, str):
        raise InputError(
            folder / "dataset.json",
            expected='a suffix such as ".nii.gz" under file_ending',
            found=repr(ending),
            remedy="Correct it, or leave it out.",
        )
    return _named(folder, content, *nnunet_cases(folder, _channel_names(folder, content), ending))


# -- two folders ----------------------------------------------------------------------------------------------------


def _two_folders(folder: Path) -> _Found:
    cases, notices = two_folder_cases(folder)
    return _Found(folder.resolve().name, folder, cases, notices=notices)


# -- CSV ------------------------------------------------------------------------------------------------------------


def _csv(path: Path) -> _Found:
    cases, channels = read_table(path)
    name = path.resolve().parent.name if path.stem in ("cases", "dataset") else path.stem
    return _Found(name, path.parent, cases, channels)


# -- what every layout must hold ------------------------------------------------------------------------------------


def _check_cases(found: _Found) -> None:
    if not found.cases:
        left_out = f": {found.notices[0].removesuffix('.')}" if found.notices else ""
        raise InputError(
            found.root,
            expected="cases",
            found=f"none{left_out}",
            remedy="Add scans with their label maps.",
        )
    twice = [name for name, count in Counter(case.id for case in found.cases).items() if count > 1]
    if twice:
        raise case_twice(found.root, twice[0])
    paths = [path for case in found.cases for path in (*case.images, case.label) if path]
    error = unreachable(
        found.root, [path for path in paths if not (path.is_dir() and is_dicom(path))]
    )
    if error:
        raise error


def _check_channels(found: _Found, names: Sequence[str]) -> None:
    """One file per case may hold several channels; several files are one channel each."""
    counts = {len(case.images): case for case in found.cases}
    if len(counts) > 1:
        text = " and ".join(f"{count} in {counts[count].id}" for count in sorted(counts))
        lacking = names[min(counts) : max(counts)]
        text += f", without {', '.join(lacking)} in {counts[min(counts)].id}" if lacking else ""
        raise InputError(
            found.root,
            expected="as many channels in every case",
            found=text,
            remedy="Add or remove channels.",
        )
    files = next(iter(counts))
    expected = files if files > 1 else len(found.channels)
    if expected and names and len(names) != expected:
        raise InputError(
            found.root,
            expected=f"{expected} channel names",
            found=f"{len(names)}: {', '.join(names)}",
            remedy="Correct dataset.channels, or the channel names in dataset.json.",
        )
