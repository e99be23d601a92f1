"""Prepared cases on disk: each case is read and prepared once, and a patch later reads only a patch.

A case is one folder of uncompressed arrays that are mapped into memory, so that workers share the pages. The folder's
name is a hash over the plan and over path, size and time of change of the case's files: a changed file or plan can
never be served stale. It is renamed into place when complete.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.dataset import Case, Dataset
from segkit.errors import InputError
from segkit.files import unwritable
from segkit.io import check_same_grid, read_case, read_labels
from segkit.plans import Plan
from segkit.preprocessing.chain import prepare, prepare_labels
from segkit.preprocessing.labels import to_indices

VOXELS_PER_LABEL = 10_000
"""How many voxels of a label are kept for sampling; more are thinned evenly."""


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


def prepare_cases(
    cases: Sequence[Case],
    dataset: Dataset,
    plan: Plan,
    folder: Path,
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[PreparedCase]:
    """Prepare the cases that ``folder`` does not hold yet and map all of them.

    Raises:
        InputError: a case cannot be used, or the folder not be written; the message names the file.
    """
    prepared = []
    # Reading waits for zlib and numpy, which let other threads run.
    with ThreadPoolExecutor(2) as pool:
        for number, case in enumerate(pool.map(partial(_prepared, dataset=dataset, plan=plan, folder=folder), cases)):
            prepared.append(case)
            if progress:
                progress(number + 1, len(cases), case.id)
    return prepared


def _prepared(case: Case, *, dataset: Dataset, plan: Plan, folder: Path) -> PreparedCase:
    place = folder / _key(case, dataset, plan)
    if not place.is_dir():
        _write(case, dataset, plan, place)
    return _open(case.id, place)


def _key(case: Case, dataset: Dataset, plan: Plan) -> str:
    digest = hashlib.sha256(f"{plan.hash()}|{dataset.subset}".encode())
    for path in case.files:
        try:
            status = path.stat()
        except OSError as error:
            raise InputError(
                path, expected="a file", found=error.strerror or "none", remedy="Put it back or drop the case."
            ) from error
        digest.update(f"|{path.resolve()}|{status.st_size}|{status.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _write(case: Case, dataset: Dataset, plan: Plan, place: Path) -> None:
    volume = read_case(case.images)
    label_path = _label_path(case)
    labels = read_labels(label_path)
    check_same_grid(volume.grid, labels.grid, label_path)
    indices = to_indices(labels.array, plan.targets, dataset.subset, label_path, ignore=plan.ignore)
    prepared = prepare(volume, plan, where=case.images[0])
    network_labels = prepare_labels(labels.with_array(indices), plan, prepared.way_back)
    arrays = {f"voxels_{index}": found for index, found in _voxels(network_labels, plan).items()}
    _save({"image": prepared.image, "labels": network_labels, **arrays}, place)


def _save(arrays: Mapping[str, NDArray[Any]], place: Path) -> None:
    temporary = place.with_name(f".{uuid.uuid4().hex}")
    try:
        temporary.mkdir(parents=True)
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array)
            # numpy takes no notice when the last bytes find no room.
            if (temporary / f"{name}.npy").stat().st_size < array.nbytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        temporary.rename(place)
    except OSError as error:
        if not place.is_dir():  # else another process was faster
            raise unwritable(place, error.strerror or str(error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _open(case_id: str, place: Path) -> PreparedCase:
    def load(name: str) -> NDArray[Any]:
        array: NDArray[Any] = np.load(place / name, mmap_mode="r", allow_pickle=False)
        return array

    voxels = {int(path.stem.removeprefix("voxels_")): load(path.name) for path in sorted(place.glob("voxels_*.npy"))}
    return PreparedCase(case_id, load("image.npy"), load("labels.npy"), voxels)


def _voxels(labels: NDArray[Any], plan: Plan) -> dict[int, NDArray[np.int32]]:
    found = {}
    # Where not all voxels are annotated, background that is has to be found too.
    for index in range(0 if plan.ignore is not None else 1, len(plan.targets) + 1):
        flat = np.flatnonzero(labels == index)
        if flat.size:
            # Evenly thinned rather than drawn: the same case gives the same positions everywhere.
            kept = flat[np.linspace(0, flat.size - 1, min(flat.size, VOXELS_PER_LABEL)).astype(np.int64)]
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
