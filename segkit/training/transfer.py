"""A model's weights as the start of a training: heads by the names of labels, first kernels by those of channels."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segkit.bundle.bundle import Bundle
from segkit.errors import InputError
from segkit.files.atomic import write_text
from segkit.files.json_file import read_json
from segkit.plans.plan import Plan
from segkit.sliding_window.windows import apply_network
from segkit.training.compute.distributed import Ranks

log = logging.getLogger(__name__)

WEIGHTS = "weights.json"
"""What a run took over, in its folder."""
HEAD = re.compile(r"(^|[._])heads?(\.|$)")
"""In the name of a tensor whose first axis is the classes."""
BACKGROUND = ""
"""Stands for it among the labels: no label has this name."""

Pairs = list[tuple[int, int]]
"""(index in the new network, index in the model)"""


def start_from(
    network: nn.Module, plan: Plan, weights: Bundle | None, folder: Path, ranks: Ranks
) -> None:
    """Take ``weights`` over, if there are any, and note in folder/weights.json what was taken and what not."""
    if weights is not None:
        report = json.dumps(take_over(network, plan, weights), indent=2, ensure_ascii=False)
        ranks.share(lambda: write_text(folder / WEIGHTS, report + "\n"))


def started_from(folder: Path) -> dict[str, Any] | None:
    """What `start_from` noted when the run in ``folder`` began; None where it began with nothing.

    Raises:
        InputError: a file that cannot be read.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        return None
    return read_json(
        path,
        expected="what this run took over from a model",
        remedy="Put the file back, or remove it.",
    )


def take_over(network: nn.Module, plan: Plan, weights: Bundle) -> dict[str, Any]:
    """Copy what fits of the model's first fold into ``network``; returns in JSON types what that was.

    A tensor of the same name and shape is copied. Of a head, the classes are whose label the model knows by name, and
    the background; of the kernels that see the input, the channels that it knows by name. All else stays as it is.

    Raises:
        InputError: another kind of network, or no tensor fits.
    """
    _check_kind(plan, weights)
    own, theirs = network.state_dict(), weights.state(weights.folds[0])
    classes = _classes(plan, weights.plan)
    names, known = (
        [each.name for each in each_plan.channels] for each_plan in (plan, weights.plan)
    )
    entrances = set() if names == known else input_kernels(network, plan)
    taken: dict[str, Tensor] = {}
    for name in own.keys() & theirs.keys():
        if name in entrances:
            merged = _merged(own[name], theirs[name], 1, _pairs(names, known))
        elif HEAD.search(name) and len(own[name]) == len(plan.label_values):
            merged = _merged(own[name], theirs[name], 0, classes)
        else:
            merged = theirs[name] if own[name].shape == theirs[name].shape else None
        if merged is not None:
            taken[name] = merged
    if not taken:
        raise _nothing_fits(weights)
    network.load_state_dict(taken, strict=False)
    return _report(plan, weights, taken=taken, own=own)


def input_kernels(network: nn.Module, plan: Plan) -> set[str]:
    """Names of the kernels (out, channels, ...) that see the network's input itself, found by a forward pass."""
    found: set[str] = set()
    entering: list[Tensor] = []

    def look(name: str, inputs: tuple[Any, ...]) -> None:
        if not name:
            entering.append(inputs[0])
        elif inputs[0] is entering[0]:
            found.add(f"{name}.weight")

    hooks = [
        module.register_forward_pre_hook(lambda _module, inputs, name=name: look(name, inputs))
        for name, module in network.named_modules()
        if not name or isinstance(module, nn.Conv2d | nn.Conv3d)
    ]
    with _evaluating(network):
        apply_network(network, torch.zeros(1, len(plan.channels), *plan.patch), plan.slice_axis)
    for hook in hooks:
        hook.remove()
    return found


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    training = network.training
    network.eval()
    with torch.inference_mode():
        yield
    network.train(training)


def _merged(own: Tensor, theirs: Tensor, axis: int, pairs: Pairs) -> Tensor | None:
    """``own`` with those slices along ``axis`` that ``pairs`` name from ``theirs``; None where the others differ."""
    if own.movedim(axis, 0).shape[1:] != theirs.movedim(axis, 0).shape[1:] or not pairs:
        return None
    here, there = (torch.tensor(indices) for indices in zip(*pairs, strict=True))
    if there.max() >= theirs.shape[axis]:
        return None
    return own.index_copy(axis, here, theirs.index_select(axis, there).to(own.dtype))


def _classes(plan: Plan, model: Plan) -> Pairs:
    """Outputs of the same name; none between labels and regions, whose scores mean something else."""
    if bool(plan.regions) != bool(model.regions):
        return []
    background = [] if plan.regions else [BACKGROUND]
    return _pairs([*background, *plan.labels], [*background, *model.labels])


def _pairs(names: Sequence[str], known: Sequence[str]) -> Pairs:
    return [(index, known.index(name)) for index, name in enumerate(names) if name in known]


def _check_kind(plan: Plan, weights: Bundle) -> None:
    """Raise InputError unless the model is of the plan's dimensions and family."""
    kinds = [f"a {each.dims}D {each.network.name}" for each in (plan, weights.plan)]
    if kinds[0] != kinds[1]:
        raise InputError(
            weights.path,
            expected=f"a model to start from that is {kinds[0]}, as the plan",
            found=kinds[1],
            remedy="Leave plan, network and network.dims out to follow the model, or leave weights out.",
        )


def _nothing_fits(weights: Bundle) -> InputError:
    return InputError(
        weights.path,
        expected="weights of a network like the plan's",
        found="no tensor that agrees in name and shape",
        remedy="Leave plan out: the new plan then follows the model.",
    )


def _report(
    plan: Plan, weights: Bundle, *, taken: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> dict[str, Any]:
    outputs = list(plan.labels) if plan.regions else [BACKGROUND, *plan.labels]
    known_labels = {outputs[index] for index, _ in _classes(plan, weights.plan)}
    known_channels = {channel.name for channel in weights.plan.channels}
    report: dict[str, Any] = {
        "model": weights.name,
        "hash": weights.hash,
        "fold": weights.folds[0],
        "loaded": len(taken),
        "not_loaded": sorted(own.keys() - taken.keys()),
        "labels": [name for name in plan.labels if name in known_labels],
        "new_labels": [name for name in plan.labels if name not in known_labels],
        "new_channels": [each.name for each in plan.channels if each.name not in known_channels],
    }
    lists = ("not_loaded", "labels", "new_labels", "new_channels")
    log.info(
        "weights of %s (%s): %d tensors taken over, not: %s; known labels: %s; new labels: %s; new channels: %s",
        *(report["model"], report["hash"], report["loaded"]),
        *(", ".join(report[key]) or "none" for key in lists),
    )
    return report
