"""Plan of a training that starts from a trained model.

Spacing, normalization, patch and network are those of the model, so that its weights remain valid;
labels, mirror axes and batch size come from the new data. Settings that the user gives take
precedence if the weights can still be used, and are refused otherwise.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from segkit.config.schema import NetworkConfig, PlanConfig
from segkit.errors import InputError
from segkit.fingerprint.usual_spacing import Spacing
from segkit.planning.network_stages import norm_of, one_norm, with_norms
from segkit.planning.planner import decide
from segkit.planning.symmetry import check_norm
from segkit.planning.task import Task
from segkit.plans.network_catalogue import network_entry
from segkit.plans.norm_catalogue import uses_batch_statistics
from segkit.plans.plan import ChannelPlan, NetworkPlan, Plan
from segkit.plans.symmetry_rules import order
from segkit.volume import Shape

log = logging.getLogger(__name__)

NORM_KEYS = ("network.norm", "network.channels_per_group", "network.num_groups")


def tuned_plan(task: Task, model: Plan, *, mirror: Any, asked: Collection[str], where: str) -> Plan:
    """Return the plan for training on new data that starts from a model.

    Args:
        task: measurements of the new data and the user's settings, with the model's slice axis.
        model: plan of the model.
        mirror: "auto", "none", or a list of axes.
        asked: keys of the overrides that the user gave.
        where: path of the model, for messages.

    Raises:
        InputError: the user asks for a different network, or the data do not fit the model.
        UsageError: a norm does not fit a layer.
    """
    check_network(task.network, model, asked, where)
    _check_data(task, model, where)
    spacing, spacing_reason = _spacing(task, model)
    patch, patch_reason = _patch(task, model)
    network, network_reason = _network(task.network, model.network.for_patch(patch), asked)
    planned = _planned_for_data(task, spacing, patch, network, mirror=mirror)
    crop, crop_reason = _crop(planned, model)
    channels, channel_reasons = _channels(planned, model)
    reasons = {
        **planned.reasons,
        "slices": "As in the model to start from.",
        "spacing": spacing_reason,
        "patch": patch_reason,
        "crop": crop_reason,
        **channel_reasons,
        "network": network_reason,
    }
    for name, reason in reasons.items():
        log.info("%s: %s", name, reason)
    segments = {name: codes for name, codes in model.segments.items() if name in planned.labels}
    return dataclasses.replace(
        planned,
        channels=channels,
        spacing=spacing,
        patch=patch,
        crop_to_content=crop,
        network=network,
        needs=model.needs,
        reasons=reasons,
        segments=segments | planned.segments,
    )


def check_network(config: NetworkConfig, model: Plan, asked: Collection[str], where: str) -> None:
    """Raise an InputError if the user asks for a different network than that of the model.

    Args:
        config: settings of the network.
        model: plan of the model.
        asked: keys of the overrides that the user gave.
        where: path of the model, for the message.
    """
    stages = model.network.encoder
    settings: tuple[tuple[str, Any, Any], ...] = (
        ("network", config.name, model.network.name),
        ("network.dims", config.dims, model.dims),
        ("network.features", config.features, [stage.layers[-1].channels for stage in stages]),
        ("network.convs", config.convs, len(stages[0].layers)),
        (
            "network.symmetry",
            config.symmetry,
            model.network.symmetry and model.network.symmetry.group,
        ),
    )
    for key, wanted, found in settings:
        given = ("network.name" if key == "network" else key) in asked
        if given and wanted is not None and wanted != found:
            raise InputError(
                where,
                expected=f"a model with {key}={_plain(wanted)} to start from",
                found=f"{key}={_plain(found)}",
                remedy=(
                    f"Omit {key} to continue with the model's network, or omit weights to train"
                    " another."
                ),
            )


def _check_data(task: Task, model: Plan, where: str) -> None:
    """Raise an InputError if the data do not fit the model."""
    size = np.median([case.shape for case in task.fingerprint.cases], axis=0)
    single = [axis for axis in range(3) if size[axis] <= 1]
    words = {"mm": "scans with voxel sizes in mm", "px": "pictures without voxel sizes"}
    if task.fingerprint.unit != model.unit:
        raise _unlike(where, words[task.fingerprint.unit], words[model.unit])
    if single and model.slice_axis not in single:
        of_model = (
            "volumes" if model.slice_axis is None else f"slices across {'xyz'[model.slice_axis]}"
        )
        raise _unlike(where, f"single slices across {'xyz'[single[-1]]}, as the data are", of_model)


def _unlike(where: str, data: str, model: str) -> InputError:
    return InputError(
        where,
        expected=f"a model that was trained on {data}",
        found=f"one of {model}",
        remedy="Start from a model that was trained on such data, or omit weights.",
    )


def _spacing(task: Task, model: Plan) -> tuple[Spacing, str]:
    given = task.plan.spacing
    if given is None:
        return model.spacing, "As in the model to start from."
    x, y, z = (None if axis == model.slice_axis else float(given[axis]) for axis in range(3))
    return (x, y, z), f"As asked (plan.spacing), {_compared((x, y, z), model.spacing)}."


def _patch(task: Task, model: Plan) -> tuple[Shape, str]:
    given = task.plan.patch
    if given is None:
        return model.patch, "As in the model to start from."
    divisor = model.network.divisor
    x, y, z = (
        1 if axis == model.slice_axis else -(-given[axis] // divisor[axis]) * divisor[axis]
        for axis in range(3)
    )
    is_rounded = any(given[axis] != (x, y, z)[axis] for axis in range(3) if divisor[axis] > 1)
    multiples = f" in multiples of {_times(divisor)}," if is_rounded else ""
    return (x, y, z), f"As asked (plan.patch),{multiples} {_compared((x, y, z), model.patch)}."


def _compared(chosen: Sequence[float | None], of_model: Sequence[float | None]) -> str:
    """Return how what was asked for compares with the model's.

    >>> _compared((1, 1, 2), (1, 1, 3)), _compared((1, 1, 2), (1, 1, 2))
    ("not the model's 1 x 1 x 3", "which is the model's")
    """
    return "which is the model's" if chosen == of_model else f"not the model's {_times(of_model)}"


def _network(
    config: NetworkConfig, network: NetworkPlan, asked: Collection[str]
) -> tuple[NetworkPlan, str]:
    """Return the network with the activation, norm and deep supervision that the user asks for."""
    changed: list[str] = []
    if "network.activation" in asked and config.activation != network.activation:
        network = dataclasses.replace(network, activation=config.activation)
        changed.append("activation")
    if "network.deep_supervision" in asked and config.deep_supervision != network.deep_supervision:
        network = dataclasses.replace(
            network,
            deep_supervision=config.deep_supervision
            and network_entry(network.name).deep_supervision,
        )
        changed.append("deep supervision")
    if any(key in asked for key in NORM_KEYS):
        network = renormed(network, config)
        changed.append("norm")
    changes = f", with {' and '.join(changed)} as asked" if changed else ""
    return network, f"As in the model to start from{changes}."


def renormed(network: NetworkPlan, config: NetworkConfig) -> NetworkPlan:
    """Return the network with the norm that the settings name, in every layer.

    Raises:
        UsageError: the norm is unknown, or does not fit a layer.
    """
    if network.symmetry:
        check_norm(config.norm)
    orbit = order(network)
    changed = with_norms(
        network,
        lambda layer: norm_of(layer.name, layer.channels, layer.voxels, config=config, orbit=orbit),
    )
    return one_norm(changed) if network_entry(network.name).one_norm else changed


def _planned_for_data(
    task: Task, spacing: Spacing, patch: Shape, network: NetworkPlan, *, mirror: Any
) -> Plan:
    """Return the planner's decisions for the data at this spacing and patch.

    The caller discards its network, but the batch size depends on whether the norm has statistics
    of a batch.
    """
    norms = [layer.norm for layer in network.layers if uses_batch_statistics(layer.norm)]
    norm = norms[0] if norms else "none"
    settings = PlanConfig(spacing=[edge or 1.0 for edge in spacing], patch=list(patch))
    network_settings = NetworkConfig(norm=norm)
    if network.symmetry:
        network_settings = NetworkConfig(
            name=network.name, norm=norm, symmetry=network.symmetry.group
        )
    return decide(dataclasses.replace(task, network=network_settings, plan=settings), mirror)


def _crop(planned: Plan, model: Plan) -> tuple[bool, str]:
    if planned.crop_to_content or not model.crop_to_content:
        return model.crop_to_content, "As in the model to start from."
    return False, f"{planned.reasons['crop']} The model to start from crops it."


def _channels(planned: Plan, model: Plan) -> tuple[tuple[ChannelPlan, ...], dict[str, str]]:
    """Return the model's normalization for channels that it has, the planner's for others."""
    of_model = {channel.name: channel for channel in model.channels}
    names = [channel.name for channel in planned.channels if channel.name in of_model]
    reasons = {f"channel {name}": "As in the model to start from." for name in names}
    return tuple(of_model.get(channel.name, channel) for channel in planned.channels), reasons


def _times(values: Any) -> str:
    return " x ".join("as it is" if value is None else f"{value:g}" for value in values)


def _plain(value: Any) -> str:
    return str(value).replace(" ", "")
