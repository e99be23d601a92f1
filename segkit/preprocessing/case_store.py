"""Prepared cases on disk: each case is read and prepared once, and a patch later reads only a patch.

A case is one file that is mapped into memory, so that workers and ranks share the pages. Runs share the folder. The
file's name is a hash over the bytes of the case's files and over all of the plan that may decide how they are prepared:
a changed file or plan can never be served stale. It is renamed into place when complete.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit._version import __version__
from segkit.dataset.case_files import case_labels, case_scan
from segkit.dataset.dataset import Case, Dataset
from segkit.errors import InputError
from segkit.files.atomic import remove_leftovers_of_ended
from segkit.files.locks import turn
from segkit.plans.plan import Plan
from segkit.preprocessing.array_file import ArrayFile, map_arrays, write_arrays
from segkit.preprocessing.chain import prepare, prepare_labels
from segkit.preprocessing.content_hash import content_hash
from segkit.preprocessing.labels import to_indices
from segkit.preprocessing.store_folder import allow_open_files, mark_store
from segkit.progress import CaseProgress

log = logging.getLogger(__name__)

VOXELS_PER_LABEL = 10_000
"""How many voxels of a label are kept for sampling; more are thinned evenly."""
FORMAT = 3
"""To be raised by whoever changes what is prepared from the same files and plan."""
NOT_OF_PLAN = {
    "name",
    "patch",
    "batch_size",
    "mirror_axes",
    "mirror_swaps",
    "needs",
    "network",
    "reasons",
    "segments",
    "training",
    "format_version",
}
NOT_OF_DATASET = {"name", "root", "cases", "segments", "notices"}
"""Fields that preparation never reads; all others, those yet to come too, are part of a case's key."""


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """A case in network space, mapped from disk."""

    id: str
    image: NDArray[np.float32]
    """(C, X, Y, Z)"""
    labels: NDArray[Any]
    """(X, Y, Z), unsigned indices: 0 background, i + 1 the plan's i-th target value, then that of ignored voxels."""
    voxels: dict[int, NDArray[np.int32]]
    """Positions (N, 3) of up to VOXELS_PER_LABEL voxels for every label index that the case has.

    Where a plan ignores voxels, 0 stands for annotated background; else it is not there.
    """
    file: ArrayFile | None = None
    """Where the arrays are mapped from."""

    def will_read(self, start: NDArray[Any], stop: NDArray[Any]) -> None:
        """Tell the system that these voxels (X, Y, Z) are read next; what lies outside the case counts for nothing."""
        if self.file:
            low, high = np.maximum(start, 0), np.minimum(stop, self.labels.shape)
            box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
            self.file.will_read("image", (slice(0, len(self.image)), *box))
            self.file.will_read("labels", box)

    def __getstate__(self) -> dict[str, Any]:
        """A worker that is started, not forked, maps the file itself."""
        return {"id": self.id, "place": self.file.path} if self.file else self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "place" in state:
            state = vars(_reopened(state["id"], state["place"]))
        self.__dict__.update(state)


def prepare_cases(
    cases: Sequence[Case],
    dataset: Dataset,
    plan: Plan,
    folder: Path,
    *,
    progress: CaseProgress | None = None,
    verify: bool = True,
) -> list[PreparedCase]:
    """Prepare the cases that ``folder`` does not hold yet and map all of them.

    With ``verify`` every byte of those that it holds is compared with their checksums, and a damaged case is prepared
    anew.

    Raises:
        InputError: a case cannot be used, or the folder not be written; the message names the file.
    """
    mark_store(folder)
    remove_leftovers_of_ended(folder)
    allow_open_files(len(cases))
    prepared = []
    prepare_one = partial(_prepared, dataset=dataset, plan=plan, folder=folder, verify=verify)
    # Reading waits for zlib and numpy, which let other threads run.
    with ThreadPoolExecutor(2) as pool:
        for number, case in enumerate(pool.map(prepare_one, cases)):
            prepared.append(case)
            if progress:
                progress(number + 1, len(cases), case.id)
    return prepared


def _prepared(
    case: Case, *, dataset: Dataset, plan: Plan, folder: Path, verify: bool
) -> PreparedCase:
    content = content_hash(case)
    place = folder / f"{case_key(content, dataset, plan)}.safetensors"
    prepared = _open(case.id, place, verify=verify)
    if prepared:
        return prepared
    with turn(place):
        prepared = _open(
            case.id, place, verify=verify
        )  # another process may have made it meanwhile
        if prepared:
            return prepared
        if place.exists():
            log.warning("%s is damaged: the case %s is prepared anew", place, case.id)
        return _write(case, dataset, plan, content, place)


def case_key(content: str, dataset: Dataset, plan: Plan) -> str:
    """What a case is kept under: 32 hex digits over its files' content and all else that decides how it is prepared."""
    decides = [
        FORMAT,
        __version__,
        content,
        fields_but(plan, NOT_OF_PLAN),
        fields_but(dataset, NOT_OF_DATASET),
    ]
    # Unsorted: the order of the labels, that of the network's outputs, counts.
    return hashlib.sha256(json.dumps(decides, default=dataclasses.asdict).encode()).hexdigest()[:32]


def fields_but(item: Plan | Dataset, left_out: Collection[str]) -> dict[str, Any]:
    """The fields of a dataclass by name, some left out."""
    return {
        field.name: getattr(item, field.name)
        for field in dataclasses.fields(item)
        if field.name not in left_out
    }


def _write(case: Case, dataset: Dataset, plan: Plan, content: str, place: Path) -> PreparedCase:
    """Prepare a case whose files have this ``content`` and keep it."""
    volume = case_scan(case.images)
    label_path = _label_path(case)
    labels = case_labels(
        label_path, case.images[0], volume.grid, dataset.value_names, subset=dataset.subset
    )
    indices = to_indices(labels.array, plan.targets, dataset.subset, label_path, ignore=plan.ignore)
    prepared = prepare(volume, plan, where=case.images[0])
    network_labels = prepare_labels(labels.with_array(indices), plan, prepared.way_back)
    arrays = {f"voxels_{index}": found for index, found in _voxels(network_labels, plan).items()}
    if content_hash(case) != content:
        raise _changed(case.images[0])
    return _save(case.id, {"image": prepared.image, "labels": network_labels, **arrays}, place)


def _changed(path: Path) -> InputError:
    return InputError(
        path,
        expected="files that stay as they are while they are read",
        found="that this one, its label map or another channel has changed meanwhile",
        remedy="Try again when nothing writes to them any more.",
    )


def _save(case_id: str, arrays: Mapping[str, NDArray[Any]], place: Path) -> PreparedCase:
    try:
        write_arrays(place, arrays)
    except InputError:
        if (
            _open(case_id, place) is None
        ):  # else another process was faster, and has it open on Windows
            raise
    return _reopened(case_id, place)


def _reopened(case_id: str, place: Path) -> PreparedCase:
    """A case that was there a moment ago."""
    case = _open(case_id, place)
    if case is None:
        raise InputError(
            place,
            expected="a prepared case",
            found="none that can be read, though there was one",
            remedy="Leave the folder alone while a training uses it, and start again.",
        )
    return case


def _open(case_id: str, place: Path, *, verify: bool = False) -> PreparedCase | None:
    file = map_arrays(place, verify=verify)
    if file is None or not {"image", "labels"} <= file.arrays.keys():
        return None
    arrays = file.arrays
    indices = sorted(
        int(name.removeprefix("voxels_")) for name in arrays if name.startswith("voxels_")
    )
    voxels = {index: arrays[f"voxels_{index}"] for index in indices}
    return PreparedCase(case_id, arrays["image"], arrays["labels"], voxels, file)


def _voxels(labels: NDArray[Any], plan: Plan) -> dict[int, NDArray[np.int32]]:
    found = {}
    # Where not all voxels are annotated, background that is has to be found too.
    for index in range(0 if plan.ignore is not None else 1, len(plan.targets) + 1):
        flat = np.flatnonzero(labels == index)
        if flat.size:
            # Evenly thinned rather than drawn: the same case gives the same positions everywhere.
            kept = flat[
                np.linspace(0, flat.size - 1, min(flat.size, VOXELS_PER_LABEL)).astype(np.int64)
            ]
            found[index] = np.stack(np.unravel_index(kept, labels.shape), axis=1).astype(np.int32)
    return found


def _label_path(case: Case) -> Path:
    if case.label is None:
        raise InputError(
            case.images[0],
            expected="a label map for training",
            found="none",
            remedy="Name one in the dataset, or leave the case out.",
        )
    return case.label
