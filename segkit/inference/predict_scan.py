"""Predict one scan: prepare it, find a box, score it, postprocess labels on the scan's grid."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.inference.files.measured_labels import label_warnings
from segkit.inference.locate import Locator, box_on_scan, warn_of_cut_labels
from segkit.inference.prediction import GivenScan, Prediction, Result, Wanted, channel_names
from segkit.inference.scoring.scan_scorer import ScanScorer, Scored, Scoring
from segkit.inference.scoring.stopwatch import Stopwatch
from segkit.inference.scoring.to_scan_grid import Decision, bytes_after_scoring, decisions_of
from segkit.io.scaled import ScaledArray
from segkit.labels.postprocessing import apply_rules
from segkit.labels.voxel_values import STEPS
from segkit.plans.plan import Plan
from segkit.plans.ranges import DataRanges
from segkit.preprocessing.chain import ScanParts, prepare_parts
from segkit.preprocessing.harmonization import ScanHarmonization
from segkit.preprocessing.orient_and_crop import SliceShifts, without_tilt
from segkit.preprocessing.scan_checks import comparable_labels, no_estimate_because, scan_warnings
from segkit.quality.arrangement import Arrangement
from segkit.quality.expected_dice import ExpectedDice, LabelQuality, expected
from segkit.quality.features import label_features
from segkit.volume import Box, Volume

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PreparedScan:
    """Scan that is prepared for the networks."""

    upright: Volume
    """The scan on a grid without a tilt of the gantry."""
    tilt: SliceShifts
    parts: ScanParts
    warnings: list[str]
    """Sentences on what is unusual about the scan."""
    unlike: str
    """Why validation cases say nothing about the result; empty where they may."""
    training: DataRanges | None
    """Ranges that the labels of the result are compared with; None where they cannot be."""


@dataclass(frozen=True)
class ScanPredictor:
    """Plan, networks and rules that predict scans; it keeps nothing of a scan."""

    plan: Plan
    scorer: ScanScorer
    rules: Mapping[int, str]
    """Rule of postprocessing of each label value that has one."""
    locator: Locator | None = None
    quiet: bool = False
    """True logs no warnings about scans and labels, as for a coarse model, but unknown groups."""
    strict: bool = False
    """True refuses scans of a group that was not among those of the training scans."""
    estimators: Sequence[ExpectedDice] = ()
    """Estimator of the Dice of each model of the ensemble; none if one of them has none."""
    arrangements: Sequence[Arrangement] = ()
    """Usual places of the labels, by each model of the ensemble that has them."""

    def predict(self, given: GivenScan, wanted: Wanted) -> Prediction:
        """Return the label map of a scan, and what else is wanted, on the scan's own grid.

        Raises:
            InputError: a scan that does not suit the model.
            OutOfMemoryError: a scan that does not fit into memory.
        """
        where, stopwatch = given.where, Stopwatch()
        with stopwatch.stage("prepare"):
            scan = prepare_scan(given, self.plan)
        if self.strict:
            refuse_unknown_group(scan.parts.harmonization, where)
        self._log(scan.warnings, where)
        if self.quiet:  # the box depends on the group
            warn_of_group(scan.parts.harmonization, where)
        box = scan_box = None
        if self.locator:
            with stopwatch.stage("locate"):
                box = self.locator.find(scan.upright, scan.parts, given)
                scan_box = box_on_scan(box, scan.parts.inverse) if box else None
        decisions = decisions_of(self.plan, wanted)
        scoring = self._scoring(scan, decisions, box, given)
        if wanted.expected_dice and self.estimators:
            scoring = replace(scoring, soft_overlap=True)
        scored = self.scorer.score(scoring, stopwatch)
        arrays = scored.arrays
        quality = expected_dice(scored, scan, self.plan, self.estimators)
        # Replaced, not kept beside it: a label map of a large scan takes gigabytes.
        arrays["labels"] = self._postprocessed(arrays["labels"], scan.parts, box, where)
        label_warnings = self._label_warnings(arrays["labels"][0], scan, where)
        volumes = volumes_on_scan(arrays, decisions, scan.tilt)
        return Prediction(
            labels=volumes["labels"],
            uncertainty=volumes.get("uncertainty"),
            probabilities=volumes.get("probabilities"),
            label_names=self.plan.labels,
            channel_names=channel_names(self.plan),
            seconds=stopwatch.seconds(),
            box=scan_box,
            tile_mismatch=scored.tile_mismatch,
            scan_warnings=tuple(scan.warnings),
            label_warnings=label_warnings,
            expected_dice=quality,
            no_dice_because=scan.unlike if quality else "",
            temperatures=wanted.temperatures,
            harmonization=scan.parts.harmonization,
        )

    def _scoring(
        self,
        scan: PreparedScan,
        decisions: Mapping[Result, Decision],
        box: Box | None,
        given: GivenScan,
    ) -> Scoring:
        after = bytes_after_scoring(
            decisions,
            scan.parts.inverse.source_voxels,
            rules=len(self.rules),
            is_compared=scan.training is not None,
            is_tilted=bool(scan.tilt.shifts),
        )
        return Scoring(
            scan=scan.parts,
            decisions=decisions,
            box=box,
            after=max(after, given.after),
            where=given.where,
            progress=given.progress,
        )

    def _postprocessed(
        self, labels: NDArray[Any], parts: ScanParts, box: Box | None, where: Path
    ) -> NDArray[Any]:
        """Apply the model's rules to labels (1, X, Y, Z), and log labels that a box cuts."""
        labels = apply_rules(labels[0], self.rules)
        if box:
            warn_of_cut_labels(labels, parts.inverse, box, self.plan.labels, where=where)
        return labels[None]

    def _label_warnings(
        self, labels: NDArray[Any], scan: PreparedScan, where: Path
    ) -> dict[str, str]:
        """Return, and log, what is unusual about each label; nothing for a coarse model."""
        if self.quiet or scan.training is None:
            return {}
        unusual = label_warnings(
            labels,
            self.plan,
            scan.training,
            scan.parts.grid,
            axis_map=scan.parts.inverse.axis_map,
            arrangements=self.arrangements,
        )
        self._log([f"{label}: {text}" for label, text in unusual.items()], where)
        return unusual

    def _log(self, warnings: Iterable[str], where: Path) -> None:
        if not self.quiet:
            for warning in warnings:
                log.warning("%s: %s", where, warning)


def prepare_scan(given: GivenScan, plan: Plan) -> PreparedScan:
    """Prepare a scan for the networks of a plan, without computing voxels at the plan's spacing.

    Raises:
        InputError: a scan that does not suit the plan.
        OutOfMemoryError: a scan that does not fit into memory.
    """
    upright, tilt = without_tilt(given.volume, given.where)
    as_read = given.as_read or given.volume
    parts = prepare_parts(upright, plan, group=given.group, as_read=as_read, where=given.where)
    unusual = scan_warnings(
        parts.grid,
        plan,
        parts.normalizers,
        plan.training,
        corner=parts.corner,
        other_modality=given.other_modality,
    )
    of_group = parts.harmonization.warnings if parts.harmonization else ()
    warnings = [*given.other_modality.values(), *unusual, *of_group]
    unlike = no_estimate_because(parts.normalizers, plan.training, given.other_modality)
    return PreparedScan(upright, tilt, parts, warnings, unlike, comparable_labels(parts.grid, plan))


def expected_dice(
    scored: Scored, scan: PreparedScan, plan: Plan, estimators: Sequence[ExpectedDice]
) -> dict[str, LabelQuality]:
    """Return the expected Dice of each label before the model's postprocessing.

    It is empty where the overlap with the probabilities was not added up, and of no label known
    where validation cases say nothing about the scan.
    """
    overlap = scored.soft_overlap
    if overlap is None:
        return {}
    if scan.unlike:
        return dict.fromkeys(plan.labels, LabelQuality(None, None))
    features = label_features(
        overlap,
        scan.parts.inverse.view(scored.arrays["labels"][0]),
        plan,
        voxel_volume=scan.parts.grid.voxel_volume,
        ranges=scan.training,
    )
    voxels = dict(zip(plan.labels, overlap.voxels.astype(int).tolist(), strict=True))
    return expected(estimators, features, plan, voxels)


def warn_of_group(harmonization: ScanHarmonization | None, where: Path) -> None:
    """Log what is unusual about the group of a scan."""
    for warning in harmonization.warnings if harmonization else ():
        log.warning("%s: %s", where, warning)


def refuse_unknown_group(harmonization: ScanHarmonization | None, where: Path) -> None:
    """Raise an InputError for a scan of a group that was not among those of the training scans."""
    if harmonization and harmonization.unknown:
        raise InputError(
            where,
            expected="a scan of a group to which the model's harmonization was fitted (--strict)",
            found=f"a scan of which {harmonization.unknown}",
            remedy="Name its group with --group or --groups, use a model that was trained on scans "
            "of its group as well, or leave out --strict.",
        )


def volumes_on_scan(
    arrays: Mapping[Result, NDArray[Any]],
    decisions: Mapping[Result, Decision],
    tilt: SliceShifts,
) -> dict[Result, Volume]:
    """Return results as volumes on the grid of the scan as it was given.

    Probabilities in steps of 1/255 become numbers from 0 to 1 where they are read.

    Args:
        arrays: values (K, X, Y, Z) on the upright grid.
        decisions: the decision behind each result.
        tilt: shift of each slice to the upright grid, and the grid of the scan.
    """
    volumes: dict[Result, Volume] = {}
    for name, array in arrays.items():
        values = decisions[name].tilted_back(array, tilt)
        if name == "probabilities" and values.dtype == np.uint8:
            values = cast(NDArray[Any], ScaledArray(values, 1 / STEPS, 0.0))
        volumes[name] = Volume(values, tilt.grid.affine, tilt.grid.unit)
    return volumes
