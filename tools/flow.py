"""List the files that a scan enters in a prediction, and an override before a training starts.

    python tools/flow.py

The code is run, once with a scan and the model in tests/data, once with overrides; every call from
one file of the package to another is counted. Layers are numbered from below, as in
[tool.importlinter] of pyproject.toml. A call upwards is one through a callback.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import segkit
from segkit.config.compose import load

ROOT = Path(segkit.__file__).parents[1]
MODEL = Path(__file__).resolve().parents[1] / "tests" / "data" / "bundle_v1"
OVERRIDES = ["dataset=scans", "network=unet", "trainer.max_steps=5"]


@dataclass
class Flow:
    """Files that were entered, in order, and the number of calls from file to file."""

    files: list[str] = field(default_factory=list)
    calls: int = 0
    upwards: list[str] = field(default_factory=list)
    """Calls to a file of a higher layer, as "caller -> file"."""


def flow_of(action: Callable[[], Any]) -> Flow:
    """Run ``action`` and return the files of the package that it enters."""
    flow, layers = Flow(), layers_from_below()

    def follow(frame: FrameType, event: str, _argument: Any) -> None:
        file, caller = _inside(frame), _inside(frame.f_back)
        if event != "call" or not file:
            return
        if file not in flow.files:
            flow.files.append(file)
        if caller and caller != file:
            flow.calls += 1
            if layer_of(file, layers) > layer_of(caller, layers):
                flow.upwards.append(f"{caller} -> {file}")

    sys.setprofile(follow)
    try:
        action()
    finally:
        sys.setprofile(None)
    return flow


def layers_from_below() -> list[list[str]]:
    """Return the modules of each layer of the import contract, the lowest layer first."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    contract = tomllib.loads(text)["tool"]["importlinter"]["contracts"][0]
    return [layer.replace(" ", "").split("|") for layer in reversed(contract["layers"])]


def layer_of(file: str, layers: list[list[str]]) -> int:
    """Return the number of a file's layer, 1 for the lowest and 0 for a file in none."""
    module = f"segkit.{file.removesuffix('.py').replace('/', '.')}."
    numbers = enumerate(layers, start=1)
    return next((n for n, names in numbers if any(module.startswith(f"{m}.") for m in names)), 0)


def _inside(frame: FrameType | None) -> str:
    """Return the path of a frame's file below the package, "" for a file outside of it."""
    path = Path(frame.f_code.co_filename) if frame else Path()
    package = ROOT / "segkit"
    return path.relative_to(package).as_posix() if path.is_relative_to(package) else ""


def main() -> None:
    """Print the files of both flows, each with its layer, and the counts."""
    scan = np.random.default_rng(0).integers(-100, 100, (20, 18, 3)).astype(np.int16)
    model = segkit.load(MODEL)
    flows = {
        "a scan in a prediction": lambda: model.predict(scan, affine=np.diag([1.0, 2, 3, 1])),
        "overrides of a training": lambda: load(OVERRIDES),
    }
    layers = layers_from_below()
    for name, action in flows.items():
        action()  # imports and caches are not part of the flow
        flow = flow_of(action)
        up = len(set(flow.upwards))
        print(f"{name}: {len(flow.files)} files, {flow.calls} calls between them, {up} upwards")
        for file in flow.files:
            print(f"  layer {layer_of(file, layers):>2}  {file}")
        for call in dict.fromkeys(flow.upwards):
            print(f"  up: {call}")


if __name__ == "__main__":
    main()
