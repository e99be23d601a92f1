"""Origin of a training: a model, the weights of another training after a step, and a mask."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from segkit.bundle.bundle import Bundle, read_bundle
from segkit.bundle.card import open_card
from segkit.bundle.lookup import resolve_model
from segkit.bundle.mask_lookup import find_mask
from segkit.bundle.trained_on import TRAINED_ON_KEY, UNKNOWN, TrainedOn, trained_on
from segkit.config.schema import TrainConfig, TrainerConfig
from segkit.dataset.split import Split
from segkit.errors import InputError, UsageError, first_few
from segkit.files.atomic import atomic_path, write_text
from segkit.files.json_file import read_json
from segkit.files.names import CARD
from segkit.networks.mask_file import MASK, MaskFile, read_mask
from segkit.networks.masks import apply_masks
from segkit.plans.plan import Plan
from segkit.training.compute.distributed import Ranks
from segkit.training.data.split import SPLIT
from segkit.training.initialization.mask_transfer import fit_mask
from segkit.training.outputs.checkpoint import newest_checkpoint
from segkit.training.outputs.rewind import RewindFile, read_rewind
from segkit.training.outputs.run_folder import BUNDLE, CHECKPOINTS
from segkit.training.transfer import WEIGHTS, copy_matching_weights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """Weights and mask from which a training starts, instead of random weights."""

    weights: Bundle | None = None
    """Model whose matching weights are copied."""
    rewind: RewindFile | None = None
    """Weights of another training after some step, and that step."""
    mask: MaskFile | None = None
    """Mask of this or of a similar network."""

    def hashes(self) -> dict[str, str]:
        """Return the hash of each part that there is, by the name of its override."""
        parts = {"weights": self.weights, "rewind": self.rewind, "mask": self.mask}
        return {name: part.hash for name, part in parts.items() if part is not None}

    def trained_on(self) -> TrainedOn | None:
        """Return the scans of the earlier trainings of the weights; None for random weights."""
        earlier = None
        if self.weights is not None:
            earlier = trained_on(self.weights.card, self.weights.folds[0]) or UNKNOWN
        if self.rewind is not None and self.rewind.step:
            rewound = _trained_on_before(self.rewind)
            earlier = rewound if earlier is None else earlier | rewound
        return earlier


def _trained_on_before(rewind: RewindFile) -> TrainedOn:
    """Return the scans of the run in whose folder a rewind file is."""
    bundle = rewind.path.parent / BUNDLE
    if not (bundle / CARD).is_file():
        return UNKNOWN
    card = open_card(bundle).card
    return trained_on(card, next(iter(card["weights"]))) or UNKNOWN


def open_origin(config: TrainConfig) -> Origin:
    """Open what the overrides weights, rewind and mask name.

    A run that resumes from a checkpoint needs none of them.

    Raises:
        InputError: a model or file that cannot be used, or a rewind file of a step after the last.
        UsageError: trainer.rewind_step is before the step of the rewind file.
    """
    if config.run_dir and newest_checkpoint(Path(config.run_dir) / CHECKPOINTS):
        return Origin()
    return Origin(
        read_bundle(resolve_model(config.weights)) if config.weights else None,
        _open_rewind(config.rewind, config.trainer) if config.rewind else None,
        find_mask(config.mask) if config.mask else None,
    )


def _open_rewind(where: str, trainer: TrainerConfig) -> RewindFile:
    rewind = read_rewind(where)
    rewind.check_before(trainer.max_steps)
    if trainer.rewind_step is not None and trainer.rewind_step < rewind.step:
        raise UsageError(
            f"trainer.rewind_step={trainer.rewind_step} never comes: the training starts after "
            f"step {rewind.step} of rewind={where}. Give that step or a later one, or leave it out."
        )
    return rewind


def warn_of_seen_cases(origin: Origin, split: Split) -> None:
    """Log a warning if the weights to start from were trained on cases that now validate.

    The model's hashes of scans say so, and for a rewind file the split.json in its folder too.
    """
    validation, earlier = split.validation, origin.trained_on()
    if earlier is None or not validation:
        return
    unseen = {case.id for case in earlier.unseen(validation)} - _ids_before(origin.rewind)
    seen = [case.id for case in validation if case.id not in unseen]
    if seen:
        log.warning(
            "%d of the %d validation cases were trained on before, by what this training starts "
            "from (%s): their Dice will be too high, and so will be an expected Dice that is "
            "fitted to them. Give the fold of %s",
            len(seen),
            len(validation),
            first_few(seen),
            _place(origin),
        )
    elif origin.weights is not None and not earlier.complete:
        log.warning(
            "%s does not record all scans that it was trained on: if validation cases are among "
            "them, their Dice will be too high",
            _place(origin),
        )


def _ids_before(rewind: RewindFile | None) -> set[str]:
    """Return the ids of the training cases of the run in whose folder a rewind file is."""
    if rewind is None or not rewind.step or not (rewind.path.parent / SPLIT).is_file():
        return set()
    return set(read_json(rewind.path.parent / SPLIT).get("training", []))


def _place(origin: Origin) -> Path | None:
    """Return where the weights come from: the model, or the folder of the rewind file."""
    if origin.weights is not None:
        return origin.weights.path
    return origin.rewind.path.parent if origin.rewind else None


def initialize(
    network: nn.Module, plan: Plan, origin: Origin, folder: Path, ranks: Ranks
) -> MaskFile | None:
    """Load weights into a new network, prune them, and return the mask of its kernels.

    Args:
        network: the new network, changed in place.
        plan: the plan of the new network.
        origin: what the training starts from.
        folder: the run folder, which gets weights.json, a report on what was loaded, and the mask.
        ranks: processes of the training; rank 0 writes the files.

    Raises:
        InputError: weights or a mask that do not fit the network.
    """
    report: dict[str, Any] = {}
    if origin.weights is not None:
        report |= copy_matching_weights(network, plan, origin.weights)
        if MASK in origin.weights.card["files"] and origin.mask is None:
            log.warning(
                "%s was trained with a mask; its pruned weights are trained again. "
                "With mask=%s they stay 0",
                origin.weights.name,
                origin.weights.path,
            )
    if origin.rewind is not None:
        origin.rewind.fill(network)
        log.info("the training starts after step %d of %s", origin.rewind.step, origin.rewind.path)
        report |= {"rewind": origin.rewind.hash, "step": origin.rewind.step}
    mask = None
    if origin.mask is not None:
        mask, report["mask"] = fit_mask(network, plan, origin.mask)
        apply_masks(network, mask.masks)
        ranks.share(lambda: _write(folder / MASK, mask.content()))
    earlier = origin.trained_on()
    if earlier is not None:
        report[TRAINED_ON_KEY] = earlier.to_json()
    if report:
        text = json.dumps(report, indent=2, ensure_ascii=False)
        ranks.share(lambda: write_text(folder / WEIGHTS, text + "\n"))
    return mask


def resumed_mask(folder: Path, checkpoint: Mapping[str, Any]) -> MaskFile | None:
    """Return the mask of the run in ``folder`` that resumes from ``checkpoint``, if it has one.

    Raises:
        InputError: no mask file, or another one than the run began with.
    """
    expected = checkpoint.get("mask")
    if expected is None:
        return None
    mask = read_mask(folder / MASK)
    if mask.hash != expected:
        raise InputError(
            folder / MASK,
            expected=f"the mask with which this run began, {expected}",
            found=f"another one, {mask.hash}",
            remedy="Put the file back, or start another run with the new mask: mask=FILE and "
            "another run_dir.",
        )
    return mask


def _write(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
