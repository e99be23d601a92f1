"""Ranges of spacing, size, intensity and labels over the training cases, for the plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from segkit.fingerprint.case_facts import CaseFacts
from segkit.fingerprint.label_facts import LabelFacts, Point
from segkit.plans.ranges import ChannelRange, DataRanges, LabelRange, Range


def ranges_of(cases: Sequence[CaseFacts]) -> DataRanges | None:
    """Return the ranges over the cases, or None without cases."""
    if not cases:
        return None
    channels = zip(*(case.channels for case in cases), strict=True)
    names = dict.fromkeys(name for case in cases for name in case.labels)
    return DataRanges(
        cases=sum(case.labelled for case in cases),
        spacing=_per_axis([case.spacing for case in cases]),
        size=_per_axis([case.size for case in cases]),
        channels=tuple(
            ChannelRange(
                _range(facts.lowest for facts in channel),
                _range(facts.highest for facts in channel),
            )
            for channel in channels
        ),
        labels={
            name: _label([case.labels[name] for case in cases if name in case.labels])
            for name in names
        },
    )


def _label(facts: Sequence[LabelFacts]) -> LabelRange:
    return LabelRange(
        cases=len(facts),
        volume=_range(label.volume for label in facts),
        pieces=_range(label.pieces for label in facts),
    )


def _per_axis(points: Sequence[Point]) -> tuple[Range, Range, Range]:
    x, y, z = (_range(axis) for axis in zip(*points, strict=True))
    return (x, y, z)


def _range(values: Iterable[float]) -> Range:
    listed = list(values)
    return (min(listed), max(listed))
