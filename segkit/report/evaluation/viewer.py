"""Viewer inside of the report: the worst cases in three linked planes, drawn by NiiVue.

Everything is part of the page: NiiVue (see segkit/report/niivue), its own script, and for each case
three volumes (scan, prediction, reference) as 8-bit NIfTI, compressed. Nothing is loaded, so that
the page also works from a disk without a network.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.labels.postprocessing import present_values
from segkit.preprocessing.orient_and_crop import to_ras
from segkit.report.evaluation.drawn_case import DrawnCase
from segkit.report.outlines import gray_limits, to_gray
from segkit.volume import Grid, Volume

MOST_VOXELS = 1_500_000
"""Number of voxels of a case in the viewer; of larger ones every 2nd or 3rd is left out."""
MOST_BYTES = 8_000_000
"""Size of all volumes in the page, in bytes; further cases are only in pictures."""
MOST_LABELS = 255
"""Number of labels that NiiVue can tell apart."""
PARTS = ("scan", "prediction", "reference")


@dataclass(frozen=True)
class ViewedCase:
    """A case in the viewer: its compressed volumes as base64, and what is said about it."""

    case: str
    caption: str
    volumes: dict[str, str]
    """Part (see PARTS) -> gzip of NIfTI, as base64."""
    colors: dict[str, Any]
    """Colors of the label values as NiiVue reads them."""
    legend: list[tuple[str, str]]
    """Name and color, such as #56b4e9, of each label that the case has."""
    start: tuple[float, float, float]
    """Where the planes meet at first, as shares of the size along X, Y, Z."""

    @property
    def bytes(self) -> int:
        """Size in the page."""
        return sum(map(len, self.volumes.values()))


def viewed_case(drawn: DrawnCase, caption: str) -> ViewedCase | None:
    """Return a case for the viewer; None for a picture, and for more labels than it can show.

    Args:
        drawn: the case.
        caption: its Dice in words.
    """
    if drawn.scan.unit == "px" or len(drawn.names) > MOST_LABELS:
        return None
    steps = _steps(to_ras(drawn.scan)[0].grid)
    scan, predicted, reference = (
        _thinned(to_ras(volume)[0], steps)
        for volume in (drawn.scan, drawn.predicted, drawn.reference)
    )
    gray = scan.with_array(to_gray(scan.array[:1], gray_limits(drawn.scan.array[:1])))
    if max(steps) > 1:
        sizes = " x ".join(map(str, steps))
        caption += f" Of every {sizes} voxels (X x Y x Z) one is shown here."
    if drawn.note:
        caption += f" It is {drawn.note}."
    present = {*present_values(predicted.array), *present_values(reference.array)}
    return ViewedCase(
        drawn.case,
        caption,
        dict(zip(PARTS, map(_packed, (gray, predicted, reference)), strict=True)),
        _colors(drawn),
        [
            (name, "#{:02x}{:02x}{:02x}".format(*drawn.colors[name]))
            for name, value in drawn.names.items()
            if value in present
        ],
        _start(predicted.array[0], reference.array[0]),
    )


def viewer_section(cases: Sequence[ViewedCase], pictures: int) -> str:
    """Return the viewer as HTML; "" without cases.

    Args:
        cases: the cases that it shows.
        pictures: number of cases that are drawn as pictures above it.
    """
    if not cases:
        return ""
    facts = [
        {"caption": case.caption, "colors": case.colors, "legend": case.legend, "start": case.start}
        for case in cases
    ]
    options = "".join(
        f'<option value="{number}">{html.escape(case.case)}</option>'
        for number, case in enumerate(cases)
    )
    volumes = "".join(
        _data(f"volume-{number}-{part}", text)
        for number, case in enumerate(cases)
        for part, text in case.volumes.items()
    )
    # A "<" could end the script early.
    as_json = json.dumps(facts).replace("<", "\\u003c")
    library = base64.b64encode(_file("niivue", "niivue.umd.js.gz")).decode("ascii")
    licenses = html.escape(_file("niivue", "LICENSES.txt").decode("utf-8"))
    return (
        _file("evaluation", "viewer.html").decode("utf-8").replace("OPTIONS", options, 1)
        + _more_pictures(len(cases), pictures)
        + f'<script type="application/json" id="viewer-cases">{as_json}</script>'
        + volumes
        + _data("niivue-library", library)
        + f"<script>{_file('evaluation', 'viewer.js').decode('utf-8')}</script>\n"
        + '<details class="screen"><summary>Licenses of the viewer</summary>'
        + f"<pre>{licenses}</pre></details>"
    )


def _more_pictures(cases: int, pictures: int) -> str:
    """Return how many of the pictures are not in the viewer, as HTML; "" if all are."""
    if cases >= pictures:
        return ""
    return (
        f'<p class="screen">{cases} of the {pictures} cases above are in the viewer; with the'
        " others, the page would be too large, or they cannot be drawn.</p>\n"
    )


def _data(name: str, text: str) -> str:
    return f'<script type="application/gzip" id="{name}">{text}</script>\n'


def _file(folder: str, name: str) -> bytes:
    """Return a file of the package ``segkit.report``."""
    return resources.files("segkit.report").joinpath(folder, name).read_bytes()


def _steps(grid: Grid) -> tuple[int, int, int]:
    """Return the steps along X, Y, Z in which voxels are taken, so that few enough remain.

    The finest axis is thinned out first.

    >>> _steps(Grid((200, 200, 100), np.diag([1.0, 1.0, 3.0, 1.0])))
    (2, 2, 1)
    """
    steps = [1, 1, 1]
    while np.prod(np.ceil(np.array(grid.shape) / steps)) > MOST_VOXELS:
        steps[int(np.argmin(np.array(grid.spacing) * steps))] += 1
    return steps[0], steps[1], steps[2]


def _thinned(volume: Volume, steps: tuple[int, int, int]) -> Volume:
    """Return the volume with every ``steps``-th voxel only."""
    array = volume.array[(slice(None), *(slice(None, None, step) for step in steps))]
    return Volume(np.ascontiguousarray(array), volume.affine @ np.diag([*steps, 1.0]))


def _packed(volume: Volume) -> str:
    """Return a volume as NIfTI of 8 bits, compressed and in base64."""
    image = volume.with_array(volume.array.astype(np.uint8)).to_nibabel()
    return base64.b64encode(gzip.compress(image.to_bytes(), 9, mtime=0)).decode("ascii")


def _colors(drawn: DrawnCase) -> dict[str, Any]:
    """Return a color map of NiiVue: transparent for 0, then the color of each label."""
    colors = list(drawn.colors.values())
    red, green, blue = ([0, *(color[part] for color in colors)] for part in range(3))
    values = [0, *drawn.names.values()]
    return {
        "R": red,
        "G": green,
        "B": blue,
        "A": [0, *[255] * len(colors)],
        "I": values,
        "labels": ["", *drawn.names],
    }


def _start(predicted: NDArray[Any], reference: NDArray[Any]) -> tuple[float, float, float]:
    """Return the planes that show most of the differences, or else of the reference, as shares."""
    marked = predicted != reference
    if not marked.any():
        marked = reference != 0
    if not marked.any():
        return 0.5, 0.5, 0.5
    shares = []
    for axis, size in enumerate(marked.shape):
        counts = marked.sum(axis=tuple(other for other in range(3) if other != axis))
        shares.append((int(counts.argmax()) + 0.5) / size)
    return shares[0], shares[1], shares[2]
