"""Match predictions with references by case id, whatever their formats."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from segkit.errors import InputError, first_few
from segkit.evaluation.candidates import (
    best_format,
    files_by_case,
    is_beside,
    is_named_beside,
    references_by_case,
)
from segkit.evaluation.label_names import (
    named_dataset,
    names_in_references,
    record_names,
    scheme_beside,
    structures_of,
    with_record_names,
)
from segkit.evaluation.measure import Structure
from segkit.evaluation.run_records import failures
from segkit.evaluation.swapped_folders import SHOWN, check_order, warn_of_missing
from segkit.files.left_out import count_text, foreign_scans, paths_text
from segkit.files.names import (
    ENDING,
    case_id,
    readable_files,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """Files of the prediction and the reference of one case."""

    case: str
    prediction: Path
    reference: Path
    ignore: int | None = None
    """Value in the reference of voxels that were not annotated."""
    scan: Path | None = None
    """First image of the case, if the references are those of a dataset."""
    patient: str = ""
    """Patient of the case, if the references are those of a dataset that names patients."""


@dataclass(frozen=True)
class Pairs:
    """All cases to compare, and the names and values of their labels."""

    pairs: tuple[Pair, ...]
    labels: dict[str, Structure] | None
    """Labels or regions by name; None if they are unknown."""
    without_prediction: tuple[str, ...]
    """Ids of references without a prediction."""
    ignore: int | None = None
    """Value in the references of voxels that were not annotated."""
    total: int = 0
    """Number of references, with and without a prediction."""
    record_names: Mapping[str, Structure] = field(default_factory=dict)
    """Names in run records, used if neither ``labels`` nor the label maps have any."""
    values: Mapping[str, int] | None = None
    """Value for each name in label files, if a dataset gives one; see `Dataset.value_names`."""
    only_named: bool = False
    """True if only ``labels`` are compared, because the user named them."""


def find_pairs(
    predictions: str | Path,
    references: str | Path,
    labels: Mapping[str, Structure] | None = None,
    ignore: int | None = None,
) -> Pairs:
    """Match two files, two folders, or predictions with the label maps of a dataset.

    References next to a ``dataset.json`` or ``dataset.yaml`` take their names from it. References
    without a prediction are logged and counted; in a dataset only if their prediction failed,
    because most of its cases were used for training.

    Args:
        predictions: a label map or a folder of them.
        references: a label map, a folder of them, or a dataset.
        labels: name -> value, or values of a region, instead of the labels of the dataset.
        ignore: ignore value instead of that of the dataset.

    Raises:
        InputError: a path does not exist, no case has both files, or ``predictions`` is a dataset.
    """
    predictions, references = Path(predictions), Path(references)
    from_dataset = is_dataset(references)
    check_order(predictions, references, references_are_dataset=from_dataset)
    _warn_of_foreign_files(predictions, references)
    if from_dataset:
        found = _pairs_of_dataset(predictions, references, labels, ignore)
    else:
        found = _pairs_of_label_maps(predictions, references, labels, ignore)
    return replace(found, only_named=labels is not None)


def is_dataset(path: Path) -> bool:
    """Return whether ``path`` is a dataset rather than a label map or a folder of them."""
    if not path.is_dir():
        return path.suffix.lower() == ".csv" or path.name == "dataset.json"
    return any((path / name).exists() for name in ("dataset.json", "imagesTr", "images"))


def _warn_of_foreign_files(*paths: Path) -> None:
    """Warn of files that look like label maps but are not read."""
    for folder in paths:
        if folder.is_dir():
            foreign = foreign_scans(folder, readable_files(folder))
            if foreign:
                log.warning(
                    "%s left out, because the format is not supported: %s",
                    count_text(foreign),
                    paths_text(foreign),
                )


# -- a dataset, two files, two folders -------------------------------------------------------------


def _pairs_of_label_maps(
    predictions: Path,
    references: Path,
    labels: Mapping[str, Structure] | None,
    ignore: int | None,
) -> Pairs:
    scheme = scheme_beside(references)
    names = dict(labels or structures_of(scheme))
    ignore = scheme.ignore if ignore is None else ignore
    if predictions.is_file() and references.is_file():
        return _pair_of_files(predictions, references, names, ignore)
    return _pairs_of_folders(predictions, references, names, ignore)


def _pairs_of_dataset(
    predictions: Path,
    references: Path,
    labels: Mapping[str, Structure] | None,
    ignore: int | None,
) -> Pairs:
    dataset, is_made_up = named_dataset(references, labels, ignore)
    annotated = {case.id: case.label for case in dataset.cases if case.label}
    cases = {case.id: case for case in dataset.cases}
    matched = _match(
        files_by_case(predictions), annotated, predictions, dataset.root, ignore=dataset.ignore
    )
    pairs = tuple(
        replace(pair, scan=cases[pair.case].images[0], patient=cases[pair.case].patient)
        for pair in matched
    )
    names = labels or structures_of(dataset)
    names, in_records = with_record_names(names, _files(pairs), is_made_up=is_made_up)
    paired = {pair.case for pair in pairs}
    missing = tuple(sorted((annotated.keys() & failures(predictions).keys()) - paired))
    if missing:
        log.warning(
            "cases of the dataset that failed to be predicted: %s", first_few(missing, SHOWN)
        )
    return Pairs(
        pairs,
        names or None,
        missing,
        ignore=dataset.ignore,
        total=len(annotated),
        record_names=in_records,
        values=dataset.value_names,
    )


def _pair_of_files(
    prediction: Path, reference: Path, names: dict[str, Structure], ignore: int | None
) -> Pairs:
    pair = Pair(case_id(reference), prediction, reference, ignore)
    in_records = record_names(names, [(prediction, reference)])
    return Pairs((pair,), names or None, (), ignore=ignore, total=1, record_names=in_records)


def _pairs_of_folders(
    predictions: Path, references: Path, names: dict[str, Structure], ignore: int | None
) -> Pairs:
    """Return the pairs of two folders, or of a folder and a file."""
    files = references_by_case(references)
    label_maps = {case: path for case, path in files.items() if not is_beside(case, files)}
    pairs = _match(files_by_case(predictions), label_maps, predictions, references, ignore=ignore)
    names = names or names_in_references(references, _files(pairs))
    paired = {pair.case for pair in pairs}
    missing = tuple(case for case in label_maps if case not in paired)
    if references.is_dir() and predictions.is_dir():
        warn_of_missing(missing, len(pairs), references)
    return Pairs(
        pairs,
        names or None,
        missing,
        ignore=ignore,
        total=len(label_maps),
        record_names=record_names(names, _files(pairs)),
    )


def _files(pairs: Sequence[Pair]) -> list[tuple[Path, Path]]:
    return [(pair.prediction, pair.reference) for pair in pairs]


# -- matching ------------------------------------------------------------------------------------


def _match(
    predictions: Mapping[str, Sequence[Path]],
    references: Mapping[str, Path],
    prediction_path: Path,
    reference_path: Path,
    *,
    ignore: int | None,
) -> tuple[Pair, ...]:
    """Return the pairs of equal case ids; the two paths are for messages."""
    pairs = []
    for case, reference in references.items():
        # If there is CASE_seg, the output of predict, then the file named CASE is the scan.
        files = predictions.get(case + ENDING) or predictions.get(case)
        if files:
            pairs.append(Pair(case, best_format(files, reference), reference, ignore))
    if not pairs:
        cases = [case for case in predictions if not is_named_beside(case)]
        raise InputError(
            prediction_path,
            expected=f"predictions named as the cases of {reference_path}:"
            f" {first_few(list(references), SHOWN)}",
            found=first_few(cases, SHOWN) or "no label map",
            remedy="Give the references of these cases, rename the predictions to <case id> with"
            " any suffix, or give two single files.",
        )
    _warn_of_unpaired(predictions, pairs, prediction_path, reference_path)
    return tuple(pairs)


def _warn_of_unpaired(
    predictions: Mapping[str, Sequence[Path]],
    pairs: Sequence[Pair],
    prediction_path: Path,
    reference_path: Path,
) -> None:
    paired = {pair.prediction for pair in pairs}
    unpaired = [
        case
        for case, files in predictions.items()
        if paired.isdisjoint(files)
        and not is_beside(case, predictions)
        and case + ENDING not in predictions
    ]
    alone = [case for case in unpaired if is_named_beside(case)]
    unpaired = [case for case in unpaired if case not in alone]
    if alone:
        log.warning(
            "files that predict writes beside a label map, and whose label map is gone: %s",
            first_few(alone, SHOWN),
        )
    if unpaired:
        log.warning("predictions without a reference: %s", first_few(unpaired, SHOWN))
    if len(unpaired) > len(pairs):
        log.warning(
            "most predictions in %s have no reference in %s: do both belong to the same cases?",
            prediction_path,
            reference_path,
        )
