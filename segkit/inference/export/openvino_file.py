"""Export a network as an OpenVINO file, for programs that compute without segkit."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from segkit.bundle.bundle import fill_network, read_bundle
from segkit.errors import UsageError
from segkit.files.atomic import unwritable
from segkit.inference.scoring.engine import OpenVinoEngine, load_openvino, network_obstacle
from segkit.networks.fusion import fuse
from segkit.networks.unet import UNet

PLAN = ["segkit", "plan"]
"""Path of the plan, as JSON, in the runtime information of the graph."""


def write_openvino(model: Path, fold: str, out: Path) -> None:
    """Write the network of one fold: its graph to ``out`` (.xml), its weights to a .bin beside it.

    The graph maps one window (1, C, X, Y[, Z]) of the plan's patch size, prepared as the plan says,
    to scores (1, K, X, Y[, Z]); weights are float32. It does not contain the sliding window over a
    scan or the resampling to the scan's grid. The graph is renamed to ``out`` after the weights.

    Args:
        model: path of a bundle.
        fold: fold whose weights are written.
        out: path of the graph, which ends in .xml.

    Raises:
        UsageError: the extra is missing, or the network is not segkit's own.
        InputError: the model cannot be read, or the folder cannot be written.
    """
    bundle = read_bundle(model)
    network = fuse(fill_network(bundle.plan, bundle.state(fold), bundle.path))
    obstacle = network_obstacle([network])
    if obstacle:
        raise UsageError(f"{out}: OpenVINO {obstacle}")
    if not isinstance(network, UNet):
        raise TypeError(f"{type(network).__name__} is not a U-Net")
    graph = OpenVinoEngine(bundle.plan, "float32").graph(network, scores=True)
    graph.set_rt_info(json.dumps(bundle.plan.to_dict()), PLAN)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".") as folder:
            load_openvino().save_model(graph, Path(folder) / "network.xml", compress_to_fp16=False)
            os.replace(Path(folder) / "network.bin", out.with_suffix(".bin"))
            os.replace(Path(folder) / "network.xml", out)
    except OSError as error:
        raise unwritable(out, str(error.strerror or error)) from error
