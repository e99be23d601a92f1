from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import segkit
from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.inference.export.onnx_file import write_onnx
from segkit.io import read_volume
from segkit.networks import build_network
from segkit.preprocessing.chain import prepare
from tools.pages import ROOT, Page


def test_the_example_of_the_page_gives_segkits_labels(
    data_root: Path, phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")
    monkeypatch.chdir(tmp_path)
    words = ("network.features=[4,8]", "plan.patch=[24,32,16]", "plan.spacing=[1,1,1]")
    plan = segkit.plan(phantom, *words)
    torch.manual_seed(0)
    write_bundle("liver", plan, {"name": "liver"}, {"0": build_network(plan).state_dict()})
    shutil.copy(
        sorted((data_root / "Task04_Hippocampus" / "imagesTr").glob("*.nii.gz"))[0],
        "scan.nii.gz",
    )
    agreement = write_onnx(Path("liver"), "0", Path("liver.onnx"), [Path("scan.nii.gz")])
    assert agreement.difference < 2e-5

    page = ROOT / "docs" / "prediction.md"
    blocks = Page(page, page.read_text(encoding="utf-8")).blocks
    (example,) = [block for language, block in blocks if "import onnxruntime" in block]
    names: dict[str, Any] = {}
    exec(example, names)

    image = prepare(read_volume("scan.nii.gz"), plan).image[None, :, :24, :32, :16]
    with torch.inference_mode():
        scores = read_bundle("liver").networks()[0](torch.from_numpy(image))
    assert len(np.unique(names["labels"])) > 2
    values = np.array(plan.label_values)
    np.testing.assert_array_equal(names["labels"], values[scores[0].argmax(dim=0)])
