"""XNAT container service (3.7): the command that an image's label ``org.nrg.commands`` holds.

Source: NrgXnat/container-service, docs/command.md (schema version 1.0), the checks in
``Command.validate`` and the start of containers in ``DockerControlApi``.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from segkit._version import __version__
from segkit.platforms.facts import Facts, json_text

INPUT, OUTPUT = Path("/input"), Path("/output")
MODEL_KEY = "#MODEL#"
"""Text of the command line that XNAT replaces by ``-m NAME``, or by nothing."""
RESULTS = "SEGKIT"
"""Label of the resource that the results become."""


def label(facts: Facts) -> str:
    """Return the value of the label ``org.nrg.commands``: a list of commands, in one line."""
    return json.dumps([_command(facts)], ensure_ascii=False)


def command(facts: Facts) -> str:
    """Return the command alone, as XNAT's page for a new command takes it."""
    return json_text(_command(facts))


def _command(facts: Facts) -> dict[str, Any]:
    words = facts.without_model.command("xnat")
    content: dict[str, Any] = {
        "name": facts.name,
        "label": facts.name,
        "description": facts.description,
        "version": __version__,
        "schema-version": "1.0",
        "type": "docker",
        "image": facts.image,
        # Without this, XNAT would give the whole line to the image's entry point as arguments.
        "override-entrypoint": True,
        "command-line": f"{shlex.join(words)} {MODEL_KEY}",
        "reserve-memory": facts.mebibytes,
        "limit-memory": facts.mebibytes,
        "mounts": [
            {"name": "scans", "writable": False, "path": str(INPUT)},
            {"name": "results", "writable": True, "path": str(OUTPUT)},
        ],
        "inputs": [_model_input(facts)],
        "outputs": [
            {
                "name": "segmentations",
                "description": "DICOM-SEG of DICOM series, .nii.gz of other scans",
                "required": True,
                "mount": "results",
                "path": "",
                "glob": "",
            }
        ],
        "xnat": [_scan_wrapper("DICOM"), _scan_wrapper("NIFTI"), _session_wrapper()],
    }
    return {**content, "runtime": "nvidia"} if facts.gpu else content


def _model_input(facts: Facts) -> dict[str, Any]:
    return {
        "name": "model",
        "label": "Model",
        "description": "Name of a model in the image; empty for the only one",
        "type": "string",
        "required": False,
        "default-value": facts.model,
        "replacement-key": MODEL_KEY,
        "command-line-flag": "-m",
    }


def _scan_wrapper(resource: str) -> dict[str, Any]:
    """Return the wrapper that segments one scan, from its resource DICOM or NIFTI."""
    return {
        "name": f"segkit-scan-{resource.lower()}",
        "label": f"segkit: segment this scan ({resource})",
        "description": f"Segment the resource {resource} of a scan",
        "contexts": ["xnat:imageScanData"],
        "external-inputs": [
            {
                "name": "scan",
                "description": f"Scan with a resource {resource}",
                "type": "Scan",
                "required": True,
                "matcher": f"'{resource}' in @.resources[*].label",
            }
        ],
        "derived-inputs": [
            {
                "name": "scan-files",
                "description": f"Resource {resource} of the scan",
                "type": "Resource",
                "required": True,
                "derived-from-wrapper-input": "scan",
                "provides-files-for-command-mount": "scans",
                "matcher": f"@.label == '{resource}'",
            }
        ],
        "output-handlers": [_output_handler("scan", resource)],
    }


def _session_wrapper() -> dict[str, Any]:
    """Return the wrapper that segments every DICOM series of a session."""
    return {
        "name": "segkit-session-dicom",
        "label": "segkit: segment every DICOM series of this session",
        "description": "Segment every DICOM series of a session that is a volume",
        "contexts": ["xnat:imageSessionData"],
        "external-inputs": [
            {
                "name": "session",
                "description": "Session with DICOM scans",
                "type": "Session",
                "required": True,
                "provides-files-for-command-mount": "scans",
            }
        ],
        "derived-inputs": [],
        "output-handlers": [_output_handler("session", "DICOM")],
    }


def _output_handler(parent: str, kind: str) -> dict[str, Any]:
    return {
        "name": f"{parent}-segmentations",
        "accepts-command-output": "segmentations",
        "as-a-child-of": parent,
        "type": "Resource",
        "label": RESULTS,
        "format": kind,
        "content": "SEG",
    }
