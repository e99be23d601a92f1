"""Pictures of the validation cases with the lowest and the highest Dice, drawn while they are predicted."""

from __future__ import annotations

import io
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from segkit.labels.codes import colors_of
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.report.preview import draw_comparison
from segkit.report.training_page import CasePicture
from segkit.volume import Volume

EACH = 2
"""Cases of either kind."""


@dataclass
class Gallery:
    """At most 2 * EACH pictures, lowest Dice first. Of the others nothing is kept: a scan may be large."""

    plan: Plan
    pictures: list[CasePicture] = field(default_factory=list)

    def offer(
        self, case: PreparedCase, predicted: Tensor, reference: Tensor, dice: dict[str, float]
    ) -> None:
        """Draw the case if it is among the lowest or the highest so far; one without any label is not."""
        if not dice:
            return
        mean = float(np.mean(list(dice.values())))
        full = len(self.pictures) == 2 * EACH
        if full and self.pictures[EACH - 1].mean <= mean <= self.pictures[EACH].mean:
            return
        insort(
            self.pictures,
            CasePicture(case.id, mean, dice, self._draw(case, predicted, reference)),
            key=lambda each: each.mean,
        )
        if full:
            del self.pictures[EACH]

    def take(self, pictures: Iterable[CasePicture]) -> None:
        """Keep those of ``pictures`` with the lowest and the highest Dice."""
        ordered = sorted(pictures, key=lambda each: each.mean)
        self.pictures = [*ordered[:EACH], *ordered[EACH:][-EACH:]]

    def _draw(self, case: PreparedCase, predicted: Tensor, reference: Tensor) -> bytes:
        spacing = [edge or 1.0 for edge in self.plan.spacing]
        scan = Volume(np.asarray(case.image), np.diag([*spacing, 1.0]), self.plan.unit)
        names = {name: index for index, name in enumerate(self.plan.labels, start=1)}
        png = io.BytesIO()
        image = draw_comparison(
            scan,
            scan.with_array(predicted.cpu().numpy()[None]),
            scan.with_array(reference.cpu().numpy()[None]),
            names,
            across=self.plan.slice_axis,
            colors=colors_of(self.plan.labels, self.plan.segments),
        )
        image.save(png, format="PNG")
        return png.getvalue()
