"""How a dataset lies on disk, read into a Dataset. No voxel is read here.

Medical Segmentation Decathlon    dataset.json with pairs under "training"
nnU-Net v2 raw                    imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz, names in dataset.json
two folders                       images/ and labels/ with files of equal names
CSV                               case,image[,image:CHANNEL ...],label[,patient,group,split]
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segkit.channel_files import case_twice, group_channels
from segkit.dataset import Case, Dataset
from segkit.dataset_csv import read_table
from segkit.dataset_json import channels_of_json, check_ignore, checked_labels, labels_of_json, read_json
from segkit.errors import InputError
from segkit.file_names import READABLE, case_id, listed, natural_key, readable_files
from segkit.regions import LabelScheme, own_values
from segkit.segment_codes import SegmentCodes, segments_of_json

_LAYOUTS = (
    "dataset.json (Medical Segmentation Decathlon), imagesTr and labelsTr (nnU-Net), images and labels, or a CSV file"
)


@dataclass(frozen=True)
class _Found:
    """What a layout says, before the user's own names are applied. Empty names: the layout has none."""

    name: str
    root: Path
    cases: Sequence[Case]
    channels: tuple[str, ...] = ()
    scheme: LabelScheme = field(default_factory=lambda: LabelScheme({}))
    segments: Mapping[str, SegmentCodes] = field(default_factory=dict)


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
    ``segkit.io.named.named`` has looked into the files. ``regions`` (name -> values, large ones first) replace the
    labels likewise, and voxels with the value ``ignore`` count as not annotated.

    Raises:
        InputError: no dataset, a damaged or incomplete description, or files that are missing.
    """
    found = _find(Path(path))
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
        segments={label: codes for label, codes in found.segments.items() if label in scheme.labels},
    )


def _scheme(
    path: str | Path,
    found: LabelScheme,
    labels: Mapping[str, int] | None,
    regions: Mapping[str, Sequence[int]] | None,
    ignore: int | None,
) -> LabelScheme:
    """The user's labels or regions, else those that the layout names, where ``ignore`` is no label."""
    if regions:
        scheme = LabelScheme(own_values(regions), {name: tuple(values) for name, values in regions.items()})
    elif labels:
        scheme = LabelScheme(checked_labels(path, labels))
    else:
        scheme = LabelScheme({n: value for n, value in found.labels.items() if value != ignore}, found.regions)
    check_ignore(path, scheme, ignore)
    return scheme


def _find(path: Path) -> _Found:
    if path.is_file() and path.suffix.lower() == ".csv":
        return _csv(path)
    folder = path.parent if path.is_file() and path.name == "dataset.json" else path
    if not folder.is_dir():
        found = "another file" if path.exists() else "no such file or folder"
        raise InputError(path, expected=_LAYOUTS, found=found, remedy="Check the path.")
    if (folder / "dataset.json").is_file():
        content = read_json(folder / "dataset.json")
        return _decathlon(folder, content) if "training" in content else _nnunet(folder, content)
    if (folder / "imagesTr").is_dir():
        return _nnunet(folder, {})
    if (folder / "images").is_dir() and (folder / "labels").is_dir():
        return _two_folders(folder)
    raise InputError(
        path, expected=_LAYOUTS, found="none of them in this folder", remedy="Arrange the files in one of these ways."
    )


# -- Medical Segmentation Decathlon ---------------------------------------------------------------------------------


def _decathlon(folder: Path, content: dict[str, Any]) -> _Found:
    pairs = content["training"]
    where = folder / "dataset.json"
    if not isinstance(pairs, list) or not all(_is_pair(pair) for pair in pairs):
        raise InputError(
            where,
            expected="a list of pairs {image, label} under 'training'",
            found="other entries",
            remedy='Write each as {"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}.',
        )
    cases = [Case(case_id(pair["image"]), (folder / pair["image"],), folder / pair["label"]) for pair in pairs]
    return _named(folder, content, cases)


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, dict) and all(isinstance(entry.get(key), str) for key in ("image", "label"))


def _named(folder: Path, content: dict[str, Any], cases: Sequence[Case]) -> _Found:
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
        segments_of_json(f"{where}, segmentAttributes", content.get("segmentAttributes", {}), scheme.labels),
    )


def _channel_names(folder: Path, content: dict[str, Any]) -> tuple[str, ...]:
    return channels_of_json(folder / "dataset.json", content.get("channel_names", content.get("modality", {})))


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
    files = [path for path in _files(folder / "imagesTr") if path.name.endswith(ending)]
    scans = group_channels(files, _channel_names(folder, content))
    labels = {case_id(path): path for path in _files(folder / "labelsTr") if path.name.endswith(ending)}
    _check_pairs(folder / "labelsTr", scans, labels)
    return _named(folder, content, [Case(name, images, labels[name]) for name, images in scans.items()])


# -- two folders ----------------------------------------------------------------------------------------------------


def _two_folders(folder: Path) -> _Found:
    images, labels = _by_id(folder / "images"), _by_id(folder / "labels")
    _check_pairs(folder / "labels", images, labels)
    cases = [Case(name, (image,), labels[name]) for name, image in images.items()]
    return _Found(folder.resolve().name, folder, cases)


def _by_id(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in _files(folder):
        if case_id(path) in found:
            raise case_twice(folder, case_id(path))
        found[case_id(path)] = path
    return found


def _files(folder: Path) -> list[Path]:
    found = readable_files(folder) if folder.is_dir() else []
    if not found:
        reason = f"no file with one of the suffixes {listed(READABLE)}" if folder.is_dir() else "no such folder"
        raise InputError(folder, expected="images or label maps", found=reason, remedy="Add or convert the files.")
    return found


def _check_pairs(where: Path, images: Mapping[str, object], labels: Mapping[str, object]) -> None:
    """Every image needs its label map, and no label map may be left over."""
    for lonely, kind, partner in (
        (sorted(images.keys() - labels.keys(), key=natural_key), "scan", "label map"),
        (sorted(labels.keys() - images.keys(), key=natural_key), "label map", "scan"),
    ):
        if lonely:
            raise InputError(
                where,
                expected=f"a {partner} of the same name for each {kind}",
                found=f"none for {_some(lonely)}",
                remedy=f"Add it, or move the {kind} elsewhere.",
            )


# -- CSV ------------------------------------------------------------------------------------------------------------


def _csv(path: Path) -> _Found:
    cases, channels = read_table(path)
    name = path.resolve().parent.name if path.stem in ("cases", "dataset") else path.stem
    return _Found(name, path.parent, cases, channels)


# -- what every layout must hold ------------------------------------------------------------------------------------


def _check_cases(found: _Found) -> None:
    if not found.cases:
        raise InputError(found.root, expected="cases", found="none", remedy="Add scans with their label maps.")
    twice = [name for name, count in Counter(case.id for case in found.cases).items() if count > 1]
    if twice:
        raise case_twice(found.root, twice[0])
    files = [path for case in found.cases for path in (*case.images, case.label) if path is not None]
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise InputError(
            found.root,
            expected="every image and label map that the dataset names",
            found=f"{len(missing)} missing: {_some(missing)}",
            remedy="Add the files or correct their paths, which count from the dataset's own folder.",
        )


def _check_channels(found: _Found, names: Sequence[str]) -> None:
    """One file per case may hold several channels; several files are one channel each."""
    counts = {len(case.images): case for case in found.cases}
    if len(counts) > 1:
        text = " and ".join(f"{count} in {counts[count].id}" for count in sorted(counts))
        lacking = names[min(counts) : max(counts)]
        text += f", without {', '.join(lacking)} in {counts[min(counts)].id}" if lacking else ""
        raise InputError(
            found.root, expected="as many channels in every case", found=text, remedy="Add or remove channels."
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


def _some(names: Sequence[str], most: int = 3) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
