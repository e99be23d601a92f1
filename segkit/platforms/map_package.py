"""MONAI Application Package (MAP): its two manifests, its folders, and its Dockerfile.

Source: MONAI Deploy, guidelines/monai-application-package.md, version 1.0.0.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segkit._version import __version__
from segkit.platforms.facts import Facts, json_text

API_VERSION = "1.0.0"
"""Version of the specification, which is that of the manifests' schema."""
WORKDIR = "/var/holoscan/"
MODELS = "/opt/holoscan/models/"
USER = "10001:10001"
"""User and group of the image, as docker/Dockerfile sets them."""
ENVIRONMENT = {
    "HOLOSCAN_INPUT_PATH": "/var/holoscan/input/",
    "HOLOSCAN_OUTPUT_PATH": "/var/holoscan/output/",
    "HOLOSCAN_WORKDIR": WORKDIR,
    "HOLOSCAN_MODEL_PATH": MODELS,
    "HOLOSCAN_CONFIG_PATH": "/var/holoscan/app.yaml",
    "HOLOSCAN_APP_MANIFEST_PATH": "/etc/holoscan/app.json",
    "HOLOSCAN_PKG_MANIFEST_PATH": "/etc/holoscan/pkg.json",
    "HOLOSCAN_DOCS": "/opt/holoscan/docs",
    "HOLOSCAN_LOGS": "/var/holoscan/logs",
}
"""Variables that the specification asks for, with their usual values.

The specification's table calls the manifests ``app.config`` and ``pkg.config``, and everything else
in it ``app.json`` and ``pkg.json``, as the SDK does.
"""


def app_json(facts: Facts) -> str:
    """Return /etc/holoscan/app.json: how the application is run, and where its files are."""
    return json_text(
        {
            "apiVersion": API_VERSION,
            "type": "application",
            "command": shlex.join(facts.command("map")),
            "environment": ENVIRONMENT,
            "input": {"path": ENVIRONMENT["HOLOSCAN_INPUT_PATH"], "formats": ["file"]},
            "output": {"path": ENVIRONMENT["HOLOSCAN_OUTPUT_PATH"], "format": "file"},
            "sdk": "segkit",
            "sdkVersion": __version__,
            "timeout": 0,
            "version": __version__,
            "workingDirectory": WORKDIR,
        }
    )


def pkg_json(facts: Facts) -> str:
    """Return /etc/holoscan/pkg.json: models, and the resources that the application needs."""
    resources: dict[str, Any] = {"cpu": 1, "gpu": int(facts.gpu), "sharedMemory": "64Mi"}
    models = [{"name": facts.model, "path": facts.model}] if facts.model else []
    return json_text(
        {
            "apiVersion": API_VERSION,
            "applicationRoot": "/opt/holoscan/app/",
            "modelRoot": MODELS,
            "models": models,
            "resources": {**resources, "memory": f"{facts.mebibytes}Mi"},
            "version": __version__,
        }
    )


def dockerfile(facts: Facts) -> str:
    """Return a Dockerfile of an image that runs the application when it gets no arguments.

    Platforms start the command of the manifests, so these are written anew, with the same facts.
    """
    flags = ["--memory", f"{facts.memory}B", *(["--gpu"] if facts.gpu else [])]
    if facts.model:
        flags += ["-m", facts.model]
    manifests = [
        f"segkit descriptor map --part {part} {shlex.join(flags)} > /etc/holoscan/{part}.json"
        for part in ("app", "pkg")
    ]
    return (
        f"FROM {facts.image}\n"
        f'LABEL org.opencontainers.image.title="{facts.name}" '
        f'org.opencontainers.image.version="{__version__}"\n'
        f"USER root\n"
        f"RUN {' && '.join(['mkdir -p /etc/holoscan', *manifests])}\n"
        f"USER {USER}\n"
        f"CMD {json.dumps(facts.command('map')[1:])}"
    )


def input_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder where the platform puts scans."""
    return Path(_of(environment, "HOLOSCAN_INPUT_PATH"))


def output_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder where the platform looks for results."""
    return Path(_of(environment, "HOLOSCAN_OUTPUT_PATH"))


def model_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder where the platform puts models."""
    return Path(_of(environment, "HOLOSCAN_MODEL_PATH"))


def _of(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or ENVIRONMENT[name]
