"""Numbers as a file stores them, and the slope and intercept of its header: values are made where they are looked at.

So a scan of 16-bit numbers takes 2 bytes a voxel, or is mapped, though its values are float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import DTypeLike, NDArray

DISTINCT = 2**24
"""float32 tells whole numbers of up to this size apart."""


def scaled_type(stored: np.dtype[Any], slope: float, intercept: float) -> np.dtype[Any]:
    """Return the type of ``stored * slope + intercept``: float32 if it tells neighboring numbers apart, else float64.

    >>> scaled_type(np.dtype("int16"), 0.5, -1000.0).name, scaled_type(np.dtype("int16"), 1.0, 1e8).name
    ('float32', 'float64')
    """
    if stored.kind not in "iu":
        return np.dtype(np.float64 if stored.itemsize > 4 else np.float32)
    ends = np.iinfo(stored)
    largest = max(abs(end * slope + intercept) for end in (int(ends.min), int(ends.max)))
    return np.dtype(np.float32 if largest <= DISTINCT * abs(slope) else np.float64)


def as_stored(array: object) -> tuple[NDArray[Any], float, float]:
    """Return numbers, and the slope and intercept that make them the values of an array or of `ScaledArray`."""
    if isinstance(array, ScaledArray):
        return array.stored, array.slope, array.intercept
    return np.asarray(array), 1.0, 0.0


def is_scaled(array: object) -> bool:
    """Return whether something that is called an array is `ScaledArray`."""
    return isinstance(array, ScaledArray)


@dataclass(frozen=True, eq=False, repr=False)
class ScaledArray(NDArrayOperatorsMixin):
    """Stands for an array of real numbers of `scaled_type`, which ``np.asarray`` makes of it and of its parts.

    What is cut out of it or turned is one as well. Any other computation of numpy makes values of all that it is given,
    which is right everywhere and frugal where it is given a block.

    >>> scaled = ScaledArray(np.array([[0, 2], [4, 6]], np.int16), 0.5, -1.0)
    >>> np.asarray(scaled[1]).tolist(), (scaled > 0).tolist(), scaled.dtype.name
    ([1.0, 2.0], [[False, False], [True, True]], 'float32')
    """

    stored: NDArray[Any]
    slope: float
    intercept: float

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return scaled_type(self.stored.dtype, self.slope, self.intercept)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stored.shape

    @property
    def ndim(self) -> int:
        return self.stored.ndim

    @property
    def size(self) -> int:
        return self.stored.size

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes from one number to the next, of those that are stored."""
        return self.stored.strides

    @property
    def T(self) -> ScaledArray:  # noqa: N802  (numpy's name)
        return self.transpose()

    def transpose(self, *axes: Any) -> ScaledArray:
        return self._of(self.stored.transpose(*axes))

    def __getitem__(self, key: Any) -> ScaledArray:
        return self._of(np.asarray(self.stored[key]))

    def __len__(self) -> int:
        return len(self.stored)

    def __iter__(self) -> Iterator[ScaledArray]:
        return map(self._of, self.stored)

    def _of(self, stored: NDArray[Any]) -> ScaledArray:
        return ScaledArray(stored, self.slope, self.intercept)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("values that are computed cannot be had without a copy")
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is reported as infinite
            exact = np.asarray(self.stored * np.float64(self.slope))
            exact += self.intercept
            values = exact.astype(self.dtype, copy=False)
        return values if dtype is None else values.astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        values = (np.asarray(each) if isinstance(each, ScaledArray) else each for each in inputs)
        return getattr(ufunc, method)(*values, **options)
