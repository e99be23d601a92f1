"""Labels and regions: the meaning of the values in label files, and the outputs of a network.

Regions are structures that overlap, each made of several label values, such as a tumor and its
core. A network for regions has one sigmoid output per region instead of a softmax over labels. Its
prediction is written as one label map: each region has its own value, and later regions overwrite
earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class LabelScheme:
    """Meaning of the values in label files."""

    labels: dict[str, int]
    """Value that is written for each output of a network, by name."""
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Values in the label files that make up each region; empty if each label is one value."""
    ignore: int | None = None
    """Value of voxels that are not annotated, or None."""


def values_apart(regions: Mapping[str, Sequence[int]]) -> dict[str, set[int]]:
    """Return the values of each region that no later region has; one of them is written for it.

    >>> values_apart({"whole": (1, 2, 3), "core": (3,)})
    {'whole': {1, 2}, 'core': {3}}
    """
    names = list(regions)
    later = [
        {value for name in names[index + 1 :] for value in regions[name]}
        for index in range(len(names))
    ]
    return {name: set(regions[name]) - others for name, others in zip(names, later, strict=True)}


def own_values(regions: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Return the value that is written for each region, unless the dataset gives another.

    It is the smallest of `values_apart`.

    >>> own_values({"whole": (1, 2, 3), "core": (3,)})
    {'whole': 1, 'core': 3}

    Raises:
        ValueError: all values of a region are also in later regions.
    """
    return {name: min(values) for name, values in values_apart(regions).items()}


def target_values(
    labels: Mapping[str, int], regions: Mapping[str, Sequence[int]]
) -> dict[str, int]:
    """Return the classes in label files, name to value: the labels, or all values of the regions.

    The first has class index 1, the second 2, and so on; background has index 0.

    >>> target_values({"whole": 1, "core": 2}, {"whole": (1, 2), "core": (2,)})
    {'label_1': 1, 'label_2': 2}
    """
    if not regions:
        return dict(labels)
    return {
        f"label_{value}": value
        for value in sorted({value for values in regions.values() for value in values})
    }


def membership(labels: Mapping[str, int], regions: Mapping[str, Sequence[int]]) -> list[list[bool]]:
    """Return for each output of a network whether it contains the class with each index.

    The classes are background, which no output contains, followed by those of `target_values`.

    >>> membership({"whole": 1, "core": 2}, {"whole": (1, 2), "core": (2,)})
    [[False, True, True], [False, False, True]]
    """
    targets = target_values(labels, regions).values()
    made_of = regions or {name: (value,) for name, value in labels.items()}
    return [[False, *(target in values for target in targets)] for values in made_of.values()]
