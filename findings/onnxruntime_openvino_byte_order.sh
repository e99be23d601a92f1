#!/usr/bin/env bash
# onnxruntime 1.32.0 and OpenVINO 2026.4.1 take the bytes of a big-endian array for little-endian numbers: the network
# sees a scan of 1e-41, and the prediction is wrong without an error or a warning.
#
# nibabel returns the voxels of a FreeSurfer image (.mgz, always big-endian), or of a big-endian NIfTI file, as ">f4".
# Slicing, padding and np.ascontiguousarray keep that byte order (arithmetic gives the native one), so the array arrives at
# the engine if the network normalizes by itself. Type checks pass: onnxruntime has FLOAT for ">f4" and "<f4" alike. PyTorch (from_numpy), SimpleITK
# and onnx.numpy_helper refuse the same array with an error.
# Seen with onnxruntime 1.32.0, OpenVINO 2026.4.1, nibabel 5.4.2, onnx 1.23.2, numpy 2.4.6, Python 3.11, a network that
# returns its input:
#   InferenceSession.run and OrtValue.ortvalue_from_numpy: wrong for ">f4".
#   openvino.Tensor(array), with and without shared_memory: wrong for ">f4"; the array passed to a compiled model: right.
# What to do: np.ascontiguousarray(scan, dtype="=f4") in front of either.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnxruntime==1.32.0 openvino==2026.4.1 onnx==1.23.2 nibabel==5.4.2 numpy==2.4.6
cd "$folder"
OPENVINO_TELEMETRY=0 "$folder/venv/bin/python" - <<'PYTHON'
import nibabel
import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper

nibabel.save(nibabel.MGHImage(np.arange(1, 28, dtype="f4").reshape(3, 3, 3), np.eye(4)), "scan.mgz")
scan = np.asarray(nibabel.load("scan.mgz").dataobj)
assert scan.dtype.str == ">f4" and scan.sum() == 27 * 28 / 2
scan = np.ascontiguousarray(scan)

value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3, 3, 3]) for name in ("x", "y")]
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", value[:1], value[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
compiled = openvino.compile_model(openvino.Core().read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def first(output: dict) -> np.ndarray:
    """Return the only output of a compiled model."""
    return next(iter(output.values()))


WAYS = {
    "onnxruntime run": lambda x: session.run(None, {"x": x})[0],
    "onnxruntime OrtValue": lambda x: onnxruntime.OrtValue.ortvalue_from_numpy(x).numpy(),
    "openvino Tensor": lambda x: first(compiled({0: openvino.Tensor(x)})),
    "openvino Tensor, shared memory": lambda x: first(compiled({0: openvino.Tensor(x, shared_memory=True)})),
    "openvino array": lambda x: first(compiled({0: x})),
}
print(f"onnxruntime {onnxruntime.__version__}, openvino {openvino.__version__}, nibabel {nibabel.__version__}, {scan.dtype.str}")
changed = False
for name, run in WAYS.items():
    swapped, native = np.array(run(scan)), np.array(run(scan.astype("=f4")))
    print(f"{name}: mean of a scan with mean {scan.mean():g}: {swapped.mean():g}, in native byte order {native.mean():g}")
    changed |= not np.array_equal(native, scan) or np.array_equal(swapped, scan) != (name == "openvino array")
    changed |= name != "openvino array" and swapped.tobytes() != scan.tobytes()
try:
    onnx.numpy_helper.from_array(scan)
    changed = True
except ValueError as error:
    print(f"onnx.numpy_helper: {error}")
if changed:
    raise SystemExit("the behavior has changed")
print("as described: big-endian bytes are read as little-endian numbers")
PYTHON
