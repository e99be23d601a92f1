"""Read a dataset from any of its layouts into a Dataset. No voxel is read here.

Medical Segmentation Decathlon    dataset.json with pairs under "training"
nnU-Net v2 raw                    imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz, dataset.json
two folders                       images/ and labels/ with files of equal names
CSV                               case,image[,image:CHANNEL ...],label[,patient,group,split]

In each of them a scan may be a DICOM folder or zip, and a label map a DICOM-SEG. A dataset.yaml
in the same folder names channels and labels where the layout cannot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segkit.dataset.case_list import check_channels, check_files, check_ids
from segkit.dataset.cases import listed_cases, nnunet_cases, training_cases, two_folder_cases
from segkit.dataset.csv_table import read_table
from segkit.dataset.dataset import Case, Dataset, IncompleteCase
from segkit.dataset.dataset_json import (
    channels_of_json,
    check_ignore,
    checked_labels,
    labels_of_json,
    license_of_json,
    notices_of_json,
)
from segkit.dataset.dataset_yaml import FILES, find_yaml, read_names
from segkit.dataset.incomplete_cases import complete_cases, in_natural_order, mentioned
from segkit.dataset.not_a_dataset import LAYOUTS, no_dataset
from segkit.dataset.patient_names import one_patient_hints
from segkit.errors import InputError
from segkit.files.json_file import read_json
from segkit.labels.codes import SegmentCodes, segments_of_json
from segkit.labels.scheme import LabelScheme, own_values


@dataclass(frozen=True)
class _Description:
    """A dataset as its layout describes it; names are empty if the layout has none."""

    name: str
    root: Path
    cases: Sequence[Case]
    channels: tuple[str, ...] = ()
    scheme: LabelScheme = field(default_factory=lambda: LabelScheme({}))
    segments: Mapping[str, SegmentCodes] = field(default_factory=dict)
    notices: Sequence[str] = ()
    license: str = ""


def read_dataset(
    path: str | Path,
    channels: Sequence[str] | None = None,
    labels: Mapping[str, int] | None = None,
    *,
    regions: Mapping[str, Sequence[int]] | None = None,
    ignore: int | None = None,
    strict: bool = True,
) -> Dataset:
    """Read the description of a dataset: its cases and the names of channels and labels.

    If neither the layout nor the caller names channels or labels, they stay empty;
    ``segkit.dataset.names_from_files.with_names`` then takes them from the files.

    Args:
        path: the dataset's folder, its dataset.json or dataset.yaml, or a CSV file.
        channels: names of the channels; by default those of the layout.
        labels: name -> value in the label files; by default the labels of the layout. If given, all
            other values count as background.
        regions: name -> values in the label files that make up the region, large regions first;
            given instead of ``labels``.
        ignore: value of voxels that were not annotated; by default that of the layout.
        strict: refuse cases that lack a file, and a column split that puts a patient into several
            folds. Otherwise such cases are left out, and listed under ``incomplete``; the column is
            read as it is.

    Returns:
        The dataset. No voxel has been read, but every file is known to exist.

    Raises:
        InputError: there is no dataset, or its description or files are incomplete or damaged.

    >>> import tempfile, segkit.dataset.phantom
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dataset = read_dataset(segkit.dataset.phantom.write_phantom(folder, cases=1))
    >>> dataset.channels, dataset.labels["liver"], [case.id for case in dataset.cases]
    (('MRI',), 1, ['phantom_A_001'])
    """
    incomplete: list[IncompleteCase] | None = None if strict else []
    description = _with_yaml(_describe(Path(path), incomplete))
    root, cases = description.root, description.cases
    check_ids(root, [case.id for case in (*cases, *(incomplete or ()))])
    if incomplete is not None:
        complete, lacking = complete_cases(cases, description.channels)
        if complete:
            cases, incomplete = complete, in_natural_order([*incomplete, *lacking])
    names = tuple(channels) if channels else description.channels
    with mentioned(incomplete or ()):
        check_files(root, cases, description.notices)
        check_channels(root, cases, names, described=description.channels)
    ignore = description.scheme.ignore if ignore is None else ignore
    scheme = _scheme(path, description.scheme, labels, regions, ignore)
    segments = {
        label: codes for label, codes in description.segments.items() if label in scheme.labels
    }
    return Dataset(
        name=re.sub(r"[^\w.-]+", "_", description.name).strip("._") or "dataset",
        root=root,
        channels=names,
        labels=scheme.labels,
        cases=tuple(cases),
        subset=bool(labels or regions),
        regions=scheme.regions,
        ignore=ignore,
        segments=segments,
        notices=(*description.notices, *one_patient_hints(cases)),
        license=description.license,
        incomplete=tuple(incomplete or ()),
    )


def _describe(path: Path, incomplete: list[IncompleteCase] | None) -> _Description:
    """Return the description in the first layout that fits.

    Args:
        path: folder or file of the dataset.
        incomplete: list to which cases are appended that lack a file; None if that is an error.
    """
    if path.is_file() and path.suffix.lower() == ".csv":
        return _from_csv(path, strict_split=incomplete is None)
    folder = path.parent if path.is_file() and path.name in ("dataset.json", *FILES) else path
    if not folder.is_dir():
        found = "another file" if path.exists() else "no such file or folder"
        raise InputError(path, expected=LAYOUTS, found=found, remedy="Check the path.")
    if (folder / "dataset.json").is_file():
        return _from_json(folder, read_json(folder / "dataset.json"), incomplete)
    if (folder / "imagesTr").is_dir():
        return _from_nnunet(folder, {}, incomplete)
    if (folder / "images").is_dir() and (folder / "labels").is_dir():
        return _from_two_folders(folder, incomplete)
    raise no_dataset(folder)


# -- names from dataset.yaml and from the user -----------------------------------------------------


def _with_yaml(description: _Description) -> _Description:
    """Return the description with the names of a dataset.yaml, which must not contradict it."""
    path = find_yaml(description.root)
    if path is None:
        return description
    names = read_names(path)
    layout, given = description.scheme, names.scheme
    contradictions = {
        "channels": _differ(description.channels, names.channels),
        "labels": bool(layout.labels and given.labels) and layout != given,
        "ignore": _differ(layout.ignore, given.ignore),
    }
    for key, contradiction in contradictions.items():
        if contradiction:
            raise InputError(
                path,
                expected=f"no {key}, or the same {key} as in the dataset",
                found=f"different {key} from its dataset.json or its columns",
                remedy=f"Remove {key} from one of the two.",
            )
    scheme = given
    if not given.labels:
        ignore = layout.ignore if given.ignore is None else given.ignore
        scheme = replace(layout, ignore=ignore)
    return replace(description, channels=names.channels or description.channels, scheme=scheme)


def _differ(first: object, second: object) -> bool:
    """Return whether both are given and different."""
    return bool(first and second) and first != second


def _scheme(
    path: str | Path,
    layout: LabelScheme,
    labels: Mapping[str, int] | None,
    regions: Mapping[str, Sequence[int]] | None,
    ignore: int | None,
) -> LabelScheme:
    """Return the regions or labels given by the user, else those of the layout, without ignore."""
    if regions:
        values = {name: tuple(numbers) for name, numbers in regions.items()}
        scheme = LabelScheme(own_values(regions), values)
    elif labels:
        scheme = LabelScheme(checked_labels(path, labels))
    else:
        kept = {name: value for name, value in layout.labels.items() if value != ignore}
        scheme = LabelScheme(kept, layout.regions)
    check_ignore(path, scheme, ignore)
    return scheme


# -- one function for each layout ------------------------------------------------------------------


def _from_json(
    folder: Path, content: dict[str, Any], incomplete: list[IncompleteCase] | None
) -> _Description:
    if "training" in content:
        cases, notices = training_cases(folder, content["training"], incomplete=incomplete)
        return _with_json_names(folder, content, cases, notices, incomplete)
    if "dataset" in content:
        cases = listed_cases(folder, content["dataset"])
        return _with_json_names(folder, content, cases, [], incomplete)
    return _from_nnunet(folder, content, incomplete)


def _from_nnunet(
    folder: Path, content: dict[str, Any], incomplete: list[IncompleteCase] | None
) -> _Description:
    ending = content.get("file_ending", "")
    if not isinstance(ending, str):
        raise InputError(
            folder / "dataset.json",
            expected='a suffix such as ".nii.gz" under file_ending',
            found=repr(ending),
            remedy="Correct it, or leave it out.",
        )
    channels = _channel_names(folder, content)
    cases, notices = nnunet_cases(folder, channels, ending, incomplete=incomplete)
    return _with_json_names(folder, content, cases, notices, incomplete)


def _from_two_folders(folder: Path, incomplete: list[IncompleteCase] | None) -> _Description:
    cases, notices = two_folder_cases(folder, incomplete=incomplete)
    return _Description(folder.resolve().name, folder, cases, notices=notices)


def _from_csv(path: Path, *, strict_split: bool) -> _Description:
    cases, channels = read_table(path, strict_split=strict_split)
    name = path.resolve().parent.name if path.stem in ("cases", "dataset") else path.stem
    return _Description(name, path.parent, cases, channels)


def _with_json_names(
    folder: Path,
    content: dict[str, Any],
    cases: Sequence[Case],
    notices: Sequence[str],
    incomplete: list[IncompleteCase] | None,
) -> _Description:
    """Return the description of ``cases`` with the names in the ``content`` of a dataset.json."""
    where = folder / "dataset.json"
    name = content.get("name")
    scheme = labels_of_json(where, content.get("labels", {}), content.get("regions_class_order"))
    channels = _channel_names(folder, content)
    segments = segments_of_json(
        f"{where}, segmentAttributes", content.get("segmentAttributes", {}), scheme.labels
    )
    return _Description(
        name=name if isinstance(name, str) and name else folder.resolve().name,
        root=folder,
        cases=cases,
        channels=channels,
        scheme=scheme,
        segments=segments,
        notices=[*notices, *notices_of_json(content, len(cases), incomplete=bool(incomplete))],
        license=license_of_json(content),
    )


def _channel_names(folder: Path, content: dict[str, Any]) -> tuple[str, ...]:
    channels = content.get("channel_names", content.get("modality", {}))
    return channels_of_json(folder / "dataset.json", channels)
