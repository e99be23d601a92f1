#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK 5.4): a 4D NRRD file in the space "right-anterior-superior-time" is read without turning it to
# LPS and without a warning: right becomes left, and front becomes back.
#
# ITK places images in LPS: x to the left, y to the back, z to the head. A file in "right-anterior-superior" is turned
# to LPS when it is read: x and y of origin and directions change their signs. With "-time" at the end, which the NRRD
# format defines for three axes of space and one of time, they do not: the numbers are taken as if they were LPS.
# "left-anterior-superior-time" is wrong in the same way, in y alone; "left-posterior-superior-time" is right.
# Seen with simpleitk 2.5.7: a voxel 10 mm to the right, 20 mm to the front and 30 mm up is placed 10 mm to the left and
# 20 mm to the back, and stays there when SimpleITK writes NIfTI. Written as NRRD again, the file keeps the name of its
# space and is right.
# What to do: read the metadata "NRRD_space" of a 4D image. For "right-anterior-superior-time" change the signs of x and
# y in the origin and in the directions (their first two rows), and set this metadata to "left-posterior-superior-time",
# or a NRRD file that is written will be wrong. Or write time series in LPS.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet simpleitk==2.5.7
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import SimpleITK as sitk

FILE = Path(sys.argv[1], "image.nrrd")
# the place of the first voxel in LPS that follows from the file, and the one that was seen
CASES = {
    "right-anterior-superior": ((-10, -20, 30), (-10, -20, 30)),
    "right-anterior-superior-time": ((-10, -20, 30), (10, 20, 30)),
    "left-anterior-superior": ((10, -20, 30), (10, -20, 30)),
    "left-anterior-superior-time": ((10, -20, 30), (10, 20, 30)),
    "left-posterior-superior": ((10, 20, 30), (10, 20, 30)),
    "left-posterior-superior-time": ((10, 20, 30), (10, 20, 30)),
}


def write(space: str) -> None:
    """Write an image of zeros, two voxels along each axis, whose first voxel lies at 10, 20, 30 mm in this space."""
    axes = 4 if space.endswith("time") else 3
    steps = [tuple(int(row == column) for column in range(axes)) for row in range(axes)]
    header = [
        "NRRD0004",
        "type: uint8",
        f"dimension: {axes}",
        f"space: {space}",
        "sizes: " + " ".join(["2"] * axes),
        "space directions: " + " ".join(str(step).replace(" ", "") for step in steps),
        "space origin: " + str((10, 20, 30, 0)[:axes]).replace(" ", ""),
        "encoding: raw",
    ]
    FILE.write_bytes("\n".join([*header, "", ""]).encode() + bytes(2**axes))


changed = False
for space, (right, seen) in CASES.items():
    write(space)
    image = sitk.ReadImage(str(FILE))
    found = tuple(image.TransformIndexToPhysicalPoint([0] * image.GetDimension())[:3])
    print(f"{space}: {found}, {'right' if found == right else f'but {right} would be right'}")
    changed |= found != seen or (space.endswith("time") and image.GetMetaData("NRRD_space") != space)
if changed:
    raise SystemExit("the behavior has changed")
print("as described: with time in the name of the space, right and front become left and back")
PYTHON
