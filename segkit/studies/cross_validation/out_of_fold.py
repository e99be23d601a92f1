"""Predict every case with the model that was not trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segkit.bundle.bundle import read_bundle
from segkit.dataset.dataset import Dataset
from segkit.inference.files.finalize import FinalizeOptions
from segkit.inference.files.outputs import plan_jobs
from segkit.inference.files.scan import Scan
from segkit.inference.predict_files import predict_files
from segkit.inference.predictor import Predictor
from segkit.inference.request import Request
from segkit.progress import CaseCounter


def predict_out_of_fold(
    dataset: Dataset, folds: Sequence[tuple[Path, Sequence[str]]], output: Path, *, device: str
) -> None:
    """Write output/<case id> for every case, with the model of the fold that held the case out.

    A label map has the grid of its scan. Existing label maps stay.

    Args:
        dataset: the cases.
        folds: the run folder of each fold, and the ids of the cases that it held out.
        output: the folder of the label maps.
        device: see `Predictor`.

    Raises:
        InputError: a scan that cannot be read, or a folder that cannot be written.
        OutOfMemoryError: a scan that does not fit into memory.
    """
    done = 0
    with CaseCounter("predicting out of fold") as counter:
        for run_dir, ids in folds:
            bundle = read_bundle(run_dir)
            scans = [
                Scan(case.id, case.images, table_group=case.group) for case in dataset.select(ids)
            ]
            jobs = plan_jobs(scans, str(output), many=True, unit=bundle.plan.unit)
            options = FinalizeOptions(bundle.plan.labels)
            pending = [job for job in jobs if not job.done]
            done += len(jobs) - len(pending)
            if not pending:
                continue
            predictor = Predictor(bundle, device=device)
            for _ in predict_files(Request(tuple(pending), options), predictor):
                done += 1
                counter.show(done, len(dataset.cases))
