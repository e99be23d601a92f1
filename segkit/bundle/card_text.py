"""The card of a model as Markdown that also reads well as plain text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from segkit.bundle.card import ModelCard
from segkit.bundle.card_words import (
    UNKNOWN,
    count_words,
    dice_words,
    names_words,
    number_words,
    per_axis_words,
    range_words,
    volume_words,
)
from segkit.errors import first_few, printable
from segkit.units import is_number

ORIGINS = {"weights": "Started from the", "mask": "With a mask of"}
"""Facts of a training that say what it began with, and the words before them."""
HEAD = "Written by segkit from what the training recorded; your own words go into notes.md."


def card_page(model: ModelCard, content: Mapping[str, Any]) -> str:
    """Return the content of card.md.

    Args:
        model: the model.
        content: as `segkit.bundle.card_content.card_content` returns it.
    """
    of_model = f"{model.created}, hash {model.hash}, plan {model.plan.hash()}"
    return f"# Model card: {printable(model.name)}\n\n{HEAD}\n\n{of_model}\n\n{card_text(content)}"


def card_text(content: Mapping[str, Any]) -> str:
    """Return the sections of a card.

    Args:
        content: as `segkit.bundle.card_content.card_content` returns it.
    """
    sections = {
        "Training data": _data(content["data"]),
        "Labels seen in the data": _labels(content),
        "Results": _results(content),
        "Do not use it for": content["not_for"],
        "Training": _training(content["training"]),
    }
    parts = [f"## {title}\n\n{_bullets(lines)}" for title, lines in sections.items()]
    notes = str(content["notes"]).strip()
    return "\n".join([*parts, *([f"## Notes\n\n{notes}\n"] if notes else [])])


def _bullets(lines: Any) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _data(data: Mapping[str, Any]) -> Iterator[str]:
    yield f"{_word(data['name'])}, trained on {_people(data['cases'], data['patients'])}"
    if data["folds"]:
        yield f"{count_words(data['folds'], 'fold')}: each network is trained without one part"
    else:
        validation = _people(data["validation_cases"], data["validation_patients"])
        yield f"Validated on {validation}"
    yield f"License of the data: {_word(data['license'])}"
    yield f"Sites or scanners, with training cases: {_groups(data)}"
    yield from _ranges(data)
    yield "Age, sex and disease of the patients: not recorded"


def _ranges(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield voxel size, field of view and intensities, from the smallest to the largest case."""
    if not data["spacing"]:
        yield f"Voxel size, field of view and intensities: {UNKNOWN}"
        yield f"Channels: {names_words(data['channels'])}"
        return
    unit = data["unit"]
    cases = count_words(data["measured_cases"], "labeled case")
    yield f"Voxel size over {cases}: {per_axis_words(data['spacing'], unit)}"
    yield f"Field of view: {per_axis_words(data['size'], unit)}"
    for name, channel in data["channels"].items():
        if channel:
            yield (
                f"Channel {printable(name)}: lowest value of a scan"
                f" {range_words(channel['lowest'])}, highest {range_words(channel['highest'])}"
            )


def _groups(data: Mapping[str, Any]) -> str:
    groups = [f"{printable(name)} ({count})" for name, count in (data["groups"] or {}).items()]
    if is_number(data["unnamed_groups"]):
        groups.append(f"not named, of a single patient each: {data['unnamed_groups']}")
    return ", ".join(groups) or UNKNOWN


def _people(cases: Any, patients: Any) -> str:
    """Return numbers of cases and patients in words.

    >>> _people(160, 80), _people(3, None)
    ('160 cases of 80 patients', '3 cases (patients: not recorded)')
    """
    if not is_number(cases):
        return f"an unknown number of cases ({UNKNOWN})"
    named = f" of {count_words(patients, 'patient')}" if is_number(patients) else ""
    return count_words(cases, "case") + (named or " (patients: not recorded)" * bool(cases))


def _labels(content: Mapping[str, Any]) -> Iterator[str]:
    unit, of = content["data"]["unit"], content["data"]["measured_cases"]
    for name, label in content["labels"].items():
        if not label["volume"]:
            seen = UNKNOWN if label["cases"] is None else "in no case"
        else:
            seen = f"in {label['cases']} of {count_words(of, 'case')}"
            seen += f", {volume_words(label['volume'], unit)}"
        yield f"{printable(name)} (value {label['value']}): {seen}"


def _results(content: Mapping[str, Any]) -> Iterator[str]:
    results = content["results"]
    if not results:
        yield f"{UNKNOWN.capitalize()}: measure it with 'segkit evaluate' on scans of your own"
        return
    yield _measured(results, content["training"])
    for name, result in results["labels"].items():
        yield f"{printable(name)}: {dice_words(result)}"
    if is_number(results["mean"]):
        yield f"Mean over the labels: Dice {results['mean']:.3f}"
    if results["expected_dice"]:
        yield _expected(results["expected_dice"])
    yield (
        "The cases are of the same dataset as those of the training, and intervals are over cases:"
        " on scans from elsewhere it may be worse"
    )


def _expected(accuracy: Mapping[str, Any]) -> str:
    """Return in words how far the expected Dice of a scan is off.

    >>> _expected({"cases": 20, "error": 0.03, "error_of_mean": 0.04})
    'Expected Dice of a scan (predict --stats): off by 0.030 on average over 20 cases left out of \
the fit; the mean Dice of the label is off by 0.040'
    """
    usual = accuracy.get("error_of_mean")
    compared = f"; the mean Dice of the label is off by {usual:.3f}" if is_number(usual) else ""
    return (
        f"Expected Dice of a scan (predict --stats): off by {accuracy['error']:.3f} on average over"
        f" {count_words(accuracy['cases'], 'case')} left out of the fit{compared}"
    )


def _measured(results: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    steps, cases = training["steps"], count_words(results["cases"], "case")
    if results["out_of_fold"]:
        return f"Measured on {cases}, each by the fold that did not see it, on the grid of the scan"
    when = ""
    if is_number(results["step"]) and results["step"] != steps:
        when = f", after step {results['step']} of {_word(steps)}"
    fold = _word(results["fold"])
    where = f"on the validation cases, which did not train the network ({cases}; fold: {fold})"
    before = f"; whether they trained the model that it started from: {UNKNOWN}"
    return f"Measured {where}, on its grid{when}{before if training['weights'] else ''}"


def _training(training: Mapping[str, Any]) -> Iterator[str]:
    minutes = training["minutes"]
    length = f"{number_words(minutes)} minutes" if is_number(minutes) else f"time: {UNKNOWN}"
    yield f"{_steps(training['steps'])}; {length}; fold: {_word(training['fold'])}"
    numerics = (f"{_word(training[key])}" for key in ("precision", "layout", "seed"))
    yield "Precision {}, memory format {}, seed {}".format(*numerics)
    yield f"Machine: {_machine(training['machine'])}"
    versions = training["versions"] if isinstance(training["versions"], dict) else {}
    others = "".join(f", {_word(name)} {_word(text)}" for name, text in versions.items())
    yield f"Versions: segkit {_word(training['segkit'])}{others or f', others {UNKNOWN}'}"
    for key, words in ORIGINS.items():
        if isinstance(training[key], dict):
            yield f"{words} {_facts(training[key])}"
    command = training["command"]
    yield f"Command: `{printable(command)}`" if command else f"Command: {UNKNOWN}"


def _steps(steps: Any) -> str:
    if isinstance(steps, list):
        return f"{', '.join(map(_word, steps))} steps of the folds"
    return count_words(steps, "step")


def _facts(facts: Mapping[str, Any]) -> str:
    """Return facts in words.

    >>> _facts({"model": "liver", "new_labels": [], "labels": ["liver", "spleen"]})
    'model liver; new labels none; labels liver, spleen'
    """

    def words(value: Any) -> str:
        listed = first_few([_word(item) for item in value]) if isinstance(value, list) else value
        return _word(listed if listed != "" else "none")

    return "; ".join(
        f"{_word(key).replace('_', ' ')} {words(value)}" for key, value in facts.items()
    )


def _machine(machine: Any) -> str:
    if not isinstance(machine, dict):
        return UNKNOWN
    kind = "GPU" if machine.get("device") == "cuda" else "CPU"
    processes = machine.get("processes")
    several = "" if processes in (None, 1) else f"{_word(processes)} processes, "
    return (
        f"{several}{kind} {_word(machine.get('processor'))}, "
        f"{_word(machine.get('threads'))} of {_word(machine.get('cores'))} CPU threads,"
        f" {_word(machine.get('system'))}"
    )


def _word(value: Any) -> str:
    return UNKNOWN if value in (None, "") else printable(str(value))
