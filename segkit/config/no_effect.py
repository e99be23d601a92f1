"""Overrides that would change nothing: whoever typed one expects that it does, so it is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from segkit.config.keys import get
from segkit.config.overrides import PATHS, check_braces, given_keys
from segkit.errors import UsageError
from segkit.plans.network_catalogue import networks_by_setting, plugin_networks

LISTS = ("network.features", "plan.spacing", "plan.patch", "augment.mirror")
"""Keys whose value is a list."""

PLANNED = ("network.", "plan.", "trainer.batch_size", "augment.mirror")
"""Starts of the keys that the planner reads."""

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
)
"""Keys of which one run has at most one; the command line's replaces the other of a file."""


def replaced(key: str, given: Mapping[str, str]) -> bool:
    """Whether ``key`` of a file gives way to what the command line has ``given`` (value by full key)."""
    if key in given or any(
        key in group and any(other in given for other in group) for group in RIVALS
    ):
        return True
    if "plan.file" in given and key.startswith(PLANNED):
        return True
    other, values = NEEDS.get(key, ("", ()))
    return other in given and given[other] not in values and not _foreign(other, given[other])


def check_none_twice(overrides: Sequence[str]) -> None:
    """Of two values for one key, one would change nothing.

    Raises:
        UsageError: names the key; for names of labels that the shell took apart, shows how to quote them.
    """
    check_braces(overrides)
    keys = [key for word in overrides for key in given_keys([word])]
    for key in keys:
        if keys.count(key) > 1:
            raise UsageError(
                f"{key} is given twice: give it one value{_sweep_hint(key, overrides)}"
            )


def _sweep_hint(key: str, overrides: Sequence[str]) -> str:
    """What to type where the shell may have expanded {0,1,2}; paths have commas of their own."""
    words = [word for word in overrides if given_keys([word]) == {key}]
    if key in PATHS.values():
        return ""
    name, values = words[0].partition("=")[0], ",".join(word.partition("=")[2] for word in words)
    if key in LISTS:  # the shell makes two words of {4,8}
        return f", such as {name}=[{values}]"
    return f", or with --multirun several as {name}={values}"


def check_none_idle(config: Any, given: set[str]) -> None:
    """An override that would change nothing is refused: whoever typed it expects that it does."""
    decided = [key for key in sorted(given) if key.startswith(PLANNED) and key != "plan.file"]
    if config.plan.file and decided:
        raise UsageError(
            f"plan={config.plan.file} has decided {', '.join(decided)} already: edit the plan, or leave it out"
        )
    if config.plan.patch and config.plan.memory != "auto":
        raise UsageError("plan.memory decides the patch: give plan.memory or plan.patch, not both")
    if config.network.features and "network.widths" in given:
        raise UsageError("network.widths changes nothing with network.features: give one of them")
    if config.weights and "network.widths" in given:
        raise UsageError(
            "network.widths changes nothing with weights: the channels are the model's"
        )
    if not config.network.deep_supervision and "trainer.lowest_head" in given:
        raise UsageError(
            "trainer.lowest_head changes nothing with network.deep_supervision=false: there is one head"
        )
    if config.network.dims == 2 and "augment.dummy_2d" in given:
        raise UsageError(
            "augment.dummy_2d changes nothing with network.dims=2: slices are changed in-plane anyway"
        )
    if config.weights and "plan.memory" in given:
        raise UsageError(
            "plan.memory changes nothing with weights: the patch is the model's. Give plan.patch instead"
        )
    if config.fold == "all" and "folds" in given:
        raise UsageError(
            "folds changes nothing with fold=all, which trains on every case: give one of them"
        )
    for key, (other, _) in NEEDS.items():
        if key in given:
            _check_needed(key, get(config, other))


def check_none_idle_with_network(name: str, given: Collection[str]) -> None:
    """As `check_none_idle`, for the network of a plan that a file or a model brings; the planner's keys are left out.

    Raises:
        UsageError: a key that changes nothing with this network.
    """
    for key, (other, _) in NEEDS.items():
        if key in given and other == "network.name" and not key.startswith(PLANNED):
            _check_needed(key, name)


def _check_needed(key: str, found: Any) -> None:
    other, values = NEEDS[key]
    if found not in values and not _foreign(other, found):
        name = other.removesuffix(".name")
        raise UsageError(
            f"{key} changes nothing with {name}={found}, only with {' or '.join(values)}"
        )


def _foreign(key: str, value: str) -> bool:
    """Whether it is a network of another package, which may read every key."""
    return key == "network.name" and value in plugin_networks()
