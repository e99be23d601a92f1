"""Rules of the settings: the values that each may have. `segkit.config.checks` checks them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from segkit.config.loss_catalogue import LOSSES, plugin_losses
from segkit.errors import SegkitError
from segkit.labels.scheme import own_values
from segkit.plans.norm_catalogue import NORMS
from segkit.plans.symmetry import SYMMETRIES
from segkit.units import is_number, is_whole, parse_size

Check = Callable[[Any], bool]
"""Function that returns whether a value is allowed."""
Rule = tuple[Check, str]
"""A check, and the allowed values in words."""


def _among(*choices: Any) -> Rule:
    words = [str(choice) for choice in choices]
    return lambda value: value in choices, f"{', '.join(words[:-1])} or {words[-1]}"


def _whole(least: int, word: str | None = None, *, most: float = math.inf) -> Rule:
    """Return the rule of an integer; ``word``, such as auto, is allowed as well."""

    def check(value: Any) -> bool:
        return value == word if isinstance(value, str) else is_whole(value, least, most)

    text = f"a whole number from {least} to {most}"
    if math.isinf(most):
        text = f"a whole number of at least {least}"
    return check, f"{text}, or {word}" if word else text


def _between(low: float, high: float) -> Rule:
    return (
        lambda value: is_number(value) and low <= value <= high,
        f"a number from {low:g} to {high:g}",
    )


def _above(low: float) -> Rule:
    return lambda value: is_number(value) and value > low, f"a number above {low:g}"


def _list_of(is_item: Check, items: str, count: int | None = None) -> Rule:
    def check(value: Any) -> bool:
        if not isinstance(value, list) or not value:
            return False
        return (count is None or len(value) == count) and all(map(is_item, value))

    return check, f"a list of {count or 'one or more'} {items}"


def _range(low: float) -> Rule:
    def check(value: Any) -> bool:
        return (
            isinstance(value, list)
            and len(value) == 2
            and all(map(is_number, value))
            and low <= value[0] <= value[1]
        )

    return check, f"a list [from,to] of two numbers of at least {low:g}, the smaller first"


def _is_size(value: Any) -> bool:
    try:
        return value == "auto" or (isinstance(value, str) and parse_size(value) >= 1 << 20)
    except SegkitError:
        return False


def _is_size_in_bytes(value: Any) -> bool:
    return value != "auto" and _is_size(value)


def _is_mirror(value: Any) -> bool:
    if not isinstance(value, list):
        return value in ("auto", "none", "all")
    return all(is_whole(axis, 0, 2) for axis in value) and len(set(value)) == len(value)


def _is_zoom(value: Any) -> bool:
    return _range(0.01)[0](value) and bool(value[1] <= 1)


def _are_names(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    are_texts = all(isinstance(name, str) and name.strip() for name in value)
    return are_texts and len(set(value)) == len(value)


def _are_labels(value: Any) -> bool:
    if not isinstance(value, dict) or not value:
        return False
    numbers = list(value.values())
    return all(map(is_whole, numbers)) and len(set(numbers)) == len(numbers) and 0 not in numbers


def _loss() -> Rule:
    def check(value: Any) -> bool:
        return isinstance(value, str) and (value in LOSSES or value in plugin_losses())

    return check, f"{', '.join(LOSSES)} or one that an installed package offers"


def _are_label_values(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(is_whole(number) and number != 0 for number in value)


def _are_regions(value: Any) -> bool:
    if not isinstance(value, dict) or not value:
        return False
    if not all(map(_are_label_values, value.values())):
        return False
    try:
        return bool(own_values(value))
    except ValueError:
        return False


_PROBABILITY = _between(0, 1)
_EDGES = _list_of(
    lambda edge: is_whole(edge) and edge >= 1, "whole numbers of at least 1 (X, Y, Z)", 3
)

CHECKS: dict[str, Rule] = {
    "dataset.channels": (_are_names, "a list of different names such as [FLAIR,T1]"),
    "dataset.labels": (
        _are_labels,
        "names with different whole numbers other than 0 such as {spleen:1,liver:5}",
    ),
    "dataset.regions": (
        _are_regions,
        "regions with whole numbers other than 0, each with one that no later region has, such as"
        " {tumor:[1,2,3],core:[2,3]}",
    ),
    "dataset.ignore": (lambda value: is_whole(value) and value != 0, "a whole number other than 0"),
    "dataset.groups": (lambda source: isinstance(source, str), "a path, dicom or intensities"),
    "dataset.group_column": (
        lambda name: isinstance(name, str) and name.strip() != "",
        "the name of a column",
    ),
    "network.dims": _among(2, 3),
    "network.features": _list_of(
        lambda width: is_whole(width) and width >= 1, "whole numbers of at least 1"
    ),
    "network.symmetry": _among(*SYMMETRIES),
    "network.widths": _among("default", "nnunet"),
    "network.convs": _whole(1),
    "network.activation": _among("leaky_relu", "relu", "silu", "gelu"),
    "network.norm": _among(*NORMS),
    "network.channels_per_group": _whole(1, "auto"),
    "network.num_groups": _whole(1),
    "plan.spacing": _list_of(
        lambda edge: is_number(edge) and edge > 0, "numbers above 0 (X, Y, Z in mm)", 3
    ),
    "plan.patch": _EDGES,
    "plan.memory": (_is_size, "a size such as 8GB, of at least 1MiB, or auto"),
    "plan.harmonization": (
        lambda method: isinstance(method, str),
        "zscore, nyul, spline, none or a path",
    ),
    "trainer.max_steps": _whole(1),
    "trainer.max_minutes": _above(0),
    "trainer.batch_size": _whole(1, "auto"),
    "trainer.accumulate": _whole(1),
    "trainer.precision": _among("auto", "float32", "bfloat16", "float16"),
    "trainer.layout": _among("auto", "contiguous", "channels_last"),
    "trainer.optimizer": _among("muon", "adamw", "sgd"),
    "trainer.learning_rate": _above(0),
    "trainer.learning_rate_rest": _above(0),
    "trainer.weight_decay": _between(0, 1),
    "trainer.warmup": _between(0, 0.9),
    "trainer.decay_power": _between(0, 10),
    "trainer.gradient_clip": _above(0),
    "trainer.ema": (
        lambda value: is_number(value) and 0 <= value < 1,
        "a number from 0 up to, not including, 1",
    ),
    "trainer.foreground": _PROBABILITY,
    "trainer.loss": _loss(),
    "trainer.workers": _whole(0, "auto", most=256),
    "trainer.threads": _whole(1, most=1024),
    "trainer.validations": _whole(0),
    "trainer.checkpoint_minutes": _above(0),
    "trainer.checkpoint_steps": _whole(1),
    "trainer.rewind_step": _whole(0),
    "augment.dummy_2d": _among("auto", "none", 0, 1, 2),
    "augment.mirror": (
        _is_mirror,
        "auto, none, all or a list of different axes out of 0, 1 and 2 such as [0,2]",
    ),
    "augment.until": _PROBABILITY,
    "augment.rotate": _PROBABILITY,
    "augment.rotate_degrees": _between(0, 180),
    "augment.scale": _PROBABILITY,
    "augment.scale_range": _range(0.1),
    "augment.noise": _PROBABILITY,
    "augment.noise_std": _between(0, 10),
    "augment.blur": _PROBABILITY,
    "augment.blur_per_channel": _PROBABILITY,
    "augment.blur_sigma": _range(0.01),
    "augment.brightness": _PROBABILITY,
    "augment.brightness_range": _range(0),
    "augment.contrast": _PROBABILITY,
    "augment.contrast_range": _range(0),
    "augment.lowres": _PROBABILITY,
    "augment.lowres_per_channel": _PROBABILITY,
    "augment.lowres_zoom": (
        _is_zoom,
        "a list [from,to] of two numbers from 0.01 to 1, the smaller first",
    ),
    "augment.gamma": _PROBABILITY,
    "augment.gamma_range": _range(0.01),
    "augment.gamma_inverted": _PROBABILITY,
    "compute.devices": _whole(1, "auto", most=1024),
    "compute.nodes": _whole(1, most=4096),
    "augment.channel_dropout": _PROBABILITY,
    "compute.partition": (
        lambda name: isinstance(name, str) and name.strip() != "",
        "the name of a SLURM partition",
    ),
    "compute.timeout": _whole(1),
    "compute.gpus": _among(0, 1),
    "compute.cpus": _whole(1, most=1024),
    "compute.memory": (_is_size_in_bytes, "a size such as 32GB, of at least 1MiB"),
    "seed": _whole(0, most=2**63 - 1),
    "fold": _whole(0, "all"),
    "folds": _whole(2, most=1000),
    "folds_by": (lambda value: value == "group", "group"),
    "logger": _among("none", "tensorboard", "mlflow"),
}
"""Rule of each setting; a setting without a rule takes any value of its type."""
