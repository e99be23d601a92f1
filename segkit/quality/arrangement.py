"""Usual positions of labels relative to each other, and labels of a scan that lie elsewhere.

The position of a label is that of its center, in mm to the right, to the front and upwards from the
center of one label, the anchor. It is unusual outside of the prediction interval of the normal
distribution over validation cases, as the network predicts them: in a scan like these, one label
or more is unusual with a probability of `FALSE_ALARMS` at most. A wrong orientation in a header
shows here, and so does a result that is wrong altogether. The storage is
`segkit.quality.arrangement_entry`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its submodules are imported on first use: not in a prediction

FALSE_ALARMS = 0.01
"""Probability that a scan like those of the fit is flagged."""
MIN_ARRANGED = 5
"""Smallest number of cases in which a label and the anchor are found."""
DIRECTIONS = (("left", "right"), ("posterior", "anterior"), ("inferior", "superior"))
"""Names of the negative and the positive direction of each axis."""

Centers = Mapping[str, Sequence[float]]
"""Center of each label that a scan has, in mm along the axes of RAS+."""
Offset = tuple[float | None, ...]
"""Millimeters along each axis; None where the voxel spacing of the fit is not known."""


@dataclass(frozen=True)
class Usual:
    """Offset of a label from the anchor over validation cases."""

    cases: int
    mean: Offset
    sd: Offset
    reach: float
    """Half of the prediction interval, in standard deviations."""


@dataclass(frozen=True)
class Arrangement:
    """Usual offsets of labels from one of them."""

    anchor: str
    labels: Mapping[str, Usual]

    def limits(self, label: str) -> Iterator[tuple[int, float, float]]:
        """Yield axis, lowest and highest usual offset of a label in mm."""
        usual = self.labels[label]
        for axis, (mean, sd) in enumerate(zip(usual.mean, usual.sd, strict=True)):
            if mean is not None and sd is not None:
                yield axis, mean - usual.reach * sd, mean + usual.reach * sd

    def unusual(self, centers: Centers) -> dict[str, str]:
        """Return the labels in unusual places, each with a sentence.

        >>> usual = Usual(20, (None, -18.0, 7.0), (None, 2.0, 2.5), 3.0)
        >>> arrangement = Arrangement("head", {"tail": usual})
        >>> arrangement.unusual({"head": (0, 0, 0), "tail": (1, -19, 6)})
        {}
        >>> arrangement.unusual({"head": (0, 0, 0), "tail": (1, 17, 6)})["tail"]
        'its center is 17 mm anterior of that of head, usually 12 to 24 mm posterior'
        """
        if self.anchor not in centers:
            return {}
        found = {}
        for label in self.labels:
            if label in centers:
                texts = list(self._unusual(label, centers))
                if texts:
                    found[label] = texts[0]
        return found

    def _unusual(self, label: str, centers: Centers) -> Iterator[str]:
        """Yield a sentence for each axis along which a label is unusual, the farthest first."""
        excess = []
        for axis, low, high in self.limits(label):
            offset = float(centers[label][axis] - centers[self.anchor][axis])
            far = max(low - offset, offset - high)
            if far > 0:
                excess.append((far / (high - low), axis, offset, low, high))
        for _, axis, offset, low, high in sorted(excess, reverse=True):
            yield (
                f"its center is {_words(offset, axis)} of that of {self.anchor}, usually "
                f"{_range_words(low, high, axis)}"
            )


def _words(offset: float, axis: int) -> str:
    return f"{abs(offset):.3g} mm {DIRECTIONS[axis][offset > 0]}"


def _range_words(low: float, high: float, axis: int) -> str:
    if (low > 0) != (high > 0):
        return f"{_words(low, axis)} to {_words(high, axis)}"
    near, far = sorted((low, high), key=abs)
    return f"{abs(near):.3g} to {_words(far, axis)}"


def fit_arrangement(
    cases: Sequence[Centers], names: Sequence[str], spacing: Sequence[float | None]
) -> Arrangement | None:
    """Return the arrangement of labels over cases; None if too few have two labels.

    Args:
        cases: centers of the labels of each case; along an axis without spacing they do not count.
        names: names of the labels, in the order of the plan.
        spacing: voxel spacing in mm along each axis, half of which is the least standard deviation.
    """
    known = [edge is not None for edge in spacing]
    counts = {name: sum(name in centers for centers in cases) for name in names}
    anchor = max(names, key=lambda name: counts[name])
    offsets = {
        name: [np.subtract(one[name], one[anchor]) for one in cases if {name, anchor} <= one.keys()]
        for name in names
        if name != anchor
    }
    enough = {name: np.array(each) for name, each in offsets.items() if len(each) >= MIN_ARRANGED}
    labels = {
        name: Usual(
            len(each),
            tuple(float(m) if k else None for m, k in zip(each.mean(axis=0), known, strict=True)),
            tuple(
                max(float(s), edge / 2) if edge is not None else None
                for s, edge in zip(each.std(axis=0, ddof=1), spacing, strict=True)
            ),
            reach_of(len(each), len(enough) * sum(known)),
        )
        for name, each in enough.items()
    }
    return Arrangement(anchor, labels) if labels else None


def reach_of(cases: int, tests: int) -> float:
    """Return half of a prediction interval in standard deviations.

    Args:
        cases: number of cases that mean and standard deviation are from.
        tests: number of offsets that are compared in a scan; together they are unusual with a
            probability of `FALSE_ALARMS` at most.

    >>> round(reach_of(20, 3), 2), round(reach_of(5, 3), 2)
    (3.44, 6.85)
    """
    quantile = float(scipy.special.stdtrit(cases - 1, 1 - FALSE_ALARMS / 2 / tests))
    return quantile * math.sqrt(1 + 1 / cases)
