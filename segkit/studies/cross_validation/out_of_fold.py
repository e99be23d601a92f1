"""Every case predicted by the model that did not see it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segkit.bundle.bundle import read_bundle
from segkit.dataset.dataset import Dataset
from segkit.inference.files.finalize import Finish
from segkit.inference.files.outputs import plan_jobs
from segkit.inference.files.scan import Scan
from segkit.inference.predict_files import predict_job
from segkit.inference.predictor import Predictor
from segkit.progress import CaseCounter


def predict_out_of_fold(
    dataset: Dataset, folds: Sequence[tuple[Path, Sequence[str]]], output: Path, *, device: str
) -> None:
    """Write output/<case id> for every case, on its own grid, with the model of the fold that held it out.

    Label maps that are there already stay.

    Args:
        folds: the run folder of each fold and the ids of the cases that it held out.
        device: as for `Predictor`.

    Raises:
        InputError: a scan that cannot be read, or a folder that cannot be written.
        OutOfMemoryError: a scan that does not fit into memory.
    """
    done = 0
    with CaseCounter("predicting out of fold") as counter:
        for run_dir, ids in folds:
            bundle = read_bundle(run_dir)
            scans = [Scan(case.id, case.images) for case in dataset.select(ids)]
            jobs = plan_jobs(scans, str(output), many=True, unit=bundle.plan.unit)
            missing = [job for job in jobs if not job.done]
            done += len(jobs) - len(missing)
            if not missing:
                continue
            predictor = Predictor(bundle, device=device)
            for job in missing:
                predict_job(predictor, job, Finish(bundle.plan.labels))
                done += 1
                counter.show(done, len(dataset.cases))
