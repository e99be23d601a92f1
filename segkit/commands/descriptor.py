"""segkit descriptor: what a platform reads to run segkit's image, on standard output."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from segkit.bundle.card import open_card
from segkit.bundle.lookup import ensemble_paths, model_name, resolve_model
from segkit.commands.flags import Parser
from segkit.errors import UsageError
from segkit.platforms.catalogue import DESCRIPTORS
from segkit.platforms.facts import Facts
from segkit.platforms.grand_challenge import slugs_of
from segkit.units import parse_size


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
    more = _more_words(given)
    usual = Facts()
    image = given.image or usual.image
    memory = parse_size(given.memory) if given.memory else usual.memory
    if given.model is None:
        return Facts(image=image, memory=memory, gpu=given.gpu, more=more)
    path = resolve_model(given.model)
    return Facts(
        image=image,
        memory=memory,
        gpu=given.gpu,
        card=open_card(ensemble_paths(path)[0]),
        model=model_name(path),
        more=more,
    )


def _more_words(given: argparse.Namespace) -> tuple[str, ...]:
    """Return the words about the inputs and the output of an algorithm on grand-challenge.org."""
    if given.platform != "grand-challenge" and (given.output_path or given.socket):
        flag = "--output-path" if given.output_path else "--socket"
        raise UsageError(f"{flag} is for grand-challenge only")
    slugs_of(given.socket)
    path = ("--output-path", given.output_path) if given.output_path else ()
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
        "--memory", metavar="SIZE", help="memory to ask the platform for (default: 8GB)"
    )
    parser.add_argument("--gpu", action="store_true", help="ask the platform for one GPU")
    _add_algorithm(parser)
    return parser


def _add_algorithm(parser: Parser) -> None:
    group = parser.add_argument_group("grand-challenge")
    group.add_argument(
        "--output-path", metavar="PATH", help="relative path of the output socket, images/SLUG"
    )
    group.add_argument(
        "--socket",
        metavar="CHANNEL=SLUG",
        nargs="+",
        default=[],
        help="input socket of each channel of a model of several channels",
    )
