"""Symmetry groups of equivariant networks: turns by 90 degrees and reflections, without torch.

All elements of these groups map a grid onto itself, so that a network can be equivariant without
any interpolation. A group consists of all turns, with or without reflections, of one, two or three
axes (Cohen & Welling, arXiv 1602.07576; Winkels & Cohen, arXiv 1804.04656).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations, product

DEFAULT = "mirror"
"""Group of an equivariant network if network.symmetry is not given."""


@dataclass(frozen=True)
class Element:
    """Turn or reflection about the center of a grid.

    Coordinate i of the point to which x is moved is signs[i] * x[axes[i]].
    """

    axes: tuple[int, ...]
    signs: tuple[int, ...]

    def __matmul__(self, other: Element) -> Element:
        """Return the element that moves a point by ``other`` and then by this element.

        >>> turn = Element((1, 0), (-1, 1))
        >>> turn @ turn  # by 180 degrees
        Element(axes=(0, 1), signs=(-1, -1))
        """
        axes = tuple(other.axes[axis] for axis in self.axes)
        signs = tuple(
            sign * other.signs[axis] for axis, sign in zip(self.axes, self.signs, strict=True)
        )
        return Element(axes, signs)

    @property
    def inverse(self) -> Element:
        """Element that moves all points back.

        >>> Element((1, 0), (-1, 1)).inverse
        Element(axes=(1, 0), signs=(1, -1))
        """
        order = sorted(range(len(self.axes)), key=lambda index: self.axes[index])
        return Element(tuple(order), tuple(self.signs[index] for index in order))

    @property
    def is_reflection(self) -> bool:
        """True if the element exchanges left and right hands: its determinant is -1.

        >>> Element((0, 1), (-1, 1)).is_reflection, Element((0, 1), (-1, -1)).is_reflection
        (True, False)
        """
        pairs = ((i, j) for j in range(len(self.axes)) for i in range(j))
        inversions = sum(self.axes[i] > self.axes[j] for i, j in pairs)
        return (self.signs.count(-1) + inversions) % 2 == 1


@dataclass(frozen=True)
class Symmetry:
    """Row of the catalogue."""

    axes: int
    """Number of axes that the elements permute and reverse."""
    reflections: bool
    """True if reflections belong to the group, False for turns only."""
    dims: tuple[int, ...]
    """Numbers of dimensions of the networks that may have it."""
    words: str
    """Description of the elements, for messages."""

    @property
    def order(self) -> int:
        """Number of elements.

        >>> {name: symmetry.order for name, symmetry in SYMMETRIES.items()}
        {'mirror': 2, 'p4': 4, 'p4m': 8, 'd4': 8, 'octahedral24': 24, 'octahedral48': 48}
        """
        count: int = 2**self.axes * math.factorial(self.axes)
        return count if self.reflections else count // 2


SYMMETRIES: dict[str, Symmetry] = {
    "mirror": Symmetry(1, reflections=True, dims=(2, 3), words="left and right exchanged"),
    "p4": Symmetry(2, reflections=False, dims=(2,), words="turns by 90 degrees"),
    "p4m": Symmetry(2, reflections=True, dims=(2,), words="turns by 90 degrees and reflections"),
    "d4": Symmetry(2, reflections=True, dims=(3,), words="turns by 90 degrees and reflections"),
    "octahedral24": Symmetry(3, reflections=False, dims=(3,), words="the 24 turns of a cube"),
    "octahedral48": Symmetry(
        3, reflections=True, dims=(3,), words="the 48 turns and reflections of a cube"
    ),
}
"""Groups by the value of network.symmetry."""


@lru_cache
def elements(group: str, axes: tuple[int, ...], dims: int) -> tuple[Element, ...]:
    """Return the elements of a group; the first one leaves everything where it is.

    Args:
        group: a key of SYMMETRIES.
        axes: ascending axes that the group permutes and reverses, out of ``dims``.
        dims: number of axes of the grid.

    >>> [(element.axes, element.signs) for element in elements("mirror", (0,), 3)]
    [((0, 1, 2), (1, 1, 1)), ((0, 1, 2), (-1, 1, 1))]
    """
    symmetry = SYMMETRIES[group]
    if len(axes) != symmetry.axes:
        raise ValueError(f"{group} needs {symmetry.axes} axes, not {axes}")
    found = []
    for order in permutations(axes):
        for signs in product((1, -1), repeat=len(axes)):
            turned, reversed_ = list(range(dims)), [1] * dims
            for axis, source, sign in zip(axes, order, signs, strict=True):
                turned[axis], reversed_[axis] = source, sign
            found.append(Element(tuple(turned), tuple(reversed_)))
    return tuple(one for one in found if symmetry.reflections or not one.is_reflection)


@lru_cache
def multiplication_table(found: tuple[Element, ...]) -> tuple[tuple[int, ...], ...]:
    """Return the number of the product of the elements with numbers (row) and (column).

    >>> multiplication_table(elements("mirror", (0,), 2))
    ((0, 1), (1, 0))
    """
    number = {element: index for index, element in enumerate(found)}
    return tuple(tuple(number[one @ other] for other in found) for one in found)
