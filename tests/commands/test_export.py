"""The command segkit export: an exported file computes the same scores as the model."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from segkit._version import __version__
from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.cli import main
from segkit.networks import build_network
from segkit.networks.unet import spatial_axes
from segkit.plans.plan_file import plan_from_dict

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a model of two folds with random weights."""
    monkeypatch.chdir(tmp_path)
    plan = read_bundle(FROZEN).plan
    states = {}
    for fold in ("0", "1"):
        torch.manual_seed(int(fold))
        states[fold] = build_network(plan).state_dict()
    write_bundle(tmp_path / "liver", plan, {"name": "liver"}, states)
    return tmp_path / "liver"


def test_one_file_to_share(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "liver", "out/liver.segkit"]) == 0
    assert capsys.readouterr().out == "out/liver.segkit\n"
    packed, folder = read_bundle("out/liver.segkit"), read_bundle(model)
    assert packed.hash == folder.hash
    for name, tensor in packed.state("1").items():
        assert torch.equal(tensor, folder.state("1")[name])
    assert main(["export", "liver", "out/liver.segkit"]) == 2
    assert "out/liver.segkit exists already; --overwrite replaces it" in capsys.readouterr().err
    assert main(["export", "out/liver.segkit", "out/liver.segkit", "--overwrite"]) == 0
    assert read_bundle("out/liver.segkit").hash == folder.hash


def test_a_graph_gives_the_scores_of_the_network(model: Path) -> None:
    pytest.importorskip("openvino", reason="the extra [openvino] is not installed")
    from segkit.inference.scoring.engine import load_openvino  # noqa: PLC0415

    assert main(["export", "liver", "out/liver.xml", "--fold", "1"]) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["liver.bin", "liver.xml"]
    core = load_openvino().Core()
    graph = core.read_model("out/liver.xml")
    plan = read_bundle(model).plan
    assert plan_from_dict(json.loads(graph.get_rt_info(["segkit", "plan"]).astype(str))) == plan
    window = torch.randn(1, len(plan.channels), *(plan.patch[axis] for axis in spatial_axes(plan)))
    compiled = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    with torch.no_grad():
        scores = read_bundle(model).networks()[1](window)
    torch.testing.assert_close(
        torch.from_numpy(compiled([window.numpy()])[0]), scores, rtol=1e-4, atol=1e-4
    )


def scan_of(folder: Path) -> Path:
    """Write a CT of 24 x 24 x 3 voxels with random values."""
    values = np.random.default_rng(0).normal(0, 100, (24, 24, 3)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / "scan.nii.gz")
    return folder / "scan.nii.gz"


def test_an_onnx_file_gives_the_scores_of_the_network(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")
    caplog.set_level("INFO")
    words = ["export", "liver", "out/liver.onnx", "--fold", "1", "--scan", str(scan_of(Path()))]
    assert main(words) == 0
    assert [path.name for path in Path("out").iterdir()] == ["liver.onnx"]
    assert "compared with segkit on 2 windows of scan: scores differ by at most " in caplog.text
    session = onnxruntime.InferenceSession("out/liver.onnx", providers=["CPUExecutionProvider"])
    texts = session.get_modelmeta().custom_metadata_map
    facts = {name: json.loads(text) for name, text in texts.items()}
    plan = read_bundle(model).plan
    assert plan_from_dict(facts.pop("plan")) == plan
    assert facts == {
        "model": {"name": "liver", "hash": read_bundle(model).hash, "fold": "1"},
        "segkit": __version__,
        "axes": ["X", "Y"],
        "orientation": "RAS+",
        "patch": [16, 16],
        "spacing": [1.0, 1.0],
        "unit": "mm",
        "channels": [dataclasses.asdict(plan.channels[0])],
        "outputs": {"background": 0, "bright": 5, "dark": 300},
        "activation": "softmax",
        "postprocessing": {},
    }
    windows = torch.randn(3, 1, 16, 16)
    (scores,) = session.run(None, {"windows": windows.numpy()})
    with torch.no_grad():
        expected = read_bundle(model).networks()[1](windows)
    torch.testing.assert_close(torch.from_numpy(scores), expected, rtol=1e-4, atol=1e-4)
    assert main(words) == 2
    assert main([*words, "--overwrite"]) == 0


def test_nothing_is_left_of_a_file_that_onnxruntime_computes_otherwise(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")
    plan = read_bundle(model).plan
    # With such weights scores are infinite, and the difference of two is not a number.
    state = read_bundle(model).state("0")
    state["head.weight"] = torch.full_like(state["head.weight"], 3e38)
    write_bundle(model, plan, {"name": "liver"}, {"0": state})
    assert main(["export", "liver", "out/liver.onnx", "--scan", str(scan_of(Path()))]) == 3
    assert "out/liver.onnx: expected scores that differ" in capsys.readouterr().err
    assert list(Path("out").iterdir()) == []


def test_a_missing_package_is_named(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [])  # where packages are looked for
    assert main(["export", "liver", "liver.onnx", "--fold", "0"]) == 2
    message = "liver.onnx needs the packages onnx and onnxruntime. Type: pip install 'segkit[onnx]'"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["liver.pt"], "liver.pt: must end with .segkit, .xml, .onnx"),
        (["liver.onnx"], "holds the networks of the folds 0, 1: choose one with --fold"),
        (["liver.xml", "--scan", "a.nii.gz"], "--scan is for .onnx"),
        (["liver.xml"], "holds the networks of the folds 0, 1: choose one with --fold"),
        (["liver.xml", "--fold", "7"], "--fold 7: "),
        (["liver.segkit", "--fold", "1"], "--fold is for .xml and .onnx"),
    ],
)
def test_what_cannot_be_meant_is_said(
    words: list[str], message: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(model), *words]) == 2
    assert message in capsys.readouterr().err
    assert not Path(words[0]).exists()


def test_of_several_models_one_is_named(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        assert main(["export", str(model), f"two/{name}.segkit"]) == 0
    assert main(["export", "two", "two.segkit"]) == 2
    assert "two holds 2 models: give the name of one of them" in capsys.readouterr().err
