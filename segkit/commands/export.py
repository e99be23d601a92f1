"""segkit export: write a model as one file to share, or its network for OpenVINO."""

from __future__ import annotations

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
    writers: dict[str, Callable[[ModelCard, Path, str | None], None]] = {
        ".segkit": _pack_plain if given.plain else _pack,
        ".xml": _write_graph,
    }
    writer = writers.get(given.out.suffix.lower())
    if writer is None:
        raise UsageError(f"{given.out}: must end with {' or '.join(writers)}")
    if given.plain and writer is not _pack_plain:
        raise UsageError("--plain is for .segkit: in other formats every network is plain")
    cards = [open_card(path) for path in ensemble_paths(resolve_model(given.model))]
    if len(cards) > 1:
        raise UsageError(f"{given.model} holds {len(cards)} models: give the name of one of them")
    files = [given.out]
    if writer is _write_graph:
        files.append(given.out.with_suffix(".bin"))
    for path in files:
        if path.exists() and not given.overwrite:
            raise UsageError(f"{path} exists already; --overwrite replaces it")
    writer(cards[0], given.out, given.fold)
    print(printable(str(given.out)))
    return 0


def _pack(card: ModelCard, out: Path, fold: str | None) -> None:
    # Imported here because it needs torch.
    from segkit.bundle.bundle import pack_bundle  # noqa: PLC0415

    if fold is not None:
        raise UsageError("--fold is for .xml: a .segkit file holds the networks of all folds")
    pack_bundle(card.path, out)


def _pack_plain(card: ModelCard, out: Path, fold: str | None) -> None:
    from segkit.bundle.bundle import read_bundle  # noqa: PLC0415
    from segkit.bundle.plain_model import write_plain  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        _pack(write_plain(read_bundle(card.path), Path(folder) / "bundle"), out, fold)


def _write_graph(card: ModelCard, out: Path, fold: str | None) -> None:
    from segkit.inference.scoring.openvino_file import write_openvino  # noqa: PLC0415

    folds = card.folds
    if fold is None and len(folds) > 1:
        raise UsageError(
            f"{card.path} holds the networks of the folds {', '.join(folds)}: "
            "choose one with --fold"
        )
    if fold is not None and fold not in folds:
        raise UsageError(f"--fold {fold}: {card.path} holds {', '.join(folds)}")
    write_openvino(card.path, folds[0] if fold is None else fold, out)
    log.info(
        "%s computes the scores of one window; "
        "its runtime information holds the plan (segkit, plan)",
        out,
    )


def _parser() -> Parser:
    parser = Parser(
        prog="segkit export",
        description="Write a model as a file for another machine or program. The suffix of OUT "
        "chooses the format: .segkit is one file that 'segkit predict -m' takes; .xml is the "
        "network of one fold for OpenVINO, with the weights in a .bin file beside it (needs the "
        "extra segkit[openvino]).",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="a bundle or run folder, a .segkit file, or a model's name"
    )
    parser.add_argument(
        "out", metavar="OUT", type=Path, help="the file to write, which ends with .segkit or .xml"
    )
    parser.add_argument(
        "--fold", help="the fold whose network is written, if there are several (.xml only)"
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="write network=equivariant_unet as the plain U-Net that computes the same (.segkit)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    return parser
