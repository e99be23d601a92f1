"""Bundle: a trained model as a folder, or the same files as one ``.segkit`` zip.

    bundle.json                      kind, format version, name, date, training, metrics, size and sha256 of each file
    plan.json                        how a scan becomes the network's input, and the network
    config.json                      the composed configuration of the training, where there was one
    weights/fold_<fold>-<hash>.safetensors

bundle.json is renamed into place last and old weights are removed after it, so a folder is a usable bundle at any
moment of a training. What is read may come from a stranger: no pickle, sizes are checked before memory is taken, and
weights must fit the plan's network in name, shape and finiteness.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

import segkit
from segkit.bundle_agreement import check_agreement
from segkit.bundle_card import FORMAT_VERSION, KIND, PLAN, REMEDY, bundle_place, card_and_plan, read_card
from segkit.bundle_files import read_member, read_object
from segkit.errors import InputError
from segkit.files import atomic_path, write_text
from segkit.model_names import CARD
from segkit.networks import build_network
from segkit.plans import Plan, plan_text
from segkit.postprocessing import RULES

CONFIG = "config.json"


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained model that was opened; its weights are read when asked for.

    ``path`` is the folder that holds bundle.json, or the .segkit file; ``card`` is the content of bundle.json.
    """

    path: Path
    plan: Plan
    card: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.card["name"])

    @property
    def created(self) -> str:
        """Date and time in UTC, ISO 8601."""
        return str(self.card["created"])

    @property
    def folds(self) -> tuple[str, ...]:
        return tuple(self.card["weights"])

    @property
    def hash(self) -> str:
        """Twelve hex digits over the plan, all weights and the post-processing: what decides a prediction."""
        weights = sorted(str(self.card["files"][name]["sha256"]) for name in self.card["weights"].values())
        rules = [f"{name}:{rule}" for name, rule in sorted(self.postprocessing.items())]
        return hashlib.sha256(" ".join([self.plan.hash(), *weights, *rules]).encode()).hexdigest()[:12]

    @property
    def postprocessing(self) -> dict[str, str]:
        """What is done to a label after prediction: its name -> a name in `segkit.postprocessing.RULES`."""
        return dict(self.card.get("postprocessing", {}))

    @property
    def config(self) -> dict[str, Any] | None:
        """The configuration of the training, where the bundle keeps one."""
        return read_object(self.path, CONFIG, self.card["files"][CONFIG]) if CONFIG in self.card["files"] else None

    def state(self, fold: str) -> dict[str, Tensor]:
        """Tensors by name of one fold, on the CPU.

        Raises:
            InputError: no such fold, or a file that is missing, damaged or not safetensors.
        """
        if fold not in self.folds:
            raise InputError(
                self.path, expected=f"one of the folds {', '.join(self.folds)}", found=repr(fold), remedy="Name one."
            )
        return _tensors(self.path, *self._weights(fold))

    def networks(self) -> list[nn.Module]:
        """The network of every fold, filled with its weights, in evaluation mode on the CPU.

        Raises:
            InputError: as `state`; or tensors that do not fit the plan's network, or are not finite.
        """
        return [fill_network(self.plan, self.state(name), self.path) for name in self.folds]

    def _weights(self, fold: str) -> tuple[str, bytes]:
        try:
            return _weights_file(self.path, self.card, fold)
        except InputError:
            # A training may have rewritten the bundle after it was opened: its newest weights are as good.
            card = read_card(self.path)
            if card["weights"] == self.card["weights"] or fold not in card["weights"]:
                raise
            return _weights_file(self.path, card, fold)


def read_bundle(path: str | Path) -> Bundle:
    """Open a bundle folder, a run folder that holds ``bundle/``, or a .segkit file.

    Raises:
        InputError: not a bundle, a newer format, or a damaged file.
    """
    place = bundle_place(path)
    card, plan = card_and_plan(place)
    _check_postprocessing(card.get("postprocessing", {}), plan, place / CARD)
    check_agreement(card, plan, place / CARD)
    return Bundle(place, plan, card)


def write_bundle(
    folder: str | Path,
    plan: Plan,
    card: Mapping[str, Any],
    states: Mapping[str, dict[str, Tensor]],
    config: Mapping[str, Any] | None = None,
) -> Bundle:
    """Write or rewrite a bundle folder; a reader, or a restart after a kill, finds the old bundle or the new one.

    Args:
        folder: where; made if absent.
        plan: the plan that every fold's network was built from.
        card: ``name``, ``dataset`` (name and content hash), ``training``, ``metrics`` and whatever else is worth
            keeping, in JSON types; ``postprocessing`` is what a Predictor does to labels. Format, date, version, plan
            hash, weights and files are added.
        states: tensors by name, per fold.
        config: the composed configuration of the training, in JSON types.
    """
    place = Path(folder)
    contents = {PLAN: plan_text(plan).encode()}
    if config is not None:
        contents[CONFIG] = (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode()
    weights = {}
    for fold, state in states.items():
        content = safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})
        weights[fold] = f"weights/fold_{fold}-{hashlib.sha256(content).hexdigest()[:8]}.safetensors"
        contents[weights[fold]] = content
    for name, content in contents.items():
        with atomic_path(place / name) as temporary:
            temporary.write_bytes(content)
    full = {**_heading(plan), **card, "weights": weights, "files": {n: _receipt(c) for n, c in contents.items()}}
    write_text(place / CARD, json.dumps(full, indent=2, ensure_ascii=False) + "\n")
    _remove_old_weights(place, set(weights.values()))
    return read_bundle(place)


def pack_bundle(folder: str | Path, file: str | Path) -> Path:
    """Zip a bundle folder into one .segkit file, without compressing: weights do not shrink."""
    bundle = read_bundle(folder)
    with atomic_path(file) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(CARD, json.dumps(bundle.card, indent=2, ensure_ascii=False) + "\n")
        for name, receipt in bundle.card["files"].items():
            archive.writestr(name, read_member(bundle.path, name, receipt))
    return Path(file)


def fill_network(plan: Plan, state: dict[str, Tensor], where: str | Path) -> nn.Module:
    """The plan's network with these tensors, in evaluation mode.

    Raises:
        InputError: a tensor that is missing, unknown, of another shape, or not finite.
    """
    # On the meta device first: a plan from a stranger must not take more memory than its weights file has.
    with torch.device("meta"):
        network = build_network(plan)
    for problem in _misfits(network.state_dict(), state):
        raise InputError(where, expected="weights that fit the network of plan.json", found=problem, remedy=REMEDY)
    network.load_state_dict(
        {name: value.float() if value.is_floating_point() else value for name, value in state.items()}, assign=True
    )
    return network.eval().requires_grad_(False)


def _misfits(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Iterator[str]:
    for name in sorted(expected.keys() ^ found.keys()):
        yield f"no tensor {name}" if name in expected else f"an unknown tensor {name}"
    for name, tensor in found.items():
        if tensor.shape != expected[name].shape:
            yield f"{name} of shape {tuple(tensor.shape)} instead of {tuple(expected[name].shape)}"
        elif not torch.isfinite(tensor).all():
            yield f"values in {name} that are not finite"


def _weights_file(path: Path, card: Mapping[str, Any], fold: str) -> tuple[str, bytes]:
    name = str(card["weights"][fold])
    return name, read_member(path, name, card["files"][name])


def _tensors(path: Path, name: str, content: bytes) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise InputError(path / name, expected="a safetensors file", found=str(error), remedy=REMEDY) from error


def _heading(plan: Plan) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "name": plan.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "segkit": segkit.__version__,
        "plan": plan.hash(),
    }


def _receipt(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _remove_old_weights(folder: Path, keep: set[str]) -> None:
    for path in (folder / "weights").glob("fold_*.safetensors"):
        if path.relative_to(folder).as_posix() not in keep:
            # On Windows a file that someone reads stays; the next write removes it.
            with suppress(OSError):
                path.unlink()


def _check_postprocessing(rules: Any, plan: Plan, where: Path) -> None:
    known = isinstance(rules, dict) and rules.keys() <= plan.labels.keys()
    if not known or not all(isinstance(rule, str) and rule in RULES for rule in rules.values()):
        raise InputError(
            where,
            expected=f"postprocessing of the labels {', '.join(plan.labels)} by {', '.join(RULES)}",
            found=str(rules),
            remedy="It was written by a newer segkit, or changed: update segkit, or copy the model again.",
        )
