"""Pictures of the validation cases with the lowest and the highest Dice."""

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

CASES_PER_END = 2
"""Number of cases with the lowest Dice, and of cases with the highest."""


@dataclass
class Gallery:
    """At most 2 * CASES_PER_END pictures, lowest Dice first.

    A picture is drawn while its case is predicted, and no other scan is kept: scans may be large.
    """

    plan: Plan
    pictures: list[CasePicture] = field(default_factory=list)

    def offer(
        self, case: PreparedCase, predicted: Tensor, reference: Tensor, dice: dict[str, float]
    ) -> None:
        """Draw the case if its Dice is among the lowest or the highest so far.

        Args:
            case: the validation case; one without any label is not drawn.
            predicted: label indices (X, Y, Z).
            reference: label indices (X, Y, Z).
            dice: Dice by label.
        """
        if not dice:
            return
        mean = float(np.mean(list(dice.values())))
        is_full = len(self.pictures) == 2 * CASES_PER_END
        if is_full:
            highest_low = self.pictures[CASES_PER_END - 1].mean
            lowest_high = self.pictures[CASES_PER_END].mean
            if highest_low <= mean <= lowest_high:
                return
        picture = CasePicture(case.id, mean, dice, self._draw(case, predicted, reference))
        insort(self.pictures, picture, key=lambda picture: picture.mean)
        if is_full:
            del self.pictures[CASES_PER_END]

    def keep_extremes(self, pictures: Iterable[CasePicture]) -> None:
        """Keep those of ``pictures`` with the lowest and the highest Dice."""
        ordered = sorted(pictures, key=lambda picture: picture.mean)
        lowest, others = ordered[:CASES_PER_END], ordered[CASES_PER_END:]
        self.pictures = [*lowest, *others[-CASES_PER_END:]]

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
