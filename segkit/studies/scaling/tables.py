"""Tables of the scaling study: the networks, what they cost, and the words that train them."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from segkit.config.compose import load
from segkit.config.keys import get, known_keys
from segkit.config.schema import TrainConfig
from segkit.report.tables import Cell
from segkit.studies.scaling.members import Member, Missing

FAMILY = "family.csv"
Table = tuple[list[str], list[list[Cell]]]
"""Header and rows."""
Costs = Mapping[str, float | None]
"""Measured costs by name, of one network."""
OF_THE_STUDY = (
    *("dataset.path", "dataset.store", "run_dir", "seed", "network.name", "format_version"),
    *("network.features", "network.convs", "network.channels_per_group", "plan.patch"),
    *("trainer.batch_size", "trainer.max_steps", "trainer.precision", "trainer.layout", "preset"),
    *("trainer.threads", "trainer.workers", "trainer.checkpoint_minutes"),
    "trainer.checkpoint_steps",
)
"""Settings that a printed command does not repeat, or writes in its own way."""


def train_command(config: TrainConfig, batch_size: int, member: Member) -> str:
    """Return the command that trains a network of the study as the study does.

    Its length and seed are left out, and so is what belongs to this machine.

    Args:
        config: configuration of the study.
        batch_size: patches of a step.
        member: the network.
    """
    words = [*member.candidate.overrides, f"trainer.batch_size={batch_size}"]
    return command_of(config, [*words, *changed_words(config)])


def command_of(config: TrainConfig, overrides: Sequence[str]) -> str:
    """Return the command that trains on the dataset of a study, quoted for a shell."""
    words = ["segkit", "train", f"dataset={config.dataset.path}", *overrides]
    return " ".join(map(shlex.quote, words))


def changed_words(config: TrainConfig, without: Collection[str] = ()) -> list[str]:
    """Return preset and settings of a study's trainings that are not the usual ones, as overrides.

    They follow from the configuration: the call that continues a study need not repeat its words.

    Args:
        config: configuration of the study.
        without: further keys that are left out, besides OF_THE_STUDY.
    """
    usual = load([f"preset={config.preset}"])
    preset = [] if config.preset == "default" else [f"preset={config.preset}"]
    changed = [
        f"{key}={text_of(get(config, key))}"
        for key in known_keys()
        if key not in OF_THE_STUDY
        and key not in without
        and not key.startswith("compute.")
        and get(config, key) != get(usual, key)
    ]
    return [*preset, *changed]


def text_of(value: Any) -> str:
    """Return a value as an override has it.

    >>> text_of({"a": [1, 2]}), text_of(True), text_of(None)
    ('{a:[1,2]}', 'true', 'null')
    """
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{text_of(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(text_of, value))}]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def family_table(found: Sequence[Member]) -> Table:
    """Return every network with its axes and predicted costs, for reading."""
    header = ["size", "way", *AXES, "parameters", "multiply-adds", "share", "GB", "s/step"]
    return [*header, "s/scan"], [
        [
            member.size,
            member.way,
            *axes_of(member),
            f"{member.cost.parameters / 1e6:.2f} M",
            f"{member.cost.multiply_adds / 1e9:.2f} G",
            f"{member.share:.2f}",
            *(
                None if value is None else f"{value:.3g}"
                for value in (
                    gigabytes(member.cost.memory),
                    member.cost.step_seconds,
                    member.cost.seconds,
                )
            ),
        ]
        for member in found
    ]


AXES = ["widths", "convs", "patch", "per group"]
"""Names of the axes in tables."""


def axes_of(member: Member) -> list[Cell]:
    """Return the values of the axes of a network, as text."""
    candidate = member.candidate
    return [
        ", ".join(map(str, candidate.widths)),
        candidate.convs,
        " x ".join(map(str, candidate.patch)),
        candidate.channels_per_group,
    ]


def gigabytes(size: float | None) -> float | None:
    """Return bytes in GB; None stays None."""
    return None if size is None else size / 1e9


def family_rows(found: Sequence[Member], missing: Sequence[Missing]) -> Table:
    """Return every network as a row of family.csv, and the ways that have none."""
    header = ["size", "way", "phi", "network", "widths", "convs", "patch", "channels_per_group"]
    costs = ["parameters", "multiply_adds", "windows", "kept_bytes", "memory", "step_seconds"]
    costs = [*costs, "seconds"]
    rows: list[list[Cell]] = [
        [
            member.size,
            member.way,
            member.phi,
            member.candidate.name,
            "-".join(map(str, member.candidate.widths)),
            member.candidate.convs,
            "x".join(map(str, member.candidate.patch)),
            member.candidate.channels_per_group,
            *(getattr(member.cost, name) for name in costs),
            member.share,
            " ".join(member.candidate.overrides),
            None,
        ]
        for member in found
    ]
    empty: list[Cell] = [None] * (len(header) + len(costs))
    rows += [[part.size, part.way, *empty, part.reason] for part in missing]
    return [*header, *costs, "share", "overrides", "missing"], rows


def cost_table(found: Sequence[Member], measured: Mapping[str, Costs]) -> Table:
    """Return predicted and measured costs side by side; counts are exact, others have a ratio.

    Args:
        found: the networks.
        measured: measured costs by name of the network; those that are not measured are absent.
    """
    names = {
        "memory": ("memory, MB", 1e6),
        "step_seconds": ("s/step", 1.0),
        "seconds": ("s/scan", 1.0),
    }
    header = ["size", "way", "parameters", "multiply-adds of a window", "windows"]
    for text, _ in names.values():
        header += [f"{text}: predicted", "measured", "ratio"]
    rows: list[list[Cell]] = []
    for member in found:
        cost = member.cost
        row: list[Cell] = [member.size, member.way, f"{cost.parameters / 1e6:.2f} M"]
        row += [f"{cost.multiply_adds / 1e9:.2f} G", cost.windows]
        for name, (_, unit) in names.items():
            row += _side_by_side(
                getattr(cost, name), measured.get(member.candidate.name, {}).get(name), unit
            )
        rows.append(row)
    return header, rows


def _side_by_side(predicted: float | None, found: float | None, unit: float) -> list[Cell]:
    texts: list[Cell] = [
        None if value is None else f"{value / unit:.3g}" for value in (predicted, found)
    ]
    ratio = None if not predicted or found is None else f"{predicted / found:.2f}"
    return [*texts, ratio]
