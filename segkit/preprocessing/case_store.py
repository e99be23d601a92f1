"""Preprocessed cases on disk: each case is prepared once, and a patch then reads only its voxels.

A case is one memory-mapped file, so that worker processes and ranks share its pages; all runs share
the folder. The file name is a hash over the bytes of the case's files and everything in the plan
that determines how they are prepared, so that stale data are never used. The file gets its final
name when it is complete.
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
from segkit.preprocessing.harmonization import named_group, planned_harmonization
from segkit.preprocessing.labels import to_indices
from segkit.preprocessing.store_folder import allow_open_files, mark_store
from segkit.progress import CaseProgress

log = logging.getLogger(__name__)

VOXELS_PER_LABEL = 10_000
"""Largest number of voxels of a label whose positions are kept for sampling, evenly chosen."""
FORMAT = 3
"""Version of prepared cases; increase it when the same files and plan give different data."""
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
    "training_poses",
    "format_version",
}
"""Fields of a plan that preparation never uses.

All other fields, including future ones, are part of a case's key.
"""
NOT_OF_DATASET = {"name", "root", "cases", "segments", "notices", "license"}
"""Fields of a dataset that preparation never uses."""


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """Preprocessed case in network space, memory-mapped."""

    id: str
    image: NDArray[np.float32]
    """Normalized voxels (C, X, Y, Z)."""
    labels: NDArray[Any]
    """Class indices (X, Y, Z), unsigned.

    0 is background and i + 1 the i-th target of the plan; the index after the last target marks
    voxels that are not annotated.
    """
    voxels: dict[int, NDArray[np.int32]]
    """Positions (N, 3) of up to VOXELS_PER_LABEL voxels for every class index in the case.

    Background (0) has an entry only if the plan has an ignore value.
    """
    file: ArrayFile | None = None
    """File from which the arrays are mapped."""

    def will_read(self, start: NDArray[Any], stop: NDArray[Any]) -> None:
        """Advise the system to load the voxels from ``start`` to ``stop`` (X, Y, Z).

        Voxels outside the case are ignored.
        """
        if self.file:
            low, high = np.maximum(start, 0), np.minimum(stop, self.labels.shape)
            region = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
            self.file.will_read("image", (slice(0, len(self.image)), *region))
            self.file.will_read("labels", region)

    def __getstate__(self) -> dict[str, Any]:
        """Return the path instead of the arrays: a spawned worker process maps the file itself."""
        return {"id": self.id, "path": self.file.path} if self.file else self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "path" in state:
            state = vars(_reopened(state["id"], state["path"]))
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
    """Prepare the cases that ``folder`` does not hold yet, and map all of them.

    Args:
        cases: the cases to prepare.
        dataset: the dataset to which they belong.
        plan: the plan that determines the preprocessing.
        folder: folder of the prepared cases.
        progress: called after each case with the number of cases done, the number of all cases,
            and the id of the case.
        verify: compare every byte of the cases in the folder with their checksums; a damaged case
            is prepared again.

    Raises:
        InputError: a case cannot be used, or the folder cannot be written to; the message names the
            file.
    """
    mark_store(folder)
    remove_leftovers_of_ended(folder)
    allow_open_files(len(cases))
    prepared = []
    prepare_one = partial(_prepared, dataset=dataset, plan=plan, folder=folder, verify=verify)
    # zlib and numpy release the interpreter lock.
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
    group = _group(case, plan)
    path = folder / f"{case_key(content, dataset, plan, group)}.safetensors"
    prepared = _open(case.id, path, verify=verify)
    if prepared:
        return prepared
    with turn(path):
        # Another process may have written it in the meantime.
        prepared = _open(case.id, path, verify=verify)
        if prepared:
            return prepared
        if path.exists():
            log.warning("%s is damaged: the case %s is prepared again", path, case.id)
        return _write(case, dataset, plan, content, path)


def _group(case: Case, plan: Plan) -> str:
    """Return the group by which a case is harmonized, "" if nothing but intensities names it."""
    model = planned_harmonization(plan)
    return named_group(model, case.group, case.images[0]) if model else ""


def case_key(content: str, dataset: Dataset, plan: Plan, group: str = "") -> str:
    """Return the key of a case: 32 hex digits over everything that determines its preparation.

    Args:
        content: hash of its files (`segkit.preprocessing.content_hash.content_hash`).
        dataset: the dataset to which it belongs.
        plan: the plan that determines the preprocessing.
        group: group by which the case is harmonized.
    """
    # A plan without harmonization keeps the keys of versions that had none.
    left_out = NOT_OF_PLAN | (set() if plan.harmonization else {"harmonization"})
    inputs = [
        FORMAT,
        __version__,
        content,
        fields_but(plan, left_out),
        fields_but(dataset, NOT_OF_DATASET),
        *([group] if plan.harmonization else []),
    ]
    # Keys are not sorted: the order of the labels is that of the network's outputs.
    return hashlib.sha256(json.dumps(inputs, default=dataclasses.asdict).encode()).hexdigest()[:32]


def fields_but(item: Plan | Dataset, left_out: Collection[str]) -> dict[str, Any]:
    """Return the fields of a plan or dataset by name, except those in ``left_out``."""
    return {
        field.name: getattr(item, field.name)
        for field in dataclasses.fields(item)
        if field.name not in left_out
    }


def _write(case: Case, dataset: Dataset, plan: Plan, content: str, path: Path) -> PreparedCase:
    """Prepare a case whose files have the hash ``content``, and write it to ``path``."""
    volume = case_scan(case.images)
    label_path = _label_path(case)
    labels = case_labels(
        label_path, case.images[0], volume.grid, dataset.value_names, subset=dataset.subset
    )
    indices = to_indices(labels.array, plan.targets, dataset.subset, label_path, ignore=plan.ignore)
    prepared = prepare(volume, plan, group=_group(case, plan), where=case.images[0])
    network_labels = prepare_labels(labels.with_array(indices), plan, prepared.inverse)
    arrays = {f"voxels_{index}": kept for index, kept in _voxels(network_labels, plan).items()}
    if content_hash(case) != content:
        raise _changed(case.images[0])
    return _save(case.id, {"image": prepared.image, "labels": network_labels, **arrays}, path)


def _changed(path: Path) -> InputError:
    return InputError(
        path,
        expected="files that do not change while they are read",
        found="a change of this file, its label map or another channel",
        remedy="Try again when no other program writes to them.",
    )


def _save(case_id: str, arrays: Mapping[str, NDArray[Any]], path: Path) -> PreparedCase:
    try:
        write_arrays(path, arrays)
    except InputError:
        # On Windows the file cannot be replaced while another process, which wrote it first, has
        # it open.
        if _open(case_id, path) is None:
            raise
    return _reopened(case_id, path)


def _reopened(case_id: str, path: Path) -> PreparedCase:
    """Open a case that was just written or open before."""
    case = _open(case_id, path)
    if case is None:
        raise InputError(
            path,
            expected="a prepared case",
            found="none that can be read, although there was one",
            remedy="Start again, and do not change the folder while a training uses it.",
        )
    return case


def _open(case_id: str, path: Path, *, verify: bool = False) -> PreparedCase | None:
    file = map_arrays(path, verify=verify)
    if file is None or not {"image", "labels"} <= file.arrays.keys():
        return None
    arrays = file.arrays
    indices = sorted(
        int(name.removeprefix("voxels_")) for name in arrays if name.startswith("voxels_")
    )
    voxels = {index: arrays[f"voxels_{index}"] for index in indices}
    return PreparedCase(case_id, arrays["image"], arrays["labels"], voxels, file)


def _voxels(labels: NDArray[Any], plan: Plan) -> dict[int, NDArray[np.int32]]:
    positions = {}
    # If not all voxels are annotated, annotated background is sampled like a label.
    for index in range(0 if plan.ignore is not None else 1, len(plan.targets) + 1):
        flat = np.flatnonzero(labels == index)
        if flat.size:
            # Evenly spaced instead of random, so that a case has the same positions everywhere.
            number = min(flat.size, VOXELS_PER_LABEL)
            kept = flat[np.linspace(0, flat.size - 1, number).astype(np.int64)]
            position = np.stack(np.unravel_index(kept, labels.shape), axis=1)
            positions[index] = position.astype(np.int32)
    return positions


def _label_path(case: Case) -> Path:
    if case.label is None:
        raise InputError(
            case.images[0],
            expected="a label map for training",
            found="none",
            remedy="Name one in the dataset, or leave the case out.",
        )
    return case.label
