"""Command line with the settings of a training that differ from the defaults."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from segkit.bundle.private_paths import last_part
from segkit.config.choices import configs_folder, own_choices
from segkit.config.keys import get, known_keys, put
from segkit.config.schema import TrainConfig

PATHS = (
    *("dataset.path", "dataset.groups", "plan.file", "plan.harmonization"),
    *("weights", "rewind", "mask"),
)
"""Settings that are paths: their folders may name a person and are left out."""
LEFT_OUT = ("run_dir", "dataset.store", "dataset.path", "trainer.threads", "trainer.workers")
"""Settings that say where something is, or on which machine, and that change no result."""
SHORT = {"network.name": "network", "compute.name": "compute", "plan.file": "plan"}
"""Keys that are written shorter."""


def settings_line(config: Mapping[str, Any], verb: str = "train") -> str:
    """Return the command with the settings that differ from the defaults and from the preset.

    The defaults are those of this version.

    >>> settings_line({"dataset": {"path": "/home/me/Task04"}, "trainer": {"max_steps": 800}})
    'segkit train Task04 trainer.max_steps=800'

    Args:
        config: content of a bundle's config.json.
        verb: words after ``segkit``.
    """
    dataset = last_part(str(_value(config, "dataset.path") or "DATASET"))
    words = [shlex.quote(word) for word in [dataset, *_changed(config)]]
    return " ".join(["segkit", verb, *words])


def _changed(config: Mapping[str, Any]) -> Iterator[str]:
    defaults = _defaults(_value(config, "preset"))
    for key in sorted(known_keys(), key=lambda key: key != "preset"):
        value = _value(config, key)
        default = TrainConfig().preset if key == "preset" else get(defaults, key)
        if key in LEFT_OUT or value is None or value == default:
            continue
        text = last_part(value) if key in PATHS and isinstance(value, str) else _text(value)
        yield f"{SHORT.get(key, key)}={text}"


def _defaults(preset: Any) -> TrainConfig:
    """Return the defaults with the values of a preset; a preset that is not known has none."""
    defaults = TrainConfig()
    if preset in own_choices("preset"):
        file = configs_folder() / "preset" / f"{preset}.yaml"
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        for key in known_keys():
            value = _value(content, key)
            if value is not None:
                put(defaults, key, value)
    return defaults


def _value(config: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted key; None if an older version has not written it."""
    value: Any = config
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _text(value: Any) -> str:
    """Return a value as an override has it.

    >>> _text([16, 32]), _text({"liver": 1}), _text(True), _text("muon")
    ('[16,32]', '{liver:1}', 'true', 'muon')
    """
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{_text(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)
