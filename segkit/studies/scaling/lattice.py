"""Candidates around a point of the axes whose multiply-adds are those asked for.

Widths in steps of 16, whole numbers of convolutions and patches that can be halved are coarse: the
candidate nearest to a point may cost half or twice as much as the point itself. So all candidates
around it are compared, and the nearest is taken of those whose cost is right.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from segkit.errors import UsageError
from segkit.plans.convolutions import Convolution, convolutions, multiply_adds, resized
from segkit.studies.scaling.candidate import WIDTH_STEP, Candidate, Frame, ShapeOfWidths
from segkit.studies.scaling.compound import Factors
from segkit.volume import Shape

TOLERANCE = 1.07
"""Largest ratio between the multiply-adds of a candidate and those asked for: two neighbors of a
family are then within 15 % of a doubling, 1.07 squared."""
REACH = 2.5
"""Largest ratio between a factor of a candidate and that of the point."""
STEPS = 24
"""Number of factors that are tried on each side of the point."""
MOST_ASKED = 24
"""Number of candidates of the right cost out of which the first accepted one is taken."""
MOST_CONVS = 32
"""Largest number of convolutions in a stage."""

Widths = tuple[int, ...]


@dataclass(frozen=True)
class Work:
    """Multiply-adds of networks with the same widths and strides, by depth and patch."""

    first: float
    """Multiply-adds per voxel of the patch with one convolution in each stage."""
    further: float
    """Multiply-adds per voxel of one more convolution in each stage."""

    def at(self, convs: int, patch: Shape) -> float:
        """Return the multiply-adds of one window.

        >>> Work(first=10.0, further=5.0).at(3, (2, 2, 1))
        80.0
        """
        return (self.first + self.further * (convs - 1)) * math.prod(patch)


@dataclass(frozen=True)
class Choices:
    """Values of each axis out of which a candidate is chosen."""

    convs: Sequence[int]
    patches: Sequence[Shape]
    widths: Sequence[float]
    """Factors of the planner's widths."""
    flat: bool = False
    """True if all stages are as wide as the first."""
    mixed: bool = False
    """True if each stage is rounded up or down by itself, for finer steps of the cost."""
    exact: Sequence[Widths] = ()
    """Channels of the stages, for patches that have as many stages."""


class _WorkTable:
    """Multiply-adds of networks, each counted when it is first asked for."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._work: dict[tuple[Widths, tuple[Shape, ...]], Work] = {}
        self._parts: dict[tuple[Shape, ...], tuple[list[Convolution], list[Convolution], Shape]]
        self._parts = {}

    def work(self, widths: Widths, patch: Shape) -> Work:
        """Return the multiply-adds of networks with these widths and the strides of a patch."""
        strides = self.frame.topology(patch, len(widths)).strides
        if (widths, strides) not in self._work:
            self._work[widths, strides] = self._counted(widths, strides, patch)
        return self._work[widths, strides]

    def _counted(self, widths: Widths, strides: tuple[Shape, ...], patch: Shape) -> Work:
        if strides not in self._parts:
            one, two = (
                convolutions(self.frame.plan_of(Candidate(widths, convs, patch, None)))
                for convs in (1, 2)
            )
            self._parts[strides] = (one, two, patch)
        one, two, counted = self._parts[strides]
        voxels = math.prod(counted)
        first, second = (
            multiply_adds(_with_widths(parts, widths)) / voxels for parts in (one, two)
        )
        return Work(first, second - first)


class Lattice:
    """All candidates of a frame."""

    def __init__(self, frame: Frame) -> None:
        self.frame, self._table = frame, _WorkTable(frame)

    def around(self, point: Factors) -> Choices:
        """Return the values of all axes around a point."""
        return Choices(
            convs=self.depths(point.depth),
            patches=self.patches(point.patch),
            widths=_grid(point.width),
        )

    def depths(self, factor: float) -> range:
        """Return the convolutions in each stage up to some more than a factor of the planner's."""
        most = min(MOST_CONVS, math.ceil(REACH * self.frame.network.convs * factor))
        return range(1, most + 1)

    def patches(self, factor: float) -> list[Shape]:
        """Return the patches around a factor of the planner's edges."""
        return list(dict.fromkeys(map(self.frame.patch, _grid(factor))))

    def factors_of(self, candidate: Candidate) -> Factors:
        """Return the factors of a candidate; its width is that of equal multiply-adds."""
        work = self.work(candidate.widths, candidate.patch)
        voxels = math.prod(candidate.patch) / math.prod(self.frame.plan.patch)
        return Factors(
            depth=candidate.convs / self.frame.network.convs,
            width=math.sqrt(work.further / self._usual(candidate.patch).further),
            patch=voxels ** (1 / len(self.frame.axes)),
        )

    def nearest(
        self,
        target: float,
        point: Factors,
        choices: Choices,
        *,
        channels_per_group: float,
        accept: Callable[[Candidate], bool] = lambda _candidate: True,
    ) -> Candidate | None:
        """Return the candidate nearest to a point out of those of the right cost.

        None if no candidate is within TOLERANCE of the target, or none of the MOST_ASKED nearest is
        accepted. Distances are logarithms of factors, each multiplied by the power with which its
        axis enters the cost.

        Args:
            target: multiply-adds of one window.
            point: factors of the axes.
            choices: values of the axes.
            channels_per_group: channels of each group, as far as the layers allow it.
            accept: returns whether a candidate may be taken.
        """
        for _, _, widths, convs, patch in sorted(self._fitting(target, point, choices))[
            :MOST_ASKED
        ]:
            try:
                size = self.frame.group_size(channels_per_group, widths, patch)
            except UsageError:
                continue  # the groups of the smallest map would have too few values
            candidate = Candidate(widths, convs, patch, size)
            if accept(candidate):
                return candidate
        return None

    def _fitting(
        self, target: float, point: Factors, choices: Choices
    ) -> Iterator[tuple[float, float, Widths, int, Shape]]:
        """Yield distance, error of the cost, widths, convolutions and patch."""
        for patch in choices.patches:
            topology = self.frame.topology(patch)
            stages, usual = len(topology.strides), self._usual(patch)
            far = math.log(math.prod(patch) / math.prod(self.frame.plan.patch))
            far -= len(self.frame.axes) * math.log(point.patch)
            for widths in self._widths(stages, choices):
                work = self.work(widths, patch)
                wide = math.log(work.further / usual.further) - 2 * math.log(point.width)
                wide = 0.0 if choices.flat else wide
                for convs in choices.convs:
                    error = abs(math.log(work.at(convs, patch) / target))
                    if error <= math.log(TOLERANCE):
                        deep = math.log(convs / self.frame.network.convs / point.depth)
                        yield far**2 + wide**2 + deep**2, error, widths, convs, patch

    def _widths(self, stages: int, choices: Choices) -> list[Widths]:
        shape: ShapeOfWidths = "flat" if choices.flat else "doubling"
        found = {widths: None for widths in choices.exact if len(widths) == stages}
        for factor in choices.widths:
            found[self.frame.widths(stages, factor, shape)] = None
            if choices.mixed:
                usual = self.frame.widths(stages, 1.0, shape)
                found |= dict.fromkeys(_mixed([factor * width for width in usual]))
        return list(found)

    def _usual(self, patch: Shape) -> Work:
        """Return the work of the planner's own widths."""
        stages = len(self.frame.topology(patch).strides)
        return self.work(self.frame.widths(stages, 1.0, "doubling"), patch)

    def work(self, widths: Widths, patch: Shape) -> Work:
        """Return the multiply-adds of networks with these widths and the strides of a patch."""
        return self._table.work(widths, patch)

    def multiply_adds(self, candidate: Candidate) -> int:
        """Return the multiply-adds of one window of a candidate."""
        return round(
            self.work(candidate.widths, candidate.patch).at(candidate.convs, candidate.patch)
        )


def _grid(center: float) -> list[float]:
    """Return factors around ``center`` in equal ratios, up to REACH times as large or small."""
    return [center * REACH ** (step / STEPS) for step in range(-STEPS, STEPS + 1)]


def _mixed(widths: Sequence[float]) -> Iterator[Widths]:
    """Yield widths with each stage rounded up or down, none narrower than the one above.

    >>> list(_mixed([20.0, 32.0]))
    [(16, 32), (32, 32)]
    """
    steps = [
        {max(1, math.floor(width / WIDTH_STEP)), math.ceil(width / WIDTH_STEP)} for width in widths
    ]
    for chosen in itertools.product(*map(sorted, steps)):
        if list(chosen) == sorted(chosen):
            yield tuple(step * WIDTH_STEP for step in chosen)


def _with_widths(parts: Sequence[Convolution], widths: Widths) -> list[Convolution]:
    """Return the convolutions of a U-Net with other channels in each stage."""
    by_name = {}
    for part in parts:
        kind, _, rest = part.name.partition(".")
        if kind in ("encoder", "decoder"):
            number = int(rest.partition(".")[0])
            level = number if kind == "encoder" else len(widths) - 2 - number
            by_name[part.writes] = widths[level]
    return resized(parts, by_name)
