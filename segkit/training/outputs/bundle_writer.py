"""Writes the run's bundle: from the first checkpoint on there is a usable model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkit.bundle.bundle import write_bundle
from segkit.config.schema import TrainConfig
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.training.data.split import Split
from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.optimization.losses import loss_needs
from segkit.training.outputs.precision_agreement import agreement
from segkit.training.outputs.run_folder import BUNDLE

CHECK_SECONDS, CHECK_SHARE = 20.0, 0.02
"""The most that it may take to compare precisions, the latter of the minutes that a training was given."""


@dataclass(frozen=True)
class ModelWriter:
    """What a bundle says about its run, beside the weights and figures of the moment."""

    config: TrainConfig
    plan: Plan
    dataset: str
    """Its name."""
    dataset_hash: str
    """Of its content when the run began."""
    split: Split
    folder: Path
    weights: dict[str, Any] | None = None
    """What was taken over from a model when the run began."""
    cases: Sequence[PreparedCase] = ()
    """On which the finished model is asked what bfloat16 changes."""

    def write(
        self, module: SegmentationModule, training: dict[str, Any], metrics: dict[str, Any]
    ) -> None:
        """Write folder/bundle with the averaged weights of ``module``."""
        needs = {**self.plan.needs, **loss_needs(self.config.trainer.loss)}
        card = {
            "name": self.folder.name,
            "dataset": {"name": self.dataset, "hash": self.dataset_hash},
            "training": {
                **training,
                "seed": self.config.seed,
                "fold": str(self.config.fold),
                # Counts only: a model is handed on, and a case's id may name a patient. split.json keeps them.
                "cases": len(self.split.training),
                "validation_cases": len(self.split.validation),
                **({"weights": self.weights} if self.weights else {}),
            },
            "metrics": metrics,
            **({"needs": needs} if needs else {}),
            **({} if module.schedule.remaining else self._agreement(module)),
        }
        states = {str(self.config.fold): module.average.state_dict()}
        write_bundle(self.folder / BUNDLE, self.plan, card, states, dataclasses.asdict(self.config))

    def _agreement(self, module: SegmentationModule) -> dict[str, Any]:
        minutes = self.config.trainer.max_minutes
        seconds = (
            CHECK_SECONDS if minutes is None else min(CHECK_SECONDS, CHECK_SHARE * 60 * minutes)
        )
        return agreement(
            module.average, self.cases, self.plan, device=module.device, seconds=seconds
        )
