"""segkit export: write a model as one file to share, or its network for OpenVINO or ONNX."""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from segkit.bundle.card import ModelCard, open_card
from segkit.bundle.lookup import ensemble_paths, resolve_model
from segkit.commands.flags import Parser
from segkit.errors import UsageError, printable

log = logging.getLogger(__name__)


def run(arguments: Sequence[str]) -> int:
    """Write the model in the format of the suffix of OUT, and return the exit code."""
    given = _parser().parse_args(arguments)
    writers: dict[str, Callable[[ModelCard, argparse.Namespace], None]] = {
        ".segkit": _pack_plain if given.plain else _pack,
        ".xml": _write_graph,
        ".onnx": _write_onnx,
    }
    suffix = given.out.suffix.lower()
    if suffix not in writers:
        raise UsageError(f"{given.out}: must end with {', '.join(writers)}")
    if given.scan and suffix != ".onnx":
        raise UsageError("--scan is for .onnx: only that is compared with the model on scans")
    if given.plain and suffix != ".segkit":
        raise UsageError("--plain is for .segkit: in other formats every network is plain")
    cards = [open_card(path) for path in ensemble_paths(resolve_model(given.model))]
    if len(cards) > 1:
        raise UsageError(f"{given.model} holds {len(cards)} models: give the name of one of them")
    for path in [given.out, *([given.out.with_suffix(".bin")] if suffix == ".xml" else [])]:
        if path.exists() and not given.overwrite:
            raise UsageError(f"{path} exists already; --overwrite replaces it")
    writers[suffix](cards[0], given)
    print(printable(str(given.out)))
    return 0


def _pack(card: ModelCard, given: argparse.Namespace) -> None:
    # Imported here because it needs torch.
    from segkit.bundle.pack import pack_bundle  # noqa: PLC0415

    if given.fold is not None:
        raise UsageError(
            "--fold is for .xml and .onnx: a .segkit file holds the networks of all folds"
        )
    pack_bundle(card.path, given.out)


def _pack_plain(card: ModelCard, given: argparse.Namespace) -> None:
    from segkit.bundle.bundle import read_bundle  # noqa: PLC0415
    from segkit.bundle.plain_model import write_plain  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        _pack(write_plain(read_bundle(card.path), Path(folder) / "bundle"), given)


def _write_graph(card: ModelCard, given: argparse.Namespace) -> None:
    from segkit.inference.export.openvino_file import write_openvino  # noqa: PLC0415

    write_openvino(card.path, _fold(card, given.fold), given.out)
    log.info(
        "%s computes the scores of one window; "
        "its runtime information holds the plan (segkit, plan)",
        given.out,
    )


def _write_onnx(card: ModelCard, given: argparse.Namespace) -> None:
    from segkit.inference.export.onnx_file import write_onnx  # noqa: PLC0415

    write_onnx(card.path, _fold(card, given.fold), given.out, given.scan)
    log.info(
        "%s computes the scores of windows in float32; "
        "its metadata say how to prepare them (patch, spacing, channels, outputs, plan)",
        given.out,
    )


def _fold(card: ModelCard, fold: str | None) -> str:
    """Return the fold whose network is written: the only one, or the one that was asked for."""
    folds = card.folds
    if fold is None and len(folds) > 1:
        raise UsageError(
            f"{card.path} holds the networks of the folds {', '.join(folds)}: "
            "choose one with --fold"
        )
    if fold is not None and fold not in folds:
        raise UsageError(f"--fold {fold}: {card.path} holds {', '.join(folds)}")
    return folds[0] if fold is None else fold


def _parser() -> Parser:
    parser = Parser(
        prog="segkit export",
        description="Write a model as a file for another machine or program. The suffix of OUT "
        "chooses the format: .segkit is one file that 'segkit predict -m' takes; .xml is the "
        "network of one fold for OpenVINO, with the weights in a .bin file beside it (needs the "
        "extra segkit[openvino]); .onnx is the network of one fold in one file (opset 21, "
        "float32), written only if onnxruntime computes the model's scores with it (needs the "
        "extra segkit[onnx]).",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="a bundle or run folder, a .segkit file, or a model's name"
    )
    parser.add_argument(
        "out",
        metavar="OUT",
        type=Path,
        help="the file to write, which ends with .segkit, .xml or .onnx",
    )
    parser.add_argument(
        "--fold", help="the fold whose network is written, if there are several (.xml and .onnx)"
    )
    parser.add_argument(
        "--scan",
        metavar="SCAN",
        nargs="+",
        type=Path,
        default=[],
        help="scans on which the scores are compared, given as to segkit predict (.onnx only; "
        "default: up to 3 cases of the run's dataset, or random numbers if it is not there)",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="write network=equivariant_unet as the plain U-Net that computes the same (.segkit)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    return parser
