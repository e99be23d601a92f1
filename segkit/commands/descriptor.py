"""segkit descriptor: what a platform reads to run segkit's image, on standard output."""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Sequence

from segkit.bundle.card import ModelCard, open_card
from segkit.bundle.lookup import ensemble_paths, model_name, resolve_model
from segkit.commands.flags import Parser
from segkit.errors import UsageError
from segkit.platforms.catalogue import DESCRIPTORS
from segkit.platforms.facts import OWN_SHARE, Facts
from segkit.platforms.grand_challenge import OUTPUT_PATH, relative_path, slugs_of
from segkit.units import parse_size, size_text

LEAST_MEMORY = 2_000_000_000
"""Bytes that are asked for at least, where the model's training says how large scans are."""

log = logging.getLogger(__name__)


def run(arguments: Sequence[str]) -> int:
    """Print the descriptor and return the exit code."""
    given = _parser().parse_args(arguments)
    parts = DESCRIPTORS[given.platform]
    name = given.part or next(iter(parts))
    if name not in parts:
        raise UsageError(
            f"--part {name}: the descriptor for {given.platform} has the parts {', '.join(parts)}"
        )
    print(parts[name].make(_facts(given)))
    return 0


def _facts(given: argparse.Namespace) -> Facts:
    path = resolve_model(given.model) if given.model is not None else None
    cards = [open_card(member) for member in ensemble_paths(path)] if path else []
    usual = Facts()
    return Facts(
        image=given.image or usual.image,
        memory=parse_size(given.memory) if given.memory else _memory(cards) or usual.memory,
        gpu=given.gpu,
        card=cards[0] if cards else None,
        model=model_name(path) if path else "",
        more=_more_words(given),
    )


def _memory(cards: Sequence[ModelCard]) -> int | None:
    """Return the bytes to ask for, from the largest scan of a model's training, and log them.

    The result is None without a model, or where its training has not recorded its scans.
    """
    if not cards:
        return None
    # Imported here because it needs torch.
    from segkit.inference.scoring.expected_memory import expected_memory  # noqa: PLC0415

    expected = expected_memory(cards)
    if expected is None:
        return None
    size, shape = expected
    memory = max(LEAST_MEMORY, math.ceil(size / OWN_SHARE / 1e9) * 10**9)
    log.info(
        "memory: %s, for scans of up to %s voxels, as in the training; --memory asks for more",
        size_text(memory),
        " x ".join(map(str, shape)),
    )
    return memory


def _more_words(given: argparse.Namespace) -> tuple[str, ...]:
    """Return the words for grand-challenge.org, which name inputs and output of an algorithm."""
    if given.platform == "grand-challenge" and given.gpu:
        raise UsageError("--gpu: on grand-challenge.org, choose a GPU on the algorithm's page")
    if given.platform != "grand-challenge" and (given.output_path or given.socket):
        flag = "--output-path" if given.output_path else "--socket"
        raise UsageError(f"{flag} is for grand-challenge only")
    slugs_of(given.socket)
    path = ("--output-path", relative_path(given.output_path)) if given.output_path else ()
    return (*path, *(("--socket", *given.socket) if given.socket else ()))


def _parser() -> Parser:
    parser = Parser(
        prog="segkit descriptor",
        description="Print what a platform reads to run segkit's image. What is printed starts "
        "'segkit run-as PLATFORM' in the image. docs/platforms.md says where each text goes.",
        epilog="parts: "
        + "; ".join(
            f"{platform}: " + ", ".join(f"{name} ({part.where})" for name, part in parts.items())
            for platform, parts in DESCRIPTORS.items()
        ),
    )
    parser.add_argument(
        "platform", metavar="PLATFORM", choices=[*DESCRIPTORS], help=", ".join(DESCRIPTORS)
    )
    parser.add_argument("--part", metavar="PART", help="part to print (default: the first one)")
    parser.add_argument("--image", metavar="NAME:TAG", help="name of the image, with its tag")
    parser.add_argument(
        "-m",
        "--model",
        metavar="MODEL",
        help="the model to use, which is in the image under its file's or folder's name; its "
        "labels and hash are described (default: the image's only model, or $SEGKIT_MODEL)",
    )
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        help="memory to ask the platform for (default: enough for the largest scan of the "
        "training of MODEL; without a model 8GB)",
    )
    parser.add_argument("--gpu", action="store_true", help="ask the platform for one GPU")
    _add_algorithm(parser)
    return parser


def _add_algorithm(parser: Parser) -> None:
    group = parser.add_argument_group("grand-challenge")
    group.add_argument(
        "--output-path",
        metavar="PATH",
        help=f"relative path of the output socket, images/SLUG (default: {OUTPUT_PATH})",
    )
    group.add_argument(
        "--socket",
        metavar="CHANNEL=SLUG",
        nargs="+",
        default=[],
        help="input socket of each channel of a model of several channels",
    )
