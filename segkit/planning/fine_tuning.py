"""The plan of a training that starts from a model: what the model decided stands, so that its weights mean the same.

Spacing, normalisation, patch and network are the model's; labels, mirror axes and batch come from the new data. What
was asked for wins where the weights can still be used, and is refused where they could not.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection
from typing import Any

import numpy as np

from segkit.config.schema import NetworkConfig, PlanConfig
from segkit.errors import InputError
from segkit.fingerprint.usual_spacing import Spacing
from segkit.planning.network_stages import norm_of, one_norm
from segkit.planning.planner import decide
from segkit.planning.task import Task
from segkit.plans.network_catalogue import network_entry
from segkit.plans.plan import ChannelPlan, NetworkPlan, Plan
from segkit.volume import Shape

log = logging.getLogger(__name__)

NORM_KEYS = ("network.norm", "network.channels_per_group", "network.num_groups")


def tuned_plan(task: Task, model: Plan, *, mirror: Any, asked: Collection[str], where: str) -> Plan:
    """The plan for new data that starts from ``model``.

    Args:
        task: the measured data and what was asked for, with the model's slice axis.
        model: the plan that the model was trained by.
        mirror: auto, none, or a list of axes.
        asked: the keys of overrides that the user gave.
        where: the model, for messages.

    Raises:
        InputError: a network was asked for that the model is not, or data that it cannot take.
        UsageError: a norm that does not fit a layer.
    """
    check_network(task.network, model, asked, where)
    _check_data(task, model, where)
    spacing, spacing_reason = _spacing(task, model)
    patch, patch_reason = _patch(task, model)
    network, network_reason = _network(task.network, model.network.for_patch(patch), asked)
    own = _of_the_data(task, spacing, patch, network, mirror=mirror)
    crop, crop_reason = _crop(own, model)
    channels, channel_reasons = _channels(own, model)
    decided = {
        **own.reasons,
        "slices": "As the model to start from sees them.",
        "spacing": spacing_reason,
        "patch": patch_reason,
        "crop": crop_reason,
        **channel_reasons,
        "network": network_reason,
    }
    for what, reason in decided.items():
        log.info("%s: %s", what, reason)
    return dataclasses.replace(
        own,
        channels=channels,
        spacing=spacing,
        patch=patch,
        crop_to_content=crop,
        network=network,
        needs=model.needs,
        reasons=decided,
        segments={name: codes for name, codes in model.segments.items() if name in own.labels}
        | own.segments,
    )


def check_network(config: NetworkConfig, model: Plan, asked: Collection[str], where: str) -> None:
    """Raise InputError if another network was asked for than the model is."""
    stages = model.network.encoder
    facts: tuple[tuple[str, Any, Any], ...] = (
        ("network", config.name, model.network.name),
        ("network.dims", config.dims, model.dims),
        ("network.features", config.features, [stage.layers[-1].channels for stage in stages]),
        ("network.convs", config.convs, len(stages[0].layers)),
    )
    for key, wanted, found in facts:
        if (
            (f"{key}.name" if key == "network" else key) in asked
            and wanted is not None
            and wanted != found
        ):
            raise InputError(
                where,
                expected=f"a model with {key}={_plain(wanted)} to start from",
                found=f"{key}={_plain(found)}",
                remedy=f"Leave {key} out to train the model's network on, or leave weights out to train another.",
            )


def _check_data(task: Task, model: Plan, where: str) -> None:
    """Raise InputError if the model cannot take the data."""
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
        remedy="Start from a model of such data, or leave weights out.",
    )


def _spacing(task: Task, model: Plan) -> tuple[Spacing, str]:
    given = task.plan.spacing
    if given is None:
        return model.spacing, "That of the model to start from."
    x, y, z = (None if axis == model.slice_axis else float(given[axis]) for axis in range(3))
    return (x, y, z), f"As asked (plan.spacing), not the model's {_times(model.spacing)}."


def _patch(task: Task, model: Plan) -> tuple[Shape, str]:
    given = task.plan.patch
    if given is None:
        return model.patch, "That of the model to start from."
    divisor = model.network.divisor
    x, y, z = (
        1 if axis == model.slice_axis else -(-given[axis] // divisor[axis]) * divisor[axis]
        for axis in range(3)
    )
    return (
        (
            x,
            y,
            z,
        ),
        f"As asked (plan.patch), in multiples of {_times(divisor)}, not the model's {_times(model.patch)}.",
    )


def _network(
    config: NetworkConfig, network: NetworkPlan, asked: Collection[str]
) -> tuple[NetworkPlan, str]:
    """``network`` with the activation, norm and deep supervision that were asked for."""
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
        network = _renormed(network, config)
        changed.append("norm")
    what = f", with {' and '.join(changed)} as asked" if changed else ""
    return network, f"That of the model to start from{what}."


def _renormed(network: NetworkPlan, config: NetworkConfig) -> NetworkPlan:
    encoder, decoder = (
        tuple(
            dataclasses.replace(
                stage,
                layers=tuple(
                    dataclasses.replace(layer, norm=kind, groups=groups)
                    for layer in stage.layers
                    for kind, groups in [
                        norm_of(layer.name, layer.channels, layer.voxels, config=config)
                    ]
                ),
            )
            for stage in stages
        )
        for stages in (network.encoder, network.decoder)
    )
    changed = dataclasses.replace(network, encoder=encoder, decoder=decoder)
    return one_norm(changed) if network_entry(network.name).one_norm else changed


def _of_the_data(
    task: Task, spacing: Spacing, patch: Shape, network: NetworkPlan, *, mirror: Any
) -> Plan:
    """What the planner decides for the data at this spacing and patch; its own network is of no interest."""
    norm = (
        "batch" if any(layer.norm == "batch" for layer in network.layers) else "none"
    )  # batch decides on the batch
    bends = PlanConfig(spacing=[edge or 1.0 for edge in spacing], patch=list(patch))
    return decide(dataclasses.replace(task, network=NetworkConfig(norm=norm), plan=bends), mirror)


def _crop(own: Plan, model: Plan) -> tuple[bool, str]:
    if own.crop_to_content or not model.crop_to_content:
        return model.crop_to_content, "As the model to start from does it."
    return False, f"{own.reasons['crop']} The model to start from cuts it away."


def _channels(own: Plan, model: Plan) -> tuple[tuple[ChannelPlan, ...], dict[str, str]]:
    """The model's normalisation for channels that it knows by name, the planner's for others."""
    known = {channel.name: channel for channel in model.channels}
    names = [channel.name for channel in own.channels if channel.name in known]
    reasons = {f"channel {name}": "As the model to start from has it." for name in names}
    return tuple(known.get(channel.name, channel) for channel in own.channels), reasons


def _times(values: Any) -> str:
    return " x ".join("as it is" if value is None else f"{value:g}" for value in values)


def _plain(value: Any) -> str:
    return str(value).replace(" ", "")
