"""Names of the labels to compare, from a dataset, a dataset.json, label files or run records.

Run records are the JSON files that `segkit predict --stats` writes next to label maps.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from segkit.dataset.dataset import Dataset
from segkit.dataset.dataset_yaml import find_yaml, read_names
from segkit.dataset.layouts import read_dataset
from segkit.dataset.names_from_files import check_same_values, common_names, with_names
from segkit.errors import InputError
from segkit.evaluation.measure import Structure, values_of
from segkit.evaluation.run_records import read_record
from segkit.files.names import DICOM, suffix_of
from segkit.io.segment_names import names_in
from segkit.labels.scheme import LabelScheme

log = logging.getLogger(__name__)

# -- names of a dataset ----------------------------------------------------------------------------


def named_dataset(
    references: Path, labels: Mapping[str, Structure] | None, ignore: int | None
) -> tuple[Dataset, bool]:
    """Return the dataset of the references with named labels, and whether all names are made up.

    They are if neither the user nor the layout nor a label file names a value.

    Args:
        references: the dataset.
        labels: name -> value, or values of a region, that replace the labels of the dataset.
        ignore: ignore value that replaces that of the dataset.

    Raises:
        InputError: as for `read_dataset` and `with_names`.
    """
    plain = {name: value for name, value in (labels or {}).items() if isinstance(value, int)}
    dataset = read_dataset(references, labels=plain, ignore=ignore)
    if labels and not plain:
        return dataset, False
    named = with_names(dataset, skip_unreadable=bool(labels))
    is_named = labels or dataset.labels or dataset.regions or named.value_names
    return named, not is_named


def structures_of(dataset: Dataset | LabelScheme) -> dict[str, Structure]:
    """Return the regions of a dataset or scheme if it has any, else its labels."""
    return {**dataset.regions} if dataset.regions else {**dataset.labels}


def scheme_beside(references: Path) -> LabelScheme:
    """Return the labels in the dataset.yaml or dataset.json in the parent folder of the label maps.

    This is where it is for labelsTr and labelsTs. Without such a file, the scheme is empty.
    """
    folder = references if references.is_dir() else references.parent
    above = folder.resolve().parent
    description = find_yaml(above)
    if description:
        return read_names(description).scheme
    if not (above / "dataset.json").is_file():
        return LabelScheme({})
    try:
        dataset = read_dataset(above)
    except InputError as error:
        # The names are optional: the label maps can be compared without them.
        log.info("labels are named after their values: %s", error)
        return LabelScheme({})
    return LabelScheme(dataset.labels, dataset.regions, dataset.ignore)


# -- names inside label files ----------------------------------------------------------------------


def names_in_references(
    references: Path, files: Sequence[tuple[Path, Path]]
) -> dict[str, Structure]:
    """Return the label names in reference files, with the values to use for the comparison.

    These are the values in the run records of the predictions, if there are any.

    Args:
        references: the folder of the references, for messages.
        files: prediction and reference of each case.

    Raises:
        InputError: names contradict each other, or have different values in two files while other
            files have no names.
    """
    names = {reference: names_in(reference) for _, reference in files}
    if not any(names.values()):
        _check_predicted_values([prediction for prediction, _ in files])
        return {}
    common = common_names(references, names)
    records = names_in_records(prediction for prediction, _ in files)
    predicted = {name: value for name, value in records.items() if isinstance(value, int)}
    if predicted:
        free = max([*predicted.values(), *common.values()]) + 1
        others = [name for name in common if name not in (*predicted, "background")]
        return {**predicted, **{name: free + number for number, name in enumerate(others)}}
    unnamed_files = [path for pair in files for path in pair if not names_in(path)]
    if unnamed_files:
        or_else = ", or give the labels of the predictions with --labels NAME=VALUE,..."
        check_same_values(references, names, common, or_else=or_else)
    return {name: value for name, value in common.items() if name != "background"}


def _check_predicted_values(predictions: Sequence[Path]) -> None:
    """Check that all predictions give a name the same value; the references have no names."""
    files = {prediction: names_in(prediction) for prediction in predictions}
    first: dict[str, int] = {}
    for names in files.values():
        first = {**names, **first}
    if first:
        or_else = ", or give the labels of the references with --labels NAME=VALUE,..."
        check_same_values(predictions[0].parent, files, first, or_else=or_else)


# -- names in records ------------------------------------------------------------------------------


def names_in_records(label_maps: Iterable[Path]) -> dict[str, Structure]:
    """Return name -> value, or values of a region, from the run records next to label maps.

    The result is empty if there are none, or if they contradict each other because they come from
    different models; the latter is logged as a warning.
    """
    structures: dict[str, Structure] = {}
    for path in label_maps:
        for name, structure in _names_in_record(path).items():
            if structures.setdefault(name, structure) != structure:
                log.warning(
                    "the run records next to the label maps give %r different values (%s): labels"
                    " are named after their values; name them with --labels",
                    name,
                    path.name,
                )
                return {}
    if len({values_of(structure) for structure in structures.values()}) < len(structures):
        log.warning(
            "the run records next to the label maps give one value two names: labels are named"
            " after their values"
        )
        return {}
    return structures


def with_record_names(
    names: Mapping[str, Structure], files: Sequence[tuple[Path, Path]], *, is_made_up: bool
) -> tuple[dict[str, Structure], dict[str, Structure]]:
    """Return the names of a dataset, and those in the run records.

    Names that are made up are left out if the predictions or the records name values. The records
    do not change other names; they are then read to warn of different values.

    Args:
        names: names of the dataset with their values.
        files: prediction and reference of each case.
        is_made_up: whether neither the dataset nor its label maps name anything.

    Raises:
        InputError: two predictions give a name different values.
    """
    in_records = record_names({} if is_made_up else names, files)
    predictions = [prediction for prediction, _ in files]
    if is_made_up and (in_records or any(map(_names_values, predictions))):
        _check_predicted_values(predictions)
        return {}, in_records
    return dict(names), in_records


def _names_values(label_map: Path) -> bool:
    """Return whether a label map names its values, as every DICOM-SEG does."""
    return suffix_of(label_map) == DICOM or bool(names_in(label_map))


def record_names(
    names: Mapping[str, Structure], files: Sequence[tuple[Path, Path]]
) -> dict[str, Structure]:
    """Return the names in the run records of the predictions, or else of the references.

    A warning is logged if records of the predictions give one of ``names`` a different value.

    Args:
        names: names that take precedence, with their values.
        files: prediction and reference of each case.
    """
    in_records = names_in_records(prediction for prediction, _ in files)
    _warn_of_other_values(names, in_records)
    return in_records or names_in_records(reference for _, reference in files)


def _warn_of_other_values(
    in_references: Mapping[str, Structure], in_records: Mapping[str, Structure]
) -> None:
    differing = [
        f"{name} ({value}, and {in_references[name]} in the references)"
        for name, value in in_records.items()
        if name in in_references and values_of(value) != values_of(in_references[name])
    ]
    if differing:
        log.warning(
            "the run records of the predictions give other values to %s: are they from another"
            " dataset?",
            ", ".join(differing),
        )


def _names_in_record(label_map: Path) -> dict[str, Structure]:
    """Return the names in the run record of a label map; {} if there is none."""
    record = read_record(label_map)
    regions = record.get("regions")
    region_values = regions if isinstance(regions, dict) else {}
    structures = {
        name: _structure(region_values.get(name), label.get("value"))
        for name, label in record.get("labels", {}).items()
        if isinstance(label, dict)
    }
    return {name: value for name, value in structures.items() if value is not None}


def _structure(region: object, label: object) -> Structure | None:
    """Return the values of a region or the value of a label; None if they are not valid."""
    if isinstance(region, list) and region and all(map(_is_value, region)):
        return tuple(region)
    return label if isinstance(label, int) and _is_value(label) else None


def _is_value(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value != 0
