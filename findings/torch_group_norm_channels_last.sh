#!/usr/bin/env bash
# PyTorch 2.13.0 on a CPU: GroupNorm of a float32 tensor depends on its memory layout, and in channels-last layout it is
# wrong by far more than rounding where a group's mean is many times its standard deviation.
#
# Seen with torch 2.13.0 (x86_64, one thread): 16 channels of 64 x 64 x 64 values with mean 100 and standard deviation
# 0.1, one group per channel. The normalized values reach about 5. Contiguous: off from float64 by 8e-5.
# Channels last: off by about 160. There the variance is taken as E[x^2] - E[x]^2 in float32; contiguous tensors are
# reduced by a method that subtracts the mean first. Scans behind a convolution look like this: air, nearly constant.
# What to do: normalize a contiguous copy, or take statistics that subtract the mean first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from torch.nn.functional import group_norm

torch.set_num_threads(1)
torch.manual_seed(0)
x = torch.randn(1, 16, 64, 64, 64) * 0.1 + 100
exact = group_norm(x.double(), 16)
layouts = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last_3d}
off = {}
for name, layout in layouts.items():
    found = group_norm(x.contiguous(memory_format=layout), 16)
    off[name] = float((found.double() - exact).abs().max())
    print(f"torch {torch.__version__}, {name}: off by {off[name]:.1e}, values up to {float(exact.abs().max()):.1f}")
if not (off["contiguous"] < 1e-2 and off["channels last"] > 1):
    raise SystemExit("the behavior has changed")
print("as described: the layout decides whether GroupNorm is right")
PYTHON
