"""A network as a file of OpenVINO's, for programs that compute without segkit."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from segkit.bundle.bundle import fill_network, read_bundle
from segkit.errors import UsageError
from segkit.files.atomic import unwritable
from segkit.inference.scoring.engine import OpenVinoEngine, load_openvino, network_obstacle
from segkit.networks.unet import UNet

PLAN = ["segkit", "plan"]
"""Where the runtime information of the graph keeps the plan, as JSON."""


def write_openvino(model: Path, fold: str, out: Path) -> None:
    """Write the network of one fold: the graph to ``out`` (.xml), its weights in float32 to a .bin beside it.

    It maps one window (1, C, X, Y[, Z]) of the plan's patch, prepared as the plan says, to scores (1, K, X, Y[, Z]).
    Windows over a scan and the way back to its grid are not part of it. The graph is put in its place last.

    Raises:
        UsageError: the extra is missing, or a network that is not segkit's own.
        InputError: a model that cannot be read, a folder that cannot be written.
    """
    bundle = read_bundle(model)
    network = fill_network(bundle.plan, bundle.state(fold), bundle.path)
    obstacle = network_obstacle([network])
    if obstacle:
        raise UsageError(f"{out}: OpenVINO {obstacle}")
    assert isinstance(network, UNet)
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
