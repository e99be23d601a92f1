"""Export a network as an ONNX file, for programs that compute without segkit."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segkit._version import __version__
from segkit.bundle.bundle import Bundle, fill_network, read_bundle
from segkit.errors import InputError, SegkitError, UsageError, is_out_of_memory, printable
from segkit.files.atomic import atomic_path
from segkit.inference.export.comparison import Agreement, compare
from segkit.inference.export.windows import window_shape, windows_for
from segkit.inference.prediction import channel_names
from segkit.inference.scoring.engine import installed
from segkit.networks.fusion import fuse
from segkit.networks.onnx_export.graph import INPUT, onnx_model
from segkit.networks.unet import spatial_axes

log = logging.getLogger(__name__)

PACKAGES = ("onnx", "onnxruntime")


def write_onnx(model: Path, fold: str, out: Path, scans: Sequence[Path] = ()) -> Agreement:
    """Write the network of one fold to ``out``, once its scores were compared with the model's.

    The graph maps any number of windows (N, C, X, Y[, Z]) of the plan's patch size, prepared as the
    plan says, to scores (N, K, X, Y[, Z]), both float32. It does not contain the sliding window
    over a scan or the resampling to the scan's grid. `metadata` lists what the file says about
    both.

    Args:
        model: path of a bundle.
        fold: fold whose weights are written.
        out: path of the file, which ends in .onnx.
        scans: scans whose windows are compared; by default those of the run, or random numbers.

    Raises:
        UsageError: the extra is missing.
        InputError: the model or a scan cannot be read, the network cannot be written as ONNX, the
            folder cannot be written, or onnxruntime computes other scores.
    """
    onnx, onnxruntime = _packages(out)
    bundle = read_bundle(model)
    chosen = windows_for(bundle, scans)
    network = fuse(fill_network(bundle.plan, bundle.state(fold), bundle.path))
    graph = onnx_model(network, window_shape(bundle.plan), onnx)
    onnx.helper.set_model_props(graph, metadata(bundle, fold))
    with atomic_path(out) as temporary:
        onnx.save_model(graph, temporary)
        with _computable(out):
            onnx.checker.check_model(temporary, full_check=True)
            computed = _session(onnxruntime, temporary)
            regions = bool(bundle.plan.regions)
            agreement = compare(computed, network, chosen.windows, regions=regions)
        agreement.check(out)
    log.info(
        "compared with segkit on %d windows %s: %s", len(chosen.windows), chosen.source, agreement
    )
    return agreement


def metadata(bundle: Bundle, fold: str) -> dict[str, str]:
    """Return what a program must know to use the network of a fold: names, and values as JSON."""
    plan = bundle.plan
    values = {
        "segkit": __version__,
        "model": {"name": bundle.name, "hash": bundle.hash, "fold": fold},
        "axes": ["XYZ"[axis] for axis in spatial_axes(plan)],
        "orientation": "RAS+",
        "patch": [plan.patch[axis] for axis in spatial_axes(plan)],
        "spacing": [plan.spacing[axis] for axis in spatial_axes(plan)],
        "unit": plan.unit,
        "channels": [dataclasses.asdict(channel) for channel in plan.channels],
        "outputs": dict(zip(channel_names(plan), plan.label_values, strict=True)),
        "activation": "sigmoid" if plan.regions else "softmax",
        "postprocessing": bundle.postprocessing,
        "plan": plan.to_dict(),
        **({"harmonization": plan.harmonization} if plan.harmonization else {}),
    }
    return {name: json.dumps(value) for name, value in values.items()}


def _packages(out: Path) -> tuple[Any, Any]:
    missing = [package for package in PACKAGES if not installed(package)]
    if missing:
        raise UsageError(
            f"{out} needs the packages {' and '.join(missing)}. Type: pip install 'segkit[onnx]'"
        )
    import onnx  # noqa: PLC0415 - an optional extra
    import onnxruntime  # noqa: PLC0415

    return onnx, onnxruntime


@contextmanager
def _computable(out: Path) -> Iterator[None]:
    """Turn an error of onnx or onnxruntime about a graph into one for its user.

    Both have their own kinds of errors, most of which are plain exceptions.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, SegkitError) or is_out_of_memory(error):
            raise
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            out,
            expected="a graph that onnx and onnxruntime accept",
            found=printable(f"{type(error).__name__}: {reason}"),
            remedy="The file was not written. Update onnx and onnxruntime, or export the model as "
            ".segkit.",
        ) from error


def _session(onnxruntime: Any, path: Path) -> Callable[[Tensor], Tensor]:
    """Return the network in a file, as onnxruntime computes it with as many threads as PyTorch."""
    onnxruntime.disable_telemetry_events()  # on Windows
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda windows: torch.from_numpy(session.run(None, {INPUT: windows.numpy()})[0])
