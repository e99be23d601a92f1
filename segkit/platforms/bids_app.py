"""BIDS App: the Boutiques descriptor of segkit's command line for BIDS datasets.

Source: the command line of BIDS Apps (Gorgolewski et al., PLoS Comput Biol 13(3), 2017), and
Boutiques 0.5: schema/descriptor.schema.json and the rules of ``bosh validate --bids`` in bids.py.
"""

from __future__ import annotations

import shlex
from typing import Any

from segkit._version import __version__
from segkit.platforms.facts import Facts, json_text

KEYS = "[BIDS_DIR] [OUTPUT_DIR] [ANALYSIS_LEVEL] [PARTICIPANT_LABEL] [SESSION_LABEL]"
"""Keys that Boutiques replaces, in the order that its rules for BIDS Apps ask for."""
LEVEL = "participant"
"""The only level of analysis: every scan is segmented by itself."""


def boutiques(facts: Facts) -> str:
    """Return the descriptor as JSON."""
    command = shlex.join(facts.without_model.command("bids"))
    return json_text(
        {
            "name": facts.name,
            "tool-version": __version__,
            "schema-version": "0.5",
            "description": facts.description,
            # The keys stand behind the flags: a flag of several values would take them as values.
            "command-line": f"mkdir -p [OUTPUT_DIR]; {command} {KEYS} [MODEL]",
            "container-image": _container(facts),
            "suggested-resources": {"cpu-cores": 1, "ram": facts.memory / 1e9},
            "inputs": _inputs(facts),
            "output-files": [
                {
                    "id": "output_dir",
                    "name": "Output folder",
                    "description": "BIDS derivatives with a dseg.nii.gz for every scan",
                    "path-template": "[OUTPUT_DIR]",
                    "optional": False,
                }
            ],
            "groups": [
                {
                    "id": "output",
                    "name": "Output folder, new or existing",
                    "members": ["output_name", "output_folder"],
                    "mutually-exclusive": True,
                    "one-is-required": True,
                }
            ],
            "tags": {"application-type": ["bids"], "domain": ["neuroinformatics", "mri"]},
        }
    )


def _container(facts: Facts) -> dict[str, Any]:
    content: dict[str, Any] = {"type": "docker", "image": facts.image}
    return {**content, "container-opts": ["--gpus", "all"]} if facts.gpu else content


def _inputs(facts: Facts) -> list[dict[str, Any]]:
    return [
        _input("bids_dir", "BIDS dataset", "[BIDS_DIR]", type="File", optional=False),
        # The rules of Boutiques want the output both as a name and as a file.
        _input("output_name", "Name of the output folder", "[OUTPUT_DIR]", optional=True),
        _input(
            "output_folder", "Existing output folder", "[OUTPUT_DIR]", type="File", optional=True
        ),
        _input(
            "analysis_level",
            "Level of the analysis",
            "[ANALYSIS_LEVEL]",
            optional=False,
            **{"value-choices": [LEVEL]},
        ),
        _labels("participant", "[PARTICIPANT_LABEL]"),
        _labels("session", "[SESSION_LABEL]"),
        _input(
            "model",
            "Name of a model in the image; without it, the only one",
            "[MODEL]",
            optional=True,
            **{
                "command-line-flag": "-m",
                **({"default-value": facts.model} if facts.model else {}),
            },
        ),
    ]


def _input(name: str, text: str, key: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "name": text, "type": "String", "value-key": key, **more}


def _labels(noun: str, key: str) -> dict[str, Any]:
    """Return the input for the labels of participants or sessions; without it, all of them."""
    return _input(
        f"{noun}_label",
        f"Labels of the {noun}s; without them, all",
        key,
        optional=True,
        **{"list": True, "command-line-flag": f"--{noun}_label"},
    )
