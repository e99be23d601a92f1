"""Which prediction belongs to which reference: by the id of the case, whatever the format."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from segkit.dataset.dataset import Dataset
from segkit.dataset.dataset_yaml import find_yaml, read_names
from segkit.dataset.layouts import read_dataset
from segkit.dataset.names_from_files import check_same_values, common_names, with_names
from segkit.errors import InputError, first_few
from segkit.evaluation.measure import Structure
from segkit.evaluation.record_names import names_beside, warn_of_other_names
from segkit.evaluation.swapped_folders import SHOWN, check_order, failed_cases, warn_of_missing
from segkit.files.left_out import count_text, foreign_scans, paths_text
from segkit.files.names import (
    BESIDE,
    DICOM,
    ENDING,
    PICTURE,
    RTSTRUCT,
    case_id,
    must_exist,
    readable_files,
    scan_paths,
    suffix_of,
)
from segkit.io.segment_names import names_in
from segkit.labels.scheme import LabelScheme

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """A case with the files of its prediction and its reference."""

    case: str
    prediction: Path
    reference: Path
    ignore: int | None = None
    """Value in the reference of voxels that nobody has annotated."""
    scan: Path | None = None
    """The first image of the case, where the references are those of a dataset."""


@dataclass(frozen=True)
class Pairs:
    """All cases to compare, the names of the labels or regions where they are known, and references left over."""

    pairs: tuple[Pair, ...]
    labels: dict[str, Structure] | None
    without_prediction: tuple[str, ...]
    ignore: int | None = None
    """Value in the references of voxels that nobody has annotated."""
    total: int = 0
    """Number of references, with and without a prediction."""
    in_records: Mapping[str, Structure] = field(default_factory=dict)
    """Names that count where neither ``labels`` nor the label maps themselves have any."""
    values: Mapping[str, int] | None = None
    """What names inside label files stand for, where a dataset says it; see `Dataset.value_names`."""


def find_pairs(
    predictions: str | Path,
    references: str | Path,
    labels: Mapping[str, Structure] | None = None,
    ignore: int | None = None,
) -> Pairs:
    """Match two files, two folders, or predictions with the labels of a dataset.

    ``labels`` and ``ignore`` replace what a dataset says. References in a folder beside a ``dataset.json`` or
    ``dataset.yaml`` take their names from there. References of a folder without prediction are logged and counted; of
    a dataset only those that failed to be predicted are, because most of its cases were trained on.

    Raises:
        InputError: a path that does not exist, no case that is in both, or a dataset in the place of predictions.
    """
    predictions, references = Path(predictions), Path(references)
    whole = is_dataset(references)
    check_order(predictions, references, references_are_dataset=whole)
    _note_foreign(predictions, references)
    if whole:
        dataset = _named_dataset(references, labels, ignore)
        pairs = _of_dataset(predictions, dataset)
        names = dict(labels or _structures(dataset))
        _names_in_records(names, pairs)
        known = {case.id for case in dataset.cases if case.label}
        missing = tuple(
            sorted(known.intersection(failed_cases(predictions)) - {pair.case for pair in pairs})
        )
        if missing:
            log.warning(
                "cases of the dataset that failed to be predicted: %s", first_few(missing, SHOWN)
            )
        return Pairs(
            pairs, names, missing, dataset.ignore, total=len(known), values=dataset.value_names
        )
    beside = _scheme_beside(references)
    names = dict(labels or _structures(beside))
    ignore = beside.ignore if ignore is None else ignore
    if predictions.is_file() and references.is_file():
        pair = Pair(case_id(references), predictions, references, ignore)
        return Pairs(
            (pair,), names or None, (), ignore, total=1, in_records=_names_in_records(names, [pair])
        )
    found = {case_id(path): path for path in _label_files(references)}
    found = {case: path for case, path in found.items() if not _is_beside(case, found)}
    pairs = _matched(_by_case(predictions), found, predictions, references, ignore=ignore)
    names = names or _names_of_references(references, pairs)
    paired = {pair.case for pair in pairs}
    missing = tuple(case for case in found if case not in paired)
    if references.is_dir() and predictions.is_dir():
        warn_of_missing(missing, len(pairs), references)
    in_records = _names_in_records(names, pairs)
    return Pairs(pairs, names or None, missing, ignore, total=len(found), in_records=in_records)


def _named_dataset(
    references: Path, labels: Mapping[str, Structure] | None, ignore: int | None
) -> Dataset:
    """Return the dataset of the references; with ``labels`` no voxel is read to name it."""
    plain = {name: value for name, value in (labels or {}).items() if isinstance(value, int)}
    dataset = read_dataset(references, labels=plain, ignore=ignore)
    # A scan that cannot be read is none of evaluation's business.
    return with_names(dataset, skip_unreadable=bool(labels)) if plain or not labels else dataset


def _names_in_records(
    names: Mapping[str, Structure], pairs: Sequence[Pair]
) -> dict[str, Structure]:
    """Return the names in the records beside the predictions, or else beside the references."""
    beside = names_beside(pair.prediction for pair in pairs)
    warn_of_other_names(names, beside)
    return beside or names_beside(pair.reference for pair in pairs)


def _note_foreign(*places: Path) -> None:
    """Say which files that look like label maps are not read."""
    for folder in [place for place in places if place.is_dir()]:
        others = foreign_scans(folder, readable_files(folder))
        if others:
            log.warning(
                "%s left out, because the format is not read: %s",
                count_text(others),
                paths_text(others),
            )


def is_dataset(path: Path) -> bool:
    """Whether ``path`` is one of the layouts of a dataset and not a folder or file of labels."""
    if not path.is_dir():
        return path.suffix.lower() == ".csv" or path.name == "dataset.json"
    return any((path / name).exists() for name in ("dataset.json", "imagesTr", "images"))


def _of_dataset(predictions: Path, dataset: Dataset) -> tuple[Pair, ...]:
    labelled = {case.id: case.label for case in dataset.cases if case.label}
    pairs = _matched(
        _by_case(predictions), labelled, predictions, dataset.root, ignore=dataset.ignore
    )
    scans = {case.id: case.images[0] for case in dataset.cases}
    return tuple(replace(pair, scan=scans[pair.case]) for pair in pairs)


def _structures(dataset: Dataset | LabelScheme) -> dict[str, Structure]:
    """Its regions, else its labels."""
    return {**dataset.regions} or {**dataset.labels}


def _scheme_beside(references: Path) -> LabelScheme:
    """Return what a dataset.yaml or dataset.json above the label maps says of them, as beside labelsTr and labelsTs."""
    folder = references if references.is_dir() else references.parent
    above = folder.resolve().parent
    described = find_yaml(above)
    if described:
        return read_names(described).scheme
    if not (above / "dataset.json").is_file():
        return LabelScheme({})
    try:
        dataset = read_dataset(above)
    except InputError as error:  # the names are a courtesy: the masks can be compared without
        log.info("labels are called after their values: %s", error)
        return LabelScheme({})
    return LabelScheme(dataset.labels, dataset.regions, dataset.ignore)


def _names_of_references(references: Path, pairs: Sequence[Pair]) -> dict[str, Structure]:
    """Return the names that reference files give their values, in the values that the predictions have for them.

    Raises:
        InputError: they contradict each other, or number their names differently beside files without names.
    """
    files = {pair.reference: names_in(pair.reference) for pair in pairs}
    if not any(files.values()):
        _check_numbered_alike(pairs)
        return {}
    common = common_names(references, files)
    beside = names_beside(pair.prediction for pair in pairs).items()
    predicted = {name: value for name, value in beside if isinstance(value, int)}
    if predicted:
        free = max([*predicted.values(), *common.values()]) + 1
        others = [name for name in common if name not in (*predicted, "background")]
        return {**predicted, **{name: free + place for place, name in enumerate(others)}}
    others = [
        str(path)
        for pair in pairs
        for path in (pair.prediction, pair.reference)
        if not names_in(path)
    ]
    if others:
        what_else = ", or say with --labels NAME=VALUE,... what the predictions mean"
        check_same_values(references, files, common, or_else=what_else)
    return {name: value for name, value in common.items() if name != "background"}


def _check_numbered_alike(pairs: Sequence[Pair]) -> None:
    """Raise InputError where predictions number one name differently, beside references that have numbers only."""
    files = {pair.prediction: names_in(pair.prediction) for pair in pairs}
    first: dict[str, int] = {}
    for names in files.values():
        first = {**names, **first}
    what_else = ", or say with --labels NAME=VALUE,... what the references mean"
    if first:
        check_same_values(pairs[0].prediction.parent, files, first, or_else=what_else)


def _by_case(predictions: Path) -> dict[str, list[Path]]:
    """Files of every id: a folder may hold previews beside the label maps."""
    if not predictions.is_dir():
        must_exist(predictions)
    found: dict[str, list[Path]] = {}
    for path in (
        (*readable_files(predictions), *_segmentations(predictions))
        if predictions.is_dir()
        else [predictions]
    ):
        found.setdefault(case_id(path), []).append(path)
    return found


def _label_files(references: Path) -> list[Path]:
    """The label maps of a folder, or the file."""
    segmentations = _segmentations(references) if references.is_dir() else []
    return [
        *(readable_files(references) if segmentations else scan_paths(references)),
        *segmentations,
    ]


def _segmentations(folder: Path) -> list[Path]:
    """DICOM-SEG by their names; the RTSTRUCT that predict writes beside are none."""
    found = [path for path in folder.iterdir() if suffix_of(path) == DICOM and path.is_file()]
    return sorted(
        path for path in found if not path.name.startswith(".") and not path.stem.endswith(RTSTRUCT)
    )


def _matched(
    predictions: Mapping[str, Sequence[Path]],
    references: Mapping[str, Path],
    ours: Path,
    theirs: Path,
    *,
    ignore: int | None,
) -> tuple[Pair, ...]:
    pairs = []
    for case, reference in references.items():
        # Where predict named its output after the scan, the file with the scan's name is the scan.
        files = predictions.get(case + ENDING) or predictions.get(case)
        if files:
            pairs.append(Pair(case, _of_kind(files, reference), reference, ignore))
    if not pairs:
        raise InputError(
            ours,
            expected=f"predictions named as the cases of {theirs}: {first_few(list(references), SHOWN)}",
            found=first_few(
                [case for case in predictions if not _is_beside(case, predictions)], SHOWN
            )
            or "no label map",
            remedy="Give the references of these cases, rename the predictions to <case id> with any suffix, "
            "or give two single files.",
        )
    used = {pair.prediction for pair in pairs}
    unused = [case for case, (path, *_) in predictions.items() if path not in used]
    alone = [
        case
        for case in unused
        if not _is_beside(case, predictions) and case + ENDING not in predictions
    ]
    if alone:
        log.warning("predictions without a reference: %s", first_few(alone, SHOWN))
    if len(alone) > len(pairs):
        log.warning(
            "most predictions in %s have no reference in %s: are both of one set of cases?",
            ours,
            theirs,
        )
    return tuple(pairs)


def _is_beside(case: str, cases: Collection[str]) -> bool:
    """Return whether a file was written beside the label map of another case, by its name."""
    return any(case.endswith(end) and case.removesuffix(end) in cases for end in BESIDE)


def _of_kind(files: Sequence[Path], reference: Path) -> Path:
    """The file with the reference's suffix, else a volume before DICOM and a picture (which may be a preview)."""
    same = [path for path in files if suffix_of(path) == suffix_of(reference)]
    volumes = [path for path in files if suffix_of(path) not in (*PICTURE, DICOM)]
    dicom = [path for path in files if suffix_of(path) == DICOM]
    return [*same, *volumes, *dicom, *files][0]
