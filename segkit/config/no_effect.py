"""Settings that have no effect in combination with other settings.

An override without effect is refused: the user who typed it expects a difference. A setting in a
file that would have no effect beside the overrides of the command line is dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from segkit.config.keys import get
from segkit.errors import UsageError
from segkit.plans.network_catalogue import networks_by_setting, plugin_networks

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
