"""Bundle: a trained model as a folder, or the same files as one ``.segkit`` zip.

    bundle.json     kind, format version, name, date, training, metrics, size and sha256 of files
    plan.json       how a scan becomes the network's input, and the network
    config.json     the composed configuration of the training, if there was one, without folders
    card.md         the model card in words, written anew with each change
    notes.md        text of the user for the card, if there is one; segkit never changes it
    weights/fold_<fold>-<hash>.safetensors
    mask.safetensors        which weights are kept, if the network was trained with a mask

bundle.json is renamed into place last and old weights are removed after it, so that a folder is a
usable bundle at any moment of a training. A bundle may come from a stranger: it contains no
pickles, sizes are checked before memory is allocated, and weights must fit the plan's network in
name and shape and be finite.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from segkit._version import __version__
from segkit.bundle.archive import read_member
from segkit.bundle.card import (
    CONFIG,
    FORMAT_VERSION,
    KIND,
    PLAN,
    REMEDY,
    ModelCard,
    open_card,
    read_card,
)
from segkit.bundle.card_content import card_content
from segkit.bundle.card_text import card_page
from segkit.bundle.notes import read_notes
from segkit.bundle.private_paths import without_private_folders
from segkit.errors import InputError
from segkit.files.atomic import atomic_path
from segkit.files.names import CARD
from segkit.networks import build_network
from segkit.networks.mask_file import MASK, MaskFile
from segkit.plans.plan import Plan
from segkit.plans.plan_file import plan_text

log = logging.getLogger(__name__)

CARD_PAGE = "card.md"
"""The model card in words."""


class Bundle(ModelCard):
    """Trained model whose card and plan were read; weights are read when needed."""

    def state(self, fold: str) -> dict[str, Tensor]:
        """Return the tensors of one fold by name, on the CPU.

        Raises:
            InputError: no such fold, or a file that is missing, damaged or not safetensors.
        """
        if fold not in self.folds:
            raise InputError(
                self.path,
                expected=f"one of the folds {', '.join(self.folds)}",
                found=repr(fold),
                remedy="Choose one of them.",
            )
        return _tensors(self.path, *self._weights(fold))

    def networks(self) -> list[nn.Module]:
        """Return the network of every fold with its weights, in evaluation mode on the CPU.

        Raises:
            InputError: as `state`; or tensors that do not fit the plan's network or are not finite.
        """
        return [fill_network(self.plan, self.state(name), self.path) for name in self.folds]

    def _weights(self, fold: str) -> tuple[str, bytes]:
        try:
            return _weights_file(self.path, self.card, fold)
        except InputError:
            # A training may have rewritten the bundle since it was opened: use its newest weights.
            card = read_card(self.path)
            if card["weights"] == self.card["weights"] or fold not in card["weights"]:
                raise
            return _weights_file(self.path, card, fold)


def read_bundle(path: str | Path) -> Bundle:
    """Open a bundle folder, a run folder that holds ``bundle/``, or a .segkit file.

    Raises:
        InputError: not a bundle, a newer format, or a damaged file.
    """
    model = open_card(path)
    return Bundle(model.path, model.plan, model.card)


def write_bundle(
    folder: str | Path,
    plan: Plan,
    card: Mapping[str, Any],
    states: Mapping[str, dict[str, Tensor]],
    config: Mapping[str, Any] | None = None,
    *,
    mask: MaskFile | None = None,
) -> Bundle:
    """Write or replace a bundle folder and return the bundle.

    At any moment, also after a crash, a reader finds either the old or the new bundle.

    Args:
        folder: folder of the bundle, which is created if it does not exist.
        plan: the plan that every fold's network was built from.
        card: ``name``, ``dataset`` (name and content hash), ``training``, ``metrics`` and other
            facts in JSON types; ``postprocessing`` names the rule that a Predictor applies to each
            label. Format, date, version, plan hash, weights and files are added.
        states: tensors by name, for each fold.
        config: the composed configuration of the training, in JSON types.
        mask: mask of the networks.
    """
    folder = Path(folder)
    contents = {PLAN: plan_text(plan).encode()}
    config = None if config is None else without_private_folders(config)
    if config is not None:
        contents[CONFIG] = json_bytes(config)
    if mask is not None:
        contents[MASK] = mask.content()
    weights = {}
    for fold, state in states.items():
        content = safetensors.torch.save(
            {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        )
        weights[fold] = f"weights/fold_{fold}-{hashlib.sha256(content).hexdigest()[:8]}.safetensors"
        contents[weights[fold]] = content
    full = {**_heading(plan), **card, "weights": weights, "files": receipts(contents)}
    page = page_of(ModelCard(folder, plan, full), config, _notes_of(folder))
    full["files"] |= receipts({CARD_PAGE: page})
    write_files(folder, {CARD: json_bytes(full), CARD_PAGE: page, **contents})
    _remove_old_weights(folder, set(weights.values()))
    return read_bundle(folder)


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write all files before the first is renamed, so that a full disk leaves the old bundle.

    The first file of ``contents`` is renamed last.
    """
    with ExitStack() as renamed:
        for name, content in contents.items():
            renamed.enter_context(atomic_path(folder / name)).write_bytes(content)


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """Return the content of a JSON file of a bundle."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def fill_network(plan: Plan, state: dict[str, Tensor], where: str | Path) -> nn.Module:
    """Build the plan's network with the tensors ``state``, in evaluation mode.

    Args:
        plan: plan of the network.
        state: tensors by name.
        where: the model, for messages.

    Raises:
        InputError: a tensor that is missing, unknown, of another shape, or not finite.
    """
    # On the meta device: a stranger's plan must not allocate more memory than its weights need.
    with torch.device("meta"):
        network = build_network(plan)
    for problem in _misfits(network.state_dict(), state):
        raise InputError(
            where,
            expected="weights that fit the network of plan.json",
            found=problem,
            remedy=REMEDY,
        )
    network.load_state_dict(
        {
            name: value.float() if value.is_floating_point() else value
            for name, value in state.items()
        },
        assign=True,
    )
    return network.eval().requires_grad_(False)


def _misfits(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Iterator[str]:
    for name in sorted(expected.keys() ^ state.keys()):
        yield f"no tensor {name}" if name in expected else f"an unknown tensor {name}"
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            yield f"{name} of shape {tuple(tensor.shape)} instead of {tuple(expected[name].shape)}"
        elif not torch.isfinite(tensor.float()).all():  # a network computes with 32 bits at most
            yield f"values in {name} that are not finite in 32 bits"


def _weights_file(path: Path, card: Mapping[str, Any], fold: str) -> tuple[str, bytes]:
    name = str(card["weights"][fold])
    return name, read_member(path, name, card["files"][name])


def _tensors(path: Path, name: str, content: bytes) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise InputError(
            path / name, expected="a safetensors file", found=str(error), remedy=REMEDY
        ) from error


def _heading(plan: Plan) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "name": plan.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "segkit": __version__,
        "plan": plan.hash(),
    }


def receipts(contents: Mapping[str, bytes]) -> dict[str, Any]:
    """Return size and sha256 of files, by name."""
    return {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    }


def page_of(model: ModelCard, config: Mapping[str, Any] | None, notes: str) -> bytes:
    """Return the content of card.md."""
    return card_page(model, card_content(model, config, notes)).encode()


def _notes_of(folder: Path) -> str:
    """Return the notes in a bundle folder; if they cannot be read, a training must not end."""
    try:
        return read_notes(folder) if folder.is_dir() else ""
    except InputError as error:
        log.warning("card.md is written without the notes. %s", error)
        return ""


def _remove_old_weights(folder: Path, keep: set[str]) -> None:
    for path in (folder / "weights").glob("fold_*.safetensors"):
        if path.relative_to(folder).as_posix() not in keep:
            # On Windows an open file cannot be removed; the next write removes it.
            with suppress(OSError):
                path.unlink()
