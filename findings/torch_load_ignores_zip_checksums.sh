#!/usr/bin/env bash
# PyTorch 2.13.0: torch.load reads a checkpoint with a damaged byte in a tensor without a word.
#
# A file that torch.save writes is a zip archive, and each member has a CRC-32 of its content. torch.load (weights_only,
# the default) does not compare it: one changed byte of a tensor's storage, as a bad disk or an incomplete copy leaves
# it, gives a tensor with another number. Python's zipfile finds the same damage. A training that goes on from such a
# checkpoint, or a model that predicts with it, is wrong in silence.
# Seen with torch 2.13.0 on Python 3.11. What to do: test the archive with zipfile before it is loaded, or keep a
# checksum of one's own beside it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder/weights.pt" <<'PYTHON'
import sys
import zipfile

import torch

path = sys.argv[1]
written = torch.arange(1, 257, dtype=torch.float32)
torch.save({"weight": written}, path)
content = bytearray(open(path, "rb").read())
place = content.index(written.numpy().tobytes()) + 4 * 100 + 3  # a byte of the exponent of the 101st number
content[place] ^= 0x40
open(path, "wb").write(content)
found = torch.load(path)["weight"]
different = (found != written).nonzero().flatten().tolist()
print(f"torch {torch.__version__}: loaded without an error; numbers that differ: {different},", end=" ")
print(f"{written[100].item()} became {found[100].item():.6g}")
damaged = zipfile.ZipFile(path).testzip()
print(f"zipfile: the damaged member is {damaged}")
if different != [100] or damaged is None:
    raise SystemExit("the behavior has changed")
print("as described: torch.load does not compare the checksums")
PYTHON
