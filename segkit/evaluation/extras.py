"""Choice of the metrics that are measured besides those that always are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from segkit.errors import UsageError
from segkit.evaluation.metrics import ALWAYS, FAMILIES, Family, Metric, metrics_of


@dataclass(frozen=True)
class Extras:
    """Families of metrics, and their settings."""

    families: tuple[Family, ...] = ()
    lesion_iou: float = 0.0
    """Smallest IoU of two components that are one lesion; 0 if a shared voxel is enough."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All metrics that are measured."""
        return metrics_of((*ALWAYS, *self.families))


NO_EXTRAS = Extras()


def checked_extras(families: Collection[Family], lesion_iou: float) -> Extras:
    """Return the choice of some families.

    Raises:
        UsageError: there is no such family, or the IoU is not from 0 to 1.
    """
    unknown = [family for family in families if family not in FAMILIES]
    if unknown:
        raise UsageError(
            f"there is no family of metrics {unknown[0]!r}: choose from {', '.join(FAMILIES)}"
        )
    if not 0 <= lesion_iou <= 1:
        raise UsageError(f"the IoU from which lesions match must be from 0 to 1, not {lesion_iou}")
    return Extras(tuple(family for family in families if family not in ALWAYS), lesion_iou)
