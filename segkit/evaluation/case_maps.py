"""Label maps of one case as they are compared: on one grid, with names, without ignored voxels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from segkit.evaluation.label_maps import read_pair
from segkit.evaluation.measure import Structure, values_of
from segkit.evaluation.pairs import Pair, Pairs
from segkit.labels.postprocessing import present_values
from segkit.volume import Volume


@dataclass(frozen=True, eq=False)
class CaseMaps:
    """Prediction and reference of one case on one grid."""

    predicted: Volume
    """Label map (1, X, Y, Z); 0 where the case was not annotated."""
    reference: Volume
    """Label map (1, X, Y, Z); 0 where the case was not annotated."""
    labels: dict[str, Structure]
    """Value of each label to compare, or values of a region, by name."""
    annotated: NDArray[Any] | None = None
    """Mask (X, Y, Z) of annotated voxels; None if all are annotated."""
    predicts_ignore: bool = False
    """True if the prediction contains the ignore value."""


def read_maps(pair: Pair, pairs: Pairs) -> CaseMaps:
    """Return the label maps of a case, read from its files.

    Args:
        pair: files of the case.
        pairs: all cases, with the names of the labels.

    Raises:
        InputError: as for `segkit.evaluation.label_maps.read_pair`.
    """
    predicted, reference, file_names = read_pair(
        pair, pairs.labels or {}, values=pairs.values, only_named=pairs.only_named
    )
    annotated, predicts_ignore = None, False
    if pair.ignore is not None:
        predicts_ignore = bool((predicted.array == pair.ignore).any())
        known = reference.array != pair.ignore
        predicted = predicted.with_array(predicted.array * known)
        reference = reference.with_array(reference.array * known)
        annotated = known[0]
    labels = _labels_to_compare(pairs, file_names, predicted, reference)
    return CaseMaps(predicted, reference, labels, annotated, predicts_ignore)


def _labels_to_compare(
    pairs: Pairs, file_names: Mapping[str, int], predicted: Volume, reference: Volume
) -> dict[str, Structure]:
    """Return the labels to compare in one case: those with names, and other values that occur."""
    named: Mapping[str, Structure] = pairs.labels or ({} if file_names else pairs.record_names)
    if pairs.only_named:
        return dict(named)
    more = {name: value for name, value in file_names.items() if name not in named}
    return _with_unnamed({**named, **more}, predicted, reference)


def _with_unnamed(names: Mapping[str, Structure], *volumes: Volume) -> dict[str, Structure]:
    """Return the named labels, and ``label_5`` for every other value that occurs."""
    values = {int(value) for volume in volumes for value in present_values(volume.array)}
    named = {value for structure in names.values() for value in values_of(structure)}
    unnamed = sorted(values - {0} - named)
    return {**names, **{f"label_{value}": value for value in unnamed}}
