"""Checks of overrides and of the configuration: everything that is refused, and why.

A choice must exist, a value must follow the rule of its setting, some settings exclude each other,
and an override must have an effect: the user who typed it expects a difference. A setting in a file
that would have no effect beside the overrides of the command line is dropped. Unknown keys are
refused in `compose`.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from segkit.config.choices import choices, own_choices
from segkit.config.keys import get, known_keys
from segkit.config.loss_catalogue import LOSSES, plugin_losses
from segkit.config.overrides import GROUPS
from segkit.config.rules import CHECKS
from segkit.config.schema import TrainConfig
from segkit.errors import UsageError
from segkit.plans.network_catalogue import networks_by_setting, plugin_networks
from segkit.plans.norm_catalogue import NORMS

PLANNED = ("network.", "plan.", "trainer.batch_size", "augment.mirror")
"""Prefixes of the keys that the planner reads."""

NEEDS: dict[str, tuple[str, tuple[str, ...]]] = {
    **{key: ("network.name", names) for key, names in networks_by_setting().items()},
    "compute.devices": ("compute.name", ("ddp",)),
    "compute.nodes": ("compute.name", ("ddp",)),
    "trainer.learning_rate_rest": ("trainer.optimizer", ("muon",)),
    "compute.partition": ("compute.name", ("slurm",)),
    "compute.timeout": ("compute.name", ("slurm",)),
    "compute.gpus": ("compute.name", ("slurm",)),
    "compute.cpus": ("compute.name", ("slurm",)),
    "compute.memory": ("compute.name", ("slurm",)),
}
"""Keys that change nothing unless another key has one of these values."""

RIVALS: tuple[tuple[str, ...], ...] = (
    ("trainer.max_steps", "trainer.max_minutes"),
    ("network.channels_per_group", "network.num_groups"),
    ("dataset.labels", "dataset.regions"),
    ("plan.patch", "plan.memory"),
    ("network.features", "network.widths"),
    ("weights", "rewind"),
)
"""Groups of keys of which a run sets at most one; the command line replaces the one in a file."""

NAMES_ELSEWHERE = {
    "lr": "trainer.learning_rate",
    "wd": "trainer.weight_decay",
    "steps": "trainer.max_steps",
    "iterations": "trainer.max_steps",
    "epochs": "trainer.max_steps",
    "minutes": "trainer.max_minutes",
    "hours": "trainer.max_minutes",
    "num_workers": "trainer.workers",
    "clip": "trainer.gradient_clip",
    "device": "compute",
    "gpus": "compute.devices",
    "model": "network",
    "data": "dataset",
    "output": "run_dir",
    "pretrained": "weights",
}
"""Names that other programs give to settings, each with the key here."""


def near_keys(key: str) -> str:
    """Return a hint for an unknown key: the keys that the user may have meant.

    >>> near_keys("data")
    "Did you mean dataset? 'segkit train --help' lists the overrides."
    """
    keys = [*known_keys(), *GROUPS]
    last = key.rpartition(".")[2]
    near = [NAMES_ELSEWHERE[last]] if last in NAMES_ELSEWHERE else []
    near += [known for known in keys if known.rpartition(".")[2] == last]
    near += difflib.get_close_matches(key, keys, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(dict.fromkeys(near))}? " if near else ""
    return f"{hint}'segkit train --help' lists the overrides."


def known_choice(group: str, name: str) -> str:
    """Return ``name`` if it is one of the choices of ``group``.

    Raises:
        UsageError: ``name`` is not a choice; the message names similar ones.
    """
    # segkit's own choices come first: searching other packages takes a tenth of a second.
    if name in own_choices(group) or name in choices(group):
        return name
    near = difflib.get_close_matches(name, choices(group), n=2, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(f"unknown choice {group}={name}. {hint}Choices: {', '.join(choices(group))}.")


def check_value(key: str, value: Any) -> None:
    """Check one value; None is allowed if it is the default.

    Raises:
        UsageError: a value that is not allowed; the message names the setting and what is allowed.
    """
    if key not in CHECKS or (value is None and get(TrainConfig(), key) is None):
        return
    is_allowed, allowed = CHECKS[key]
    if value is None or not is_allowed(value):
        raise UsageError(f"{key} must be {allowed}, not {value!r}{_hint(key, value)}")


def _hint(key: str, value: Any) -> str:
    """Return what to do about a loss that no installed package offers."""
    if key != "trainer.loss" or not isinstance(value, str):
        return ""
    near = difflib.get_close_matches(value, [*LOSSES, *plugin_losses()], n=2)
    if near:
        return f". Did you mean {' or '.join(near)}?"
    return (
        f". If {value} is a loss of a package of your own, "
        "install that package here (docs/own_parts.md)."
    )


def check(config: TrainConfig) -> None:
    """Check every value, and the settings that exclude each other.

    Raises:
        UsageError: a value that is not allowed; the message names the setting and what is allowed.
    """
    for key in known_keys():
        check_value(key, get(config, key))
    network, trainer = config.network, config.trainer
    if network.num_groups is not None and network.channels_per_group != "auto":
        raise UsageError("give network.channels_per_group or network.num_groups, not both")
    if NORMS[network.norm].groups != "fitted" and (
        network.num_groups is not None or network.channels_per_group != "auto"
    ):
        with_groups = [name for name, entry in NORMS.items() if entry.groups == "fitted"]
        raise UsageError(
            f"groups go with network.norm={' or '.join(with_groups)} only,"
            f" not with network.norm={network.norm}"
        )
    if config.dataset.labels and config.dataset.regions:
        raise UsageError("give dataset.labels or dataset.regions, not both")
    if trainer.max_steps is not None and trainer.max_minutes is not None:
        raise UsageError("give trainer.max_steps or trainer.max_minutes, not both")
    if config.weights and config.rewind:
        raise UsageError("give weights or rewind, not both: each has all weights of the network")
    if trainer.max_steps is not None and (trainer.rewind_step or 0) > trainer.max_steps:
        raise UsageError(
            f"trainer.rewind_step={trainer.rewind_step} is after the last step: give at most "
            f"trainer.max_steps={trainer.max_steps}"
        )


def is_replaced(key: str, given: Mapping[str, str]) -> bool:
    """Return whether the command line replaces ``key`` of a file.

    Args:
        key: a full dotted key that the file sets.
        given: values on the command line, by full dotted key.
    """
    if key in given or any(
        key in rivals and any(rival in given for rival in rivals) for rivals in RIVALS
    ):
        return True
    if "plan.file" in given and key.startswith(PLANNED):
        return True
    other, values = NEEDS.get(key, ("", ()))
    return other in given and not _fits(other, given[other], values)


def check_effects(config: Any, given: Collection[str]) -> None:
    """Refuse an override that would change nothing in the composed configuration.

    Args:
        config: the `TrainConfig` with all overrides.
        given: full dotted keys of the overrides.

    Raises:
        UsageError: an override without effect; the message names it and the setting that makes it
            so.
    """
    decided = [key for key in sorted(given) if key.startswith(PLANNED) and key != "plan.file"]
    if config.plan.file and decided:
        raise UsageError(
            f"plan={config.plan.file} has decided {', '.join(decided)} already: "
            "edit the plan, or leave it out"
        )
    if config.plan.patch and config.plan.memory != "auto":
        raise UsageError("plan.memory decides the patch: give plan.memory or plan.patch, not both")
    for key, has_no_effect, reason in _conditions(config):
        if key in given and has_no_effect:
            raise UsageError(f"{key} changes nothing with {reason}")
    for key, (other, _) in NEEDS.items():
        if key in given:
            _check_needed(key, get(config, other))


def _conditions(config: Any) -> tuple[tuple[str, bool, str], ...]:
    """Return key, whether it has no effect in ``config``, and the reason, each with what to do."""
    return (
        (
            "network.widths",
            bool(config.network.features),
            "network.features: give one of them",
        ),
        (
            "network.widths",
            bool(config.weights),
            "weights: the channels are the model's",
        ),
        (
            "trainer.lowest_head",
            not config.network.deep_supervision,
            "network.deep_supervision=false: there is one head",
        ),
        (
            "augment.dummy_2d",
            config.network.dims == 2,
            "network.dims=2: slices are changed in-plane anyway",
        ),
        (
            "plan.memory",
            bool(config.weights),
            "weights: the patch is the model's. Give plan.patch instead",
        ),
        (
            "folds",
            config.fold == "all",
            "fold=all, which trains on every case: give one of them",
        ),
        *_group_conditions(config),
    )


def _group_conditions(config: Any) -> tuple[tuple[str, bool, str], ...]:
    """Return the conditions of `_conditions` for the keys about groups."""
    return (
        (
            "folds_by",
            config.fold == "all",
            "fold=all, which trains on every case: give one of them",
        ),
        (
            "dataset.group_column",
            config.dataset.group_column is not None
            and config.dataset.groups in (None, "dicom", "intensities"),
            "no table: give it with dataset.groups=FILE",
        ),
        (
            "dataset.groups",
            config.dataset.groups is not None
            and not (config.folds_by or config.plan.harmonization)
            and not (config.plan.file or config.weights),
            "neither folds_by=group nor plan.harmonization: give one of them",
        ),
    )


def check_effects_with_network(name: str, given: Collection[str]) -> None:
    """Refuse an override that changes nothing with the network of a plan or a model.

    The keys that the planner reads are not looked at.

    Raises:
        UsageError: an override without effect; the message names it and the networks that it
            changes.
    """
    for key, (other, _) in NEEDS.items():
        if key in given and other == "network.name" and not key.startswith(PLANNED):
            _check_needed(key, name)


def _check_needed(key: str, value: Any) -> None:
    other, values = NEEDS[key]
    if not _fits(other, value, values):
        raise UsageError(
            f"{key} changes nothing with {other.removesuffix('.name')}={value}, "
            f"only with {' or '.join(values)}"
        )


def _fits(key: str, value: str, values: Collection[str]) -> bool:
    """Return whether ``value`` is in ``values`` or a plugin's network, which may read all keys."""
    return value in values or (key == "network.name" and value in plugin_networks())
