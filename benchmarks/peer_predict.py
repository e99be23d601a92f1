"""Run nnU-Net and MONAI for predict.py, which starts this file with another Python environment.

    python benchmarks/peer_predict.py forward BUNDLE --rounds 5
    python benchmarks/peer_predict.py nnunet|monai BUNDLE IMAGES OUT --model FOLDER

The first times one window in each tool's network, in turns, and prints JSON. The others predict
every IMAGES/CASE_0000.nii.gz, with a network as the bundle's plan has it (channels, convolutions,
strides, two convolutions a stage) and its windows, and random weights: the time does not depend on
them. The model of nnU-Net is in FOLDER, which is created if absent, and its own command predicts.
MONAI has no command: this file has its transforms, its DynUNet (two convolutions a stage; nnU-Net's
network where the plan has another number) and its sliding window, scan by scan.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from peer_nnunet import let_torchvision_load
from torch import Tensor, nn

from segkit.bundle.bundle import read_bundle
from segkit.networks.precision import MEMORY_FORMATS, ComputeMode, network_to_memory_format
from segkit.plans.plan import Plan

OVERLAP = 0.5
FOLD, CONFIGURATION, TRAINER = 0, "3d_fullres", "nnUNetTrainer"
UNET = "dynamic_network_architectures.architectures.unet.PlainConvUNet"


def main() -> None:
    """Time windows, or predict."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["forward", "nnunet", "monai"])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("images", type=Path, nargs="?")
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--limit", type=int, help="GiB of address space for this process, and for each it starts"
    )
    arguments = parser.parse_args()
    if arguments.limit:
        resource.setrlimit(resource.RLIMIT_AS, (arguments.limit << 30, arguments.limit << 30))
    torch.set_num_threads(arguments.threads)
    let_torchvision_load()
    {"forward": _forward, "nnunet": _nnunet, "monai": _monai}[arguments.what](arguments)


def _forward(arguments: argparse.Namespace) -> None:
    bundle = read_bundle(arguments.bundle)
    plan, window = bundle.plan, torch.randn(1, len(bundle.plan.channels), *bundle.plan.patch)
    runs: dict[str, Callable[[], Any]] = {
        "nnU-Net, float32, contiguous": _run(
            _nnunet_network(plan), window, "float32", "contiguous"
        ),
        "MONAI, float32, contiguous": _run(_monai_network(plan), window, "float32", "contiguous"),
    }
    for precision in ("float32", "bfloat16"):
        for layout in MEMORY_FORMATS:
            runs[f"segkit, {precision}, {layout}"] = _run(
                bundle.networks()[0], window, precision, layout
            )
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(arguments.rounds + 1):
        for name, run in runs.items():
            started = time.process_time()
            run()
            times[name].append(time.process_time() - started)
    print(json.dumps({name: median(each[1:]) for name, each in times.items()}))


def _run(network: nn.Module, window: Tensor, precision: str, layout: str) -> Callable[[], Any]:
    mode, network = ComputeMode(precision, layout), network_to_memory_format(network.eval(), layout)

    @torch.inference_mode()
    def run() -> Any:
        with mode.autocast(torch.device("cpu")):
            return mode.wrap(network)(window)

    return run


def _nnunet_network(plan: Plan) -> nn.Module:
    from dynamic_network_architectures.architectures.unet import PlainConvUNet  # noqa: PLC0415

    options = {
        **_architecture(plan),
        "conv_op": nn.Conv3d,
        "norm_op": nn.InstanceNorm3d,
        "nonlin": nn.LeakyReLU,
    }
    return PlainConvUNet(
        len(plan.channels), num_classes=len(plan.label_values), deep_supervision=False, **options
    )


def _architecture(plan: Plan) -> dict[str, Any]:
    """Return the arguments of nnU-Net's network, with axes in its array order Z, Y, X."""
    stages = plan.network.encoder
    return {
        "n_stages": len(stages),
        "features_per_stage": [stage.layers[-1].channels for stage in stages],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [list(stage.kernel[::-1]) for stage in stages],
        "strides": [list(stage.stride[::-1]) for stage in stages],
        "n_conv_per_stage": [len(stage.layers) for stage in stages],
        "n_conv_per_stage_decoder": [len(stage.layers) for stage in plan.network.decoder],
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }


def _nnunet(arguments: argparse.Namespace) -> None:
    """Run nnUNetv2_predict_from_modelfolder with one process each for reading and writing."""
    from nnunetv2.inference.predict_from_raw_data import predict_entry_point_modelfolder  # noqa: PLC0415

    if not arguments.model.is_dir():
        _write_nnunet(arguments.model, read_bundle(arguments.bundle).plan)
    places = ["-i", str(arguments.images), "-o", str(arguments.out), "-m", str(arguments.model)]
    how = [
        "-f",
        str(FOLD),
        "--disable_tta",
        "-device",
        "cpu",
        "-npp",
        "1",
        "-nps",
        "1",
        "--disable_progress_bar",
    ]
    sys.argv = ["nnUNetv2_predict_from_modelfolder", *places, *how]
    predict_entry_point_modelfolder()


def _write_nnunet(folder: Path, plan: Plan) -> None:
    resample = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    names = ("resampling_fn_data", "resampling_fn_seg", "resampling_fn_probabilities")
    configuration = {
        "data_identifier": "benchmark",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(plan.patch[::-1]),
        "spacing": list(plan.spacing[::-1]),
        "normalization_schemes": ["ZScoreNormalization"] * len(plan.channels),
        "use_mask_for_norm": [False] * len(plan.channels),
        **dict.fromkeys(names, "resample_data_or_seg_to_shape"),
        **{f"{name}_kwargs": resample for name in names},
        "architecture": {
            "network_class_name": UNET,
            "arch_kwargs": _architecture(plan),
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": False,
    }
    plans = {
        "dataset_name": "benchmark",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {CONFIGURATION: configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(number): {} for number in range(len(plan.channels))
        },
    }
    labels = {"background": 0, **{name: number for number, name in enumerate(plan.labels, 1)}}
    channels = {str(number): channel.name for number, channel in enumerate(plan.channels)}
    about = {
        "channel_names": channels,
        "labels": labels,
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    checkpoint = {
        "trainer_name": TRAINER,
        "init_args": {"configuration": CONFIGURATION},
        "inference_allowed_mirroring_axes": None,
        "network_weights": _nnunet_network(plan).state_dict(),
    }
    (folder / f"fold_{FOLD}").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(about), encoding="utf-8")
    torch.save(checkpoint, folder / f"fold_{FOLD}" / "checkpoint_final.pth")


def _monai_network(plan: Plan) -> nn.Module:
    from monai.networks.nets import DynUNet  # noqa: PLC0415

    stages = plan.network.encoder
    if any(len(stage.layers) != 2 for stage in stages):
        return _nnunet_network(plan)
    kernels, strides = (
        [list(stage.kernel) for stage in stages],
        [list(stage.stride) for stage in stages],
    )
    widths = [stage.layers[-1].channels for stage in stages]
    return DynUNet(
        3,
        len(plan.channels),
        len(plan.label_values),
        kernels,
        strides,
        strides[1:],
        widths,
        norm_name="instance",
    )


def _monai(arguments: argparse.Namespace) -> None:
    """Label maps on the scans' own grids; labels, not scores, are resampled, as MONAI does it.

    Resized, because `Invertd` takes 10 times as long for the same and some GiB more.
    """
    import nibabel  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415
    from monai import transforms as t  # noqa: PLC0415
    from monai.inferers import sliding_window_inference  # noqa: PLC0415

    plan = read_bundle(arguments.bundle).plan
    network = _monai_network(plan).eval()
    turned = t.Compose([t.LoadImage(ensure_channel_first=True), t.Orientation("RAS", labels=None)])
    spaced = t.Spacing(plan.spacing, mode="bilinear", dtype=np.float32)
    prepare = t.Compose([spaced, t.NormalizeIntensity(channel_wise=True)])
    arguments.out.mkdir(exist_ok=True)
    for path in sorted(arguments.images.glob("*_0000.nii.gz")):
        image = turned(path)
        shape = image.shape[1:]
        image = prepare(image)
        with torch.inference_mode():
            scores = sliding_window_inference(
                image[None], plan.patch, 2, network, OVERLAP, mode="gaussian"
            )
        labels = scores[0].argmax(0, keepdim=True).to(torch.uint8)
        del scores
        found = t.Resize(shape, mode="nearest", dtype=torch.uint8)(labels)[0].numpy()
        scan = nibabel.load(path)
        back = nibabel.orientations.ornt_transform(
            [[0, 1], [1, 1], [2, 1]], nibabel.io_orientation(scan.affine)
        )
        found = nibabel.apply_orientation(found, back)
        name = path.name.replace("_0000", "")
        nibabel.save(nibabel.Nifti1Image(found.astype(np.uint8), scan.affine), arguments.out / name)


if __name__ == "__main__":
    main()
