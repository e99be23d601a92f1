#!/usr/bin/env bash
# onnxruntime 1.32.0 on a CPU: GroupNormalization and InstanceNormalization of float32 tensors are wrong by far more
# than rounding where a group's mean is many times its standard deviation.
#
# Seen with onnx 1.23.2 and onnxruntime 1.32.0 (x86_64, one thread): a group of 4 x 64 x 64 x 64 values with mean 1000
# and standard deviation 1, float32. The normalized values reach about 5. GroupNormalization (opset 21) is off by about
# 5, and nan for other sizes: ONNX defines it by the mean of the squares minus the square of the mean, of which rounding
# leaves any number, also one below 0. InstanceNormalization over the group as one axis, which is how PyTorch's exporter
# writes GroupNorm at its default opset, subtracts the mean first, but adds all values one after the other: off by about
# 5. The same means over one axis after the other, as plain ReduceMean nodes, are off by less than 0.001.
# Scans behind a convolution look like this: air, nearly constant. (PyTorch's contiguous GroupNorm is off by 0.0001.)
# What to do: write GroupNorm as ReduceMean (axis by axis), Sub, Mul, Sqrt and Div; compare with PyTorch on real input.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SHAPE, EPS = (1, 16, 64, 64, 64), 1e-5


def computed(nodes, constants, x):
    """Return y, which the nodes compute from x; the 16 channels are one group."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in "xy"]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "norm", values[:1], values[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def group_normalization(x):
    node = helper.make_node("GroupNormalization", ["x", "scale", "bias"], ["y"], num_groups=1, epsilon=EPS)
    return computed([node], {"scale": np.ones(16, np.float32), "bias": np.zeros(16, np.float32)}, x)


def instance_normalization(x):
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["group"]),
        helper.make_node("InstanceNormalization", ["group", "scale", "bias"], ["normal"], epsilon=EPS),
        helper.make_node("Reshape", ["normal", "shape"], ["y"]),
    ]
    ones = {"scale": np.ones(1, np.float32), "bias": np.zeros(1, np.float32)}
    return computed(nodes, {"flat": np.array([1, 1, -1]), "shape": np.array(SHAPE), **ones}, x)


def means_axis_by_axis(x):
    nodes, constants = [], {"eps": np.float32(EPS)}

    def mean(name):
        for axis in (4, 3, 2, 1):
            constants[f"axis{axis}"] = np.array([axis])
            nodes.append(helper.make_node("ReduceMean", [name, f"axis{axis}"], [f"{name}{axis}"], keepdims=1))
            name += str(axis)
        return name

    nodes.append(helper.make_node("Sub", ["x", mean("x")], ["centered"]))
    nodes.append(helper.make_node("Mul", ["centered", "centered"], ["square"]))
    nodes.append(helper.make_node("Add", [mean("square"), "eps"], ["variance"]))
    nodes.append(helper.make_node("Sqrt", ["variance"], ["spread"]))
    nodes.append(helper.make_node("Div", ["centered", "spread"], ["y"]))
    return computed(nodes, constants, x)


wrong = {}
for mean, spread in ((1000, 1), (100, 0.1)):
    x = (np.random.default_rng(0).standard_normal(SHAPE) * spread + mean).astype(np.float32)
    exact = (x.astype(np.float64) - x.mean(dtype=np.float64)) / np.sqrt(x.var(dtype=np.float64) + EPS)
    for norm in (group_normalization, instance_normalization, means_axis_by_axis):
        wrong[norm.__name__, mean] = found = float(np.abs(norm(x) - exact).max())
        print(f"onnxruntime {onnxruntime.__version__}, mean {mean}, sd {spread}, {norm.__name__}: off by {found:.1e},"
              f" values up to {np.abs(exact).max():.1f}")
is_as_described = (
    not wrong["group_normalization", 1000] < 1
    and not wrong["group_normalization", 100] < 1
    and wrong["instance_normalization", 1000] > 1
    and all(wrong["means_axis_by_axis", mean] < 1e-3 for mean in (1000, 100))
)
if not is_as_described:
    raise SystemExit("the behavior has changed")
print("as described: the order of a sum decides whether GroupNorm is right")
PYTHON
