"""The trained network of a run with its validation cases, as the measurements need them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from segkit.bundle.bundle import read_bundle
from segkit.config.run_file import read_config
from segkit.config.schema import TrainConfig
from segkit.errors import InputError
from segkit.files.json_file import read_json
from segkit.networks.precision import ComputeMode, network_to_memory_format
from segkit.planning.plan_dataset import open_dataset
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase, prepare_cases
from segkit.training.compute.device import device_for, use_machine
from segkit.training.data.patches import PatchDataset, training_patches
from segkit.training.data.split import SPLIT
from segkit.training.outputs.run_folder import CONFIG, FINISHED, prepared_folder


@dataclass(frozen=True)
class TrainedCell:
    """A finished training: its network in evaluation mode, and its validation cases."""

    run_dir: Path
    config: TrainConfig
    plan: Plan
    network: nn.Module
    """The network with the averaged weights of the bundle, on ``device``."""
    cases: Sequence[PreparedCase]
    """All validation cases, at least one."""
    mode: ComputeMode
    """Precision and memory format of the training."""
    device: torch.device

    @property
    def samples_per_step(self) -> int:
        """Number of patches of one training step."""
        return self.plan.batch_size * self.config.trainer.accumulate

    def patches(self, cases: Sequence[PreparedCase]) -> PatchDataset:
        """Return patches of ``cases`` as the training draws them, but without augmentation."""
        return training_patches(cases, self.plan, self.config).plain()


def open_cell(run_dir: str | Path) -> TrainedCell:
    """Open a finished run, whose dataset must still be where the run found it.

    Raises:
        InputError: a run that is not finished or has no validation cases, or a case, file or model
            that cannot be used.
    """
    folder = Path(run_dir)
    if not (folder / FINISHED).is_file():
        raise InputError(
            folder,
            expected="the folder of a finished training",
            found=f"no {FINISHED}",
            remedy="Let the training end, or continue it with --resume.",
        )
    config = dataclasses.replace(read_config(folder / CONFIG), run_dir=str(folder))
    bundle, device = read_bundle(folder), device_for(config)
    use_machine(config.trainer, device)
    cases = _validation_cases(folder, config, bundle.plan)
    facts = bundle.card["training"]
    mode = ComputeMode(facts["precision"], facts["layout"])
    (network,) = bundle.networks()
    network = network_to_memory_format(network, mode.layout).to(device)
    return TrainedCell(folder, config, bundle.plan, network, cases, mode, device)


def _validation_cases(folder: Path, config: TrainConfig, plan: Plan) -> list[PreparedCase]:
    ids = read_json(folder / SPLIT, expected="the cases of the run")["validation"]
    dataset = open_dataset(config)
    cases = dataset.select(ids)
    if not ids or len(cases) < len(ids):
        missing = set(ids) - {case.id for case in cases}
        raise InputError(
            folder / SPLIT,
            expected="validation cases in the dataset, on which a cell is measured",
            found=f"{', '.join(sorted(missing))} not in {dataset.root}" if missing else "none",
            remedy="Give the dataset as it was; or train with a fold instead of fold=all.",
        )
    return prepare_cases(cases, dataset, plan, prepared_folder(config, folder))
