"""The mask of a training of the study, and the weights and the step from which it starts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from segkit.dataset.split import split_cases
from segkit.networks import new_network
from segkit.networks.mask_file import MASK, MaskOrigin, write_mask
from segkit.networks.masks import dense_masks, prune_by_magnitude, shuffle_within_layers
from segkit.plans.plan import Plan
from segkit.studies.study_folder import arm
from segkit.studies.tickets.files import RUN, START, Masks, TicketFiles, state_of
from segkit.studies.tickets.levels import TICKET, Training
from segkit.training.initialization.origin import open_origin
from segkit.training.optimization.schedule import Schedule
from segkit.training.outputs.rewind import write_rewind
from segkit.training.setup import Setup

OTHER_WEIGHTS = 1_000_003
"""Added to the seed of the study for the initial weights of a re-initialized ticket."""


@dataclass(frozen=True)
class Pruning:
    """How far a level prunes, and to which step its tickets are rewound."""

    fraction: float
    """Share of the remaining weights that a level prunes."""
    rewind_step: int
    """Number of steps of the dense training after which its weights are kept."""
    steps: int
    """Number of steps of a training, counted from the first one of the dense training."""


def start_of(training: Training, study: Setup, pruning: Pruning) -> Setup:
    """Write the mask and the first weights of a training, and return its setup.

    Args:
        training: the training; those that it needs are finished.
        study: the study, with the configuration and the plan of the training's norm and seed.
        pruning: how far a level prunes.
    """
    run = arm(study, f"{training.name}/{RUN}", study.config)
    if training.level == 0:
        trainer = dataclasses.replace(run.config.trainer, rewind_step=pruning.rewind_step)
        return dataclasses.replace(run, config=dataclasses.replace(run.config, trainer=trainer))
    files = TicketFiles(study.run_dir)
    mask = files.of(training) / MASK
    write_mask(
        mask,
        new_masks(training, files, pruning),
        [channel.name for channel in study.plan.channels],
        origin=_made_on(study),
    )
    rewind = _weights_to_start_from(training, files, study.plan, pruning)
    config = dataclasses.replace(run.config, mask=str(mask), rewind=str(rewind))
    return dataclasses.replace(run, config=config, origin=open_origin(config))


def _made_on(study: Setup) -> MaskOrigin:
    """Return on which cases the networks were trained that are pruned."""
    config, dataset = study.config, study.dataset
    cases = split_cases(dataset, config.fold, config.folds).training
    return MaskOrigin(dataset.name, dataset.content_hash(), len(cases))


def new_masks(training: Training, files: TicketFiles, pruning: Pruning) -> Masks:
    """Return the masks of a training above level 0."""
    if training.kind == TICKET:
        before = training.ticket_of(training.level - 1)
        weights = state_of(files.model(before))
        return prune_by_magnitude(weights, files.masks(before), pruning.fraction)
    masks = files.masks(training.ticket_of(training.level))
    return random_masks(masks, training) if training.kind == "random" else masks


def random_masks(masks: Masks, training: Training) -> Masks:
    """Return masks with as many weights of each layer, at places that seed and level determine."""
    return shuffle_within_layers(masks, seed=_places(training))


def fewer_at_random(masks: Masks, training: Training, files: TicketFiles) -> Masks:
    """Return masks that prune the level before as far as ``masks``, but at random places.

    Weights that the level before has pruned stay pruned: it is one level of random pruning.

    Args:
        masks: masks of the ticket ``training``.
        training: a ticket above level 0.
        files: files of the study.
    """
    before = files.masks(training.ticket_of(training.level - 1))
    return shuffle_within_layers(masks, seed=_places(training), within=before)


def _places(training: Training) -> int:
    """Return the seed of the random places of a training."""
    return 1000 * training.seed + training.level


def pruned_at_once(dense: Training, files: TicketFiles, pruning: Pruning, level: int) -> Masks:
    """Return the masks of the dense network's largest weights, as many as a ticket of ``level``."""
    model = files.model(dense)
    weights, masks = state_of(model), dense_masks(model.networks()[0])
    for _ in range(level):
        masks = prune_by_magnitude(weights, masks, pruning.fraction)
    return masks


def _weights_to_start_from(
    training: Training, files: TicketFiles, plan: Plan, pruning: Pruning
) -> Path:
    """Return the run or the file of the weights from which a training above level 0 starts."""
    if training.kind not in ("reinit", "finetune"):
        return files.of(training.ticket_of(0)) / RUN
    path = files.of(training) / START
    write_rewind(path, *_own_start(training, files, plan, pruning))
    return path


def _own_start(
    training: Training, files: TicketFiles, plan: Plan, pruning: Pruning
) -> tuple[nn.Module, Schedule]:
    """Return the network and the schedule from which a control starts.

    New weights start at step 0. Trained weights start at the step to which a ticket is rewound, so
    that they get as many steps as the ticket, at the same learning rates and on the same patches.
    """
    if training.kind == "reinit":
        with torch.random.fork_rng():
            torch.manual_seed(training.seed + OTHER_WEIGHTS)
            return new_network(plan), Schedule(pruning.steps)
    step = pruning.rewind_step
    schedule = Schedule(pruning.steps, step, step / pruning.steps)
    return files.network(training.ticket_of(training.level - 1)), schedule
