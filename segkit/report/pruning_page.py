"""Tables and HTML page of a pruning: cost and Dice before and after, and the channels kept."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from segkit.report.page import html_page, paragraph
from segkit.report.tables import Cell, html_table

Table = tuple[Sequence[str], list[list[Cell]]]
"""Header and rows."""
COSTS = {"latency": "seconds", "macs": "multiply_adds", "parameters": "parameters"}
"""Key of the cost that each kind of budget limits, in pruning.json."""


def cost_table(result: Mapping[str, Any]) -> Table:
    """Return what the model costs before and after; ``result`` is the content of pruning.json."""
    before, after = result["before"], result["after"]
    rows: list[list[Cell]] = []
    for name, key, unit in (
        ("parameters", "parameters", 1),
        ("multiply-adds of a window, millions", "multiply_adds", 1e6),
        ("time of a window, ms", "seconds", 1e-3),
        ("memory for a window, MB", "bytes", 1e6),
    ):
        if before[key] is not None and after[key] is not None:
            values = [facts[key] / unit for facts in (before, after)]
            shown = [int(value) if unit == 1 else round(value, 1) for value in values]
            rows.append([name, *map(_text, shown), f"{values[1] / values[0]:.2f}"])
    return ("", "before", "after", "ratio"), rows


def _text(value: float) -> str:
    return f"{value:,}".replace(",", " ")


def dice_table(result: Mapping[str, Any]) -> Table:
    """Return Dice before and after, label by label, and the mean; no rows without cases."""
    before, after = result["before"], result["after"]
    rows: list[list[Cell]] = [
        [name, value, after["dice"].get(name), _change(value, after["dice"].get(name))]
        for name, value in before["dice"].items()
    ]
    if before["mean_dice"] is not None:
        means = before["mean_dice"], after["mean_dice"]
        rows.append(["mean", *means, _change(*means)])
    return ("Dice", "before", "after", "change"), rows


def _change(before: float, after: float | None) -> str:
    return "-" if after is None else f"{after - before:+.4f}"


def dice_sentences(result: Mapping[str, Any]) -> str:
    """Return on what the Dice rests, the interval of its change, and what that says."""
    dice = result["dice"]
    if not dice["cases"]:
        return f"{dice['verdict']}."
    change = dice["difference"]
    size = f"{_size_of(change)}: " if change else ""
    return f"{size}{dice['verdict']}. {dice['note']}"


def _size_of(change: Mapping[str, Any]) -> str:
    """Return the change of the mean over cases with its interval; a single case has none."""
    if change["cases"] == 1:
        return f"Change in the only case {change['mean']:+.4f}"
    return (
        f"Change of the mean over cases {change['mean']:+.4f}"
        f" (95 % interval {change['low']:+.4f} to {change['high']:+.4f})"
    )


def channel_table(result: Mapping[str, Any]) -> Table:
    """Return the channels of every stage before and after."""
    before, after = result["before"]["channels"], result["after"]["channels"]
    deepest = len(before) // 2
    names = [f"encoder {number}" for number in range(deepest)]
    names += ["bottleneck", *(f"decoder {number}" for number in range(len(before) - deepest - 1))]
    rows: list[list[Cell]] = [
        [name, ", ".join(map(str, old)), ", ".join(map(str, new))]
        for name, old, new in zip(names, before, after, strict=True)
    ]
    return ("channels", "before", "after"), rows


def budget_sentence(result: Mapping[str, Any]) -> str:
    """Return the budget, what was reached, and whether that is too much.

    Args:
        result: content of pruning.json.
    """
    ((kind, share),) = result["budget"].items()
    ratio = result["after"][COSTS[kind]] / result["before"][COSTS[kind]]
    reached = f"Budget: {kind} {share:g} of the original model; {ratio:.3f} were reached"
    if ratio <= share:
        return f"{reached}."
    reason = " Two timings are never the same." if kind == "latency" else ""
    return f"{reached}, which is more than the budget.{reason}"


def round_table(result: Mapping[str, Any]) -> Table:
    """Return every round: the share that it aimed at, its steps, and the Dice after it."""
    rows: list[list[Cell]] = [
        [
            number,
            f"{facts['share']:.2f}",
            _text(facts["parameters"]),
            _text(round(facts["multiply_adds"] / 1e6, 1)),
            facts["steps"],
            facts["dice"],
            f"{facts['seconds'] / 60:.1f}",
        ]
        for number, facts in enumerate(result["rounds"], start=1)
    ]
    header = ("round", "aim", "parameters", "multiply-adds, M", "steps", "Dice", "minutes")
    return header, rows


def machine_sentence(result: Mapping[str, Any]) -> str:
    """Return where the time was measured."""
    machine = result["machine"]
    count = machine["threads"]
    words = "one thread" if count == 1 else f"{count} threads"
    threads = f", {words}" if machine["device"] == "cpu" else ""
    return (
        f"Time and memory of one window on {machine['device']} in {machine['precision']}{threads};"
        f" the time is the median of {machine.get('runs', 25)} runs of each network, in turns."
    )


def pruning_page(result: Mapping[str, Any]) -> str:
    """Return the page as HTML.

    Args:
        result: content of pruning.json.
    """
    name = html.escape(str(result["model"]["name"]))
    header, dice = dice_table(result)
    parts = [
        f"<h1>Pruning of {name}</h1>",
        paragraph(budget_sentence(result)),
        html_table(*cost_table(result)),
        paragraph(machine_sentence(result)),
        "<h2>Dice on validation cases</h2>",
        html_table(header, dice) if dice else "",
        paragraph(dice_sentences(result)),
        "<h2>Channels</h2>",
        html_table(*channel_table(result)),
        "<h2>Rounds</h2>",
        html_table(*round_table(result)),
        paragraph("The Dice of a round is that of the last validation of its training."),
        *(
            f'<p>round {number}<br><img src="round_{number}/progress.png"'
            f' alt="Loss and Dice of round {number}"></p>'
            for number in range(1, len(result["rounds"]) + 1)
        ),
    ]
    return html_page("Pruning", parts)
