"""Start a training from the weights of a model.

Outputs are matched by the names of labels, first kernels by the names of channels.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segkit.bundle.bundle import Bundle
from segkit.errors import InputError
from segkit.files.json_file import read_json
from segkit.networks.masks import HEAD
from segkit.plans.plan import Plan
from segkit.sliding_window.windows import apply_network

log = logging.getLogger(__name__)

WEIGHTS = "weights.json"
"""Report on the copied weights, in the run folder."""
BACKGROUND = ""
"""Name of the background among the labels; no label is named so."""

Pairs = list[tuple[int, int]]
"""Pairs of (index in the new network, index in the model)."""


def initial_weights_report(folder: Path) -> dict[str, Any] | None:
    """Return the report on what the run in ``folder`` started from, or None.

    Raises:
        InputError: a file that cannot be read.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        return None
    return read_json(
        path,
        expected="a report on the weights that this run started from",
        remedy="Put the file back, or remove it.",
    )


def copy_matching_weights(network: nn.Module, plan: Plan, weights: Bundle) -> dict[str, Any]:
    """Copy the weights of the model's first fold that fit into ``network``.

    A tensor of the same name and shape is copied whole. In a head, the background and the labels
    that the model has under the same name are copied; in the kernels that take the network's input,
    the channels that the model has under the same name. All other values stay as they are.

    Args:
        network: the new network, changed in place.
        plan: the plan of the new network.
        weights: the model.

    Returns:
        A report in JSON types: the model, what was copied, and which names are new.

    Raises:
        InputError: another kind of network, or no tensor fits.
    """
    _check_kind(plan, weights)
    tensors, model_tensors = network.state_dict(), weights.state(weights.folds[0])
    class_pairs = _class_pairs(plan, weights.plan)
    channels = [channel.name for channel in plan.channels]
    model_channels = [channel.name for channel in weights.plan.channels]
    channel_pairs = name_pairs(channels, model_channels)
    first_kernels = set() if channels == model_channels else input_kernels(network, plan)
    copied: dict[str, Tensor] = {}
    for name in tensors.keys() & model_tensors.keys():
        tensor, model_tensor = tensors[name], model_tensors[name]
        if name in first_kernels:
            merged = merge_slices(tensor, model_tensor, 1, channel_pairs)
        elif HEAD.search(name) and len(tensor) == len(plan.label_values):
            merged = merge_slices(tensor, model_tensor, 0, class_pairs)
        else:
            merged = model_tensor if tensor.shape == model_tensor.shape else None
        if merged is not None:
            copied[name] = merged
    if not copied:
        raise _nothing_fits(weights)
    network.load_state_dict(copied, strict=False)
    return _report(plan, weights, copied=copied, tensors=tensors)


def input_kernels(network: nn.Module, plan: Plan) -> set[str]:
    """Return the names of the kernels (out, channels, ...) that take the network's input itself.

    They are found by a forward pass.
    """
    names: set[str] = set()
    network_inputs: list[Tensor] = []

    def note(name: str, inputs: tuple[Any, ...]) -> None:
        if not name:
            network_inputs.append(inputs[0])
        elif inputs[0] is network_inputs[0]:
            names.add(f"{name}.weight")

    hooks = [
        module.register_forward_pre_hook(lambda _module, inputs, name=name: note(name, inputs))
        for name, module in network.named_modules()
        if not name or isinstance(module, nn.Conv2d | nn.Conv3d)
    ]
    with _evaluating(network):
        apply_network(network, torch.zeros(1, len(plan.channels), *plan.patch), plan.slice_axis)
    for hook in hooks:
        hook.remove()
    return names


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    training = network.training
    network.eval()
    with torch.inference_mode():
        yield
    network.train(training)


def merge_slices(tensor: Tensor, model_tensor: Tensor, axis: int, pairs: Pairs) -> Tensor | None:
    """Return ``tensor`` with the slices along ``axis`` that ``pairs`` take from ``model_tensor``.

    The result is None if the other axes differ, or if there is nothing to take.
    """
    other_axes, model_axes = (part.movedim(axis, 0).shape[1:] for part in (tensor, model_tensor))
    if other_axes != model_axes or not pairs:
        return None
    to, source = (torch.tensor(indices) for indices in zip(*pairs, strict=True))
    if source.max() >= model_tensor.shape[axis]:
        return None
    return tensor.index_copy(axis, to, model_tensor.index_select(axis, source).to(tensor.dtype))


def _class_pairs(plan: Plan, model: Plan) -> Pairs:
    """Return the outputs of the same name; none between labels and regions.

    Scores of labels come from a softmax, those of regions from a sigmoid.
    """
    if bool(plan.regions) != bool(model.regions):
        return []
    background = [] if plan.regions else [BACKGROUND]
    return name_pairs([*background, *plan.labels], [*background, *model.labels])


def name_pairs(names: Sequence[str], model_names: Sequence[str]) -> Pairs:
    """Return the pairs of indices at which the two lists have the same name.

    >>> name_pairs(["T1", "CT"], ["CT"])
    [(1, 0)]
    """
    return [
        (index, model_names.index(name)) for index, name in enumerate(names) if name in model_names
    ]


def _check_kind(plan: Plan, weights: Bundle) -> None:
    """Raise InputError unless the model is of the plan's dimensions and family."""
    wanted, found = map(_kind, (plan, weights.plan))
    if wanted != found:
        raise InputError(
            weights.path,
            expected=f"a model to start from that is {wanted}, as the plan",
            found=found,
            remedy="Leave plan, network and network.dims out to follow the model, or leave weights "
            "out.",
        )


def _kind(plan: Plan) -> str:
    words = f"a {plan.dims}D {plan.network.name}"
    if plan.network.symmetry:
        return f"{words} with network.symmetry={plan.network.symmetry.group}"
    return f"{words} with averages" if plan.network.downsampling == "average" else words


def _nothing_fits(weights: Bundle) -> InputError:
    return InputError(
        weights.path,
        expected="weights of a network like the plan's",
        found="no tensor that agrees in name and shape",
        remedy="Leave plan out: the new plan then follows the model.",
    )


def _report(
    plan: Plan, weights: Bundle, *, copied: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> dict[str, Any]:
    outputs = list(plan.labels) if plan.regions else [BACKGROUND, *plan.labels]
    copied_labels = {outputs[index] for index, _ in _class_pairs(plan, weights.plan)}
    model_channels = {channel.name for channel in weights.plan.channels}
    channels = [channel.name for channel in plan.channels]
    report: dict[str, Any] = {
        "model": weights.name,
        "hash": weights.hash,
        "fold": weights.folds[0],
        "data": weights.card.get("dataset", {}).get("name"),
        "loaded": len(copied),
        "not_loaded": sorted(tensors.keys() - copied.keys()),
        "labels": [name for name in plan.labels if name in copied_labels],
        "new_labels": [name for name in plan.labels if name not in copied_labels],
        "new_channels": [name for name in channels if name not in model_channels],
    }
    log.info(
        "weights of %s (%s): %d tensors loaded, not loaded: %s; labels of the model: %s; "
        "new labels: %s; new channels: %s",
        report["model"],
        report["hash"],
        report["loaded"],
        *(
            ", ".join(report[key]) or "none"
            for key in ("not_loaded", "labels", "new_labels", "new_channels")
        ),
    )
    return report
