"""Regions: structures that overlap, each made of several values of the label files, such as a tumour and its core.

A network for regions has one sigmoid output per region instead of a softmax over labels. What it predicts is written as
one label map: every region has a value of its own, and later regions are written over earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class LabelScheme:
    """What the values of label files mean.

    ``labels``: the outputs of a network, name -> the value that is written for it. ``regions``: name -> the values of
    the label files that it is made of, or nothing where each label is one value. ``ignore``: the value of voxels that
    nobody has annotated.
    """

    labels: dict[str, int]
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    ignore: int | None = None


def values_apart(regions: Mapping[str, Sequence[int]]) -> dict[str, set[int]]:
    """Of each region the values that no later region has: one of them is written for it.

    >>> values_apart({"whole": (1, 2, 3), "core": (3,)})
    {'whole': {1, 2}, 'core': {3}}
    """
    names = list(regions)
    later = [
        {value for name in names[place + 1 :] for value in regions[name]}
        for place in range(len(names))
    ]
    return {name: set(regions[name]) - others for name, others in zip(names, later, strict=True)}


def own_values(regions: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """The value that is written for each region unless the dataset says another: the smallest of `values_apart`.

    Raises:
        ValueError: a region all of whose values are in later ones.
    """
    return {name: min(values) for name, values in values_apart(regions).items()}


def target_values(
    labels: Mapping[str, int], regions: Mapping[str, Sequence[int]]
) -> dict[str, int]:
    """Name and value of what is told apart in label files; the i-th of them has the index i + 1, background 0."""
    if not regions:
        return dict(labels)
    return {
        f"label_{value}": value
        for value in sorted({value for values in regions.values() for value in values})
    }


def membership(labels: Mapping[str, int], regions: Mapping[str, Sequence[int]]) -> list[list[bool]]:
    """Outputs x (target values + 1): whether an output holds the target of this index; background is in none.

    >>> membership({"whole": 1, "core": 2}, {"whole": (1, 2), "core": (2,)})
    [[False, True, True], [False, False, True]]
    """
    targets = target_values(labels, regions).values()
    made_of = regions or {name: (value,) for name, value in labels.items()}
    return [[False, *(target in values for target in targets)] for values in made_of.values()]
