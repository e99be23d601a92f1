"""Hand-made fingerprints and small datasets on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from segkit.config.schema import NetworkConfig, PlanConfig
from segkit.dataset.dataset import Case, Dataset
from segkit.fingerprint.case_facts import CaseFacts
from segkit.fingerprint.fingerprint import Fingerprint, Intensity
from segkit.fingerprint.label_facts import LabelFacts
from segkit.planning.planner import make_plan
from segkit.plans.plan import Plan

Print = Callable[..., Fingerprint]
Decide = Callable[..., Plan]


def facts(index: int, shape: Any, spacing: Any, cropped: Any, centroids: dict[str, Any]) -> CaseFacts:
    labels = {name: LabelFacts(1000, 1000.0, place, (4.0, 4.0, 4.0)) for name, place in centroids.items()}
    return CaseFacts(f"case{index}", shape, spacing, cropped or shape, labels)


@pytest.fixture
def fingerprint() -> Print:
    """`cases` equal cases, or one per entry of ``spacings``; two labels apart along y unless ``centroids`` says."""

    def build(
        shape: Any = (35, 50, 36), spacings: Any = ((1.0, 1.0, 1.0),) * 10, *, cropped: Any = None, **more: Any
    ) -> Fingerprint:
        centroids = more.get("centroids", {"a": (20.0, 10.0, 20.0), "b": (20.0, 30.0, 20.0)})
        cases = tuple(facts(i, shape, spacing, cropped, centroids) for i, spacing in enumerate(spacings))
        intensity = Intensity(minimum=0, lower=-100, median=2, mean=50, upper=300, maximum=5, std=25)
        return Fingerprint(more.get("unit", "mm"), cases, (intensity,) * more.get("channels", 1))

    return build


@pytest.fixture
def decide() -> Decide:
    """`make_plan` for labels a and b; options of NetworkConfig and PlanConfig by name."""

    def build(
        measured: Fingerprint,
        *,
        channels: tuple[str, ...] = ("MR",),
        batch_size: int | None = 2,
        mirror: Any = "auto",
        **options: Any,
    ) -> Plan:
        plan_options = {key: options.pop(key) for key in ("spacing", "patch", "memory") if key in options}
        dataset = Dataset("d", Path("d"), channels, {"a": 1, "b": 2}, ())
        network, plan = NetworkConfig(**options), PlanConfig(**plan_options)
        return make_plan(measured, dataset, network, plan, batch_size, mirror=mirror)

    return build


@pytest.fixture
def write_case(tmp_path: Path) -> Callable[..., Case]:
    """Write a scan and its label map as NIfTI and return the Case."""

    def write(name: str, image: Any, labels: Any = None, *, affine: Any = None, label_affine: Any = None) -> Case:
        affine = np.eye(4) if affine is None else affine
        path, label_path = tmp_path / f"{name}.nii.gz", tmp_path / f"{name}_seg.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.asarray(image, dtype=np.float32), affine), path)
        if labels is None:
            return Case(name, (path,))
        placed = affine if label_affine is None else label_affine
        nibabel.save(nibabel.Nifti1Image(np.asarray(labels, dtype=np.uint8), placed), label_path)
        return Case(name, (path,), label_path)

    return write
