"""Run nnU-Net for minutes_to_dice.py and preprocessing.py, which start this file with another
Python environment.

    python benchmarks/peer_nnunet.py FOLDER --data DATA --configuration 3d_fullres
    python benchmarks/peer_nnunet.py FOLDER --data DATA --configuration 3d_fullres --minutes 20
    python benchmarks/peer_nnunet.py FOLDER --data DATA --configuration 3d_fullres --predict CASE
    ...

The first only prepares the cases and prints wall and CPU seconds without imports.

Planning, preprocessing, trainer and predictor are those of nnU-Net. Changed are the batch size (2)
and the length of the training: as many short epochs as fit, over which the learning rate decays as
it does over its 1000 epochs of 250 steps.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import time
from pathlib import Path
from typing import Any

from clock import Clock

NUMBER = 1
"""Number in the name of the data folder."""
BATCH = 2
EPOCHS = 25
"""Approximate number of epochs; each ends with a plot or checkpoint that takes a second."""
VALIDATION = 0.2
"""Ratio of validation to training steps, as in nnU-Net (50 and 250)."""
WRITING = 3.0
"""Seconds reserved for saving the model."""


def main() -> None:
    """Train in the minutes given, counted from here, or predict."""
    started = time.monotonic()
    arguments = _parser().parse_args()
    for part in ("preprocessed", "results"):
        os.environ[f"nnUNet_{part}"] = str(arguments.folder / f"nnunet_{part}")
    os.environ.update(nnUNet_raw=str(arguments.data.parent), nnUNet_n_proc_DA="1")
    let_torchvision_load()
    if arguments.predict:
        return _predict(arguments)
    _preprocess(arguments)
    if arguments.minutes is None:
        return None
    return _train(arguments, started + 60 * arguments.minutes - WRITING)


def let_torchvision_load() -> None:
    """nnU-Net imports torchvision without using it; beside a torch for CPUs its wheel for GPUs
    misses two operators.
    """
    import torch  # noqa: PLC0415

    try:
        import torchvision  # noqa: F401, PLC0415
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(
                f"torchvision::{name}",
                "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
            )


def _preprocess(arguments: argparse.Namespace) -> None:
    """Compute fingerprint, plan and prepared cases, with as many processes as training threads."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (  # noqa: PLC0415  (it reads the environment)
        extract_fingerprints,
        plan_experiments,
        preprocess,
    )

    clock, work = Clock(), [NUMBER]
    extract_fingerprints(work, num_processes=arguments.threads)
    plans = plan_experiments(work)
    file = arguments.folder / "nnunet_preprocessed" / arguments.data.name / f"{plans}.json"
    plan = json.loads(file.read_text(encoding="utf-8"))
    plan["configurations"][arguments.configuration]["batch_size"] = BATCH
    file.write_text(json.dumps(plan, indent=1), encoding="utf-8")
    preprocess(work, plans, (arguments.configuration,), (arguments.threads,))
    shutil.copy(arguments.data / "splits_final.json", file.parent)
    print(*clock.read())


def _train(arguments: argparse.Namespace, deadline: float) -> None:
    import numpy as np  # noqa: PLC0415
    import torch  # noqa: PLC0415
    from nnunetv2.run.run_training import get_trainer_from_args  # noqa: PLC0415

    torch.set_num_threads(arguments.threads)
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(arguments.seed)
    name = "nnUNetTrainerNoMirroring" if arguments.no_mirroring else "nnUNetTrainer"
    trainer: Any = get_trainer_from_args(
        str(NUMBER), arguments.configuration, 0, name, device=torch.device("cpu")
    )
    steps = _run(trainer, deadline)
    (arguments.folder / "steps.json").write_text(json.dumps(steps), encoding="utf-8")


def _run(trainer: Any, deadline: float) -> int:
    """`nnUNetTrainer.run_training`, the number of epochs set by what is left of the time; returns
    the steps done.
    """
    steps, spent = 0, 0.0
    trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 2, 1
    trainer.on_train_start()
    while trainer.current_epoch < trainer.num_epochs:
        began = time.monotonic()
        _epoch(trainer)
        steps += trainer.num_iterations_per_epoch
        spent, left = time.monotonic() - began, deadline - time.monotonic()
        if trainer.current_epoch == 1:
            per_step = spent / (2 + 1)
            trainer.num_iterations_per_epoch = max(
                1, round(left / EPOCHS / per_step / (1 + VALIDATION))
            )
            trainer.num_val_iterations_per_epoch = max(
                1, round(VALIDATION * trainer.num_iterations_per_epoch)
            )
            spent = left / EPOCHS
        trainer.num_epochs = trainer.current_epoch + max(0, int(left / spent))
        trainer.lr_scheduler.max_steps = trainer.num_epochs
    trainer.on_train_end()
    return steps


def _epoch(trainer: Any) -> None:
    import torch  # noqa: PLC0415

    trainer.on_epoch_start()
    trainer.on_train_epoch_start()
    steps = range(trainer.num_iterations_per_epoch)
    trainer.on_train_epoch_end([trainer.train_step(next(trainer.dataloader_train)) for _ in steps])
    with torch.no_grad():
        trainer.on_validation_epoch_start()
        steps = range(trainer.num_val_iterations_per_epoch)
        trainer.on_validation_epoch_end(
            [trainer.validation_step(next(trainer.dataloader_val)) for _ in steps]
        )
    trainer.on_epoch_end()


def _predict(arguments: argparse.Namespace) -> None:
    """Write label maps of the cases, without mirroring."""
    import torch  # noqa: PLC0415
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: PLC0415

    images, target = arguments.data / "imagesTr", arguments.folder / "peer_predicted"
    target.mkdir(exist_ok=True)
    (model,) = (arguments.folder / "nnunet_results" / arguments.data.name).iterdir()
    predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"))
    predictor.initialize_from_trained_model_folder(str(model), (0,))
    files = [
        sorted(map(str, images.glob(f"{case}_[0-9][0-9][0-9][0-9].*")))
        for case in arguments.predict
    ]
    predictor.predict_from_files(
        files, [str(target / case) for case in arguments.predict], False, True, 1, 1
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--configuration", required=True)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-mirroring", action="store_true")
    parser.add_argument("--predict", nargs="+", metavar="CASE")
    return parser


if __name__ == "__main__":
    main()
