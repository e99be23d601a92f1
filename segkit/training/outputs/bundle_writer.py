"""The bundle of a run: from the first checkpoint on there is a usable model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from segkit.bundle.bundle import write_bundle
from segkit.bundle.trained_on import TRAINED_ON_KEY, scans_before, scans_of
from segkit.config.schema import TrainConfig
from segkit.dataset.split import Split
from segkit.networks.mask_file import MaskFile
from segkit.networks.precision import EMULATED, cpu_bfloat16_time_ratio
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.optimization.losses import loss_needs
from segkit.training.outputs.card_facts import (
    group_facts,
    machine_facts,
    package_versions,
    patient_count,
)
from segkit.training.outputs.precision_agreement import precision_agreement
from segkit.training.outputs.run_folder import BUNDLE

CHECK_SECONDS, CHECK_SHARE = 20.0, 0.02
"""Limits of the time to compare precisions: seconds, and share of the training's minutes."""


@dataclass(frozen=True)
class BundleWriter:
    """Writes the bundle of a run; holds the facts of its card that stay the same."""

    config: TrainConfig
    plan: Plan
    dataset: dict[str, Any]
    """Name of the dataset, hash of its content when the run began, and license if it states one."""
    split: Split
    folder: Path
    """Folder of the run."""
    initial_weights: dict[str, Any] | None = None
    """Report on the weights that the run started from (`initial_weights_report`)."""
    mask: MaskFile | None = None
    """Mask of the network, which the bundle keeps as a file."""
    processes: int = 1
    """Number of processes of the training."""
    agreement_cases: Sequence[PreparedCase] = ()
    """Cases on which the finished model is compared in bfloat16 and float32."""

    def write(
        self,
        module: SegmentationModule,
        training: dict[str, Any],
        metrics: dict[str, Any],
        measured: dict[str, Any],
    ) -> None:
        """Write folder/bundle with the averaged weights of ``module``.

        Args:
            module: the network at the current step.
            training: facts of the training so far, for the card.
            metrics: the last validation, for the card.
            measured: entries of the Dice by overlap and of the expected Dice; empty if they are not
                measured.
        """
        card = {
            "name": self.folder.name,
            "dataset": {**self.dataset, **group_facts(self.split.training)},
            "training": {**training, **self._training_facts(module.device)},
            "metrics": metrics,
            **measured,
        }
        needs = {**self.plan.needs, **loss_needs(self.config.trainer.loss)}
        if needs:
            card["needs"] = needs
        card |= self._trained_on()
        if not module.schedule.remaining:
            card |= self._agreement(module)
        states = {str(self.config.fold): module.average.state_dict()}
        config = dataclasses.asdict(self.config)
        write_bundle(self.folder / BUNDLE, self.plan, card, states, config, mask=self.mask)

    def _training_facts(self, device: torch.device) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "seed": self.config.seed,
            "fold": str(self.config.fold),
            # Counts only: a model may be shared, and a case id may name a patient. The ids are in
            # split.json.
            "cases": len(self.split.training),
            "validation_cases": len(self.split.validation),
            "patients": patient_count(self.split.training),
            "validation_patients": patient_count(self.split.validation),
            "machine": machine_facts(device, self.processes),
            "versions": package_versions(),
        }
        report = dict(self.initial_weights or {})
        report.pop(TRAINED_ON_KEY, None)
        facts |= {"mask": report.pop("mask")} if "mask" in report else {}
        facts |= {"weights": report} if report else {}
        return facts

    def _trained_on(self) -> dict[str, Any]:
        """Return the scans that the weights have seen; nothing if no hash is known."""
        seen = scans_of(self.split.training)
        earlier = scans_before(self.initial_weights or {})
        seen = seen if earlier is None else seen | earlier
        return {TRAINED_ON_KEY: {str(self.config.fold): seen.to_json()}} if seen.scans else {}

    def _agreement(self, module: SegmentationModule) -> dict[str, Any]:
        # Where bfloat16 is emulated, a window may take a minute.
        if module.device.type == "cpu" and cpu_bfloat16_time_ratio() >= EMULATED:
            return {}
        minutes, seconds = self.config.trainer.max_minutes, CHECK_SECONDS
        if minutes is not None:
            seconds = min(CHECK_SECONDS, CHECK_SHARE * 60 * minutes)
        return precision_agreement(
            module.average,
            self.agreement_cases,
            self.plan,
            device=module.device,
            seconds=seconds,
        )
