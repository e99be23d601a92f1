from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from segkit.bundle.bundle import Bundle
from segkit.errors import UsageError
from segkit.inference.files.provenance import run_record
from segkit.inference.predictor import Predictor
from segkit.inference.scoring.engine import (
    OpenVinoEngine,
    choose_engine,
    installed,
    make_engine,
    torch_engine,
)
from segkit.inference.scoring.window_scorer import WindowScorer
from segkit.networks import build_network
from segkit.networks.unet import UNet
from segkit.plans.plan import Plan
from segkit.volume import Volume

Make = Callable[..., Bundle]
CPU = torch.device("cpu")
needs_openvino = pytest.mark.skipif(not installed(), reason="needs the package openvino")


class OfAnotherPackage(UNet):
    """It could compute anything."""


def choose(
    name: str, networks: list[nn.Module], *, device: torch.device = CPU, precision: str = "float32"
) -> str:
    return choose_engine(name, device=device, precision=precision, networks=networks)


def drawn(plan: Plan, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_network(plan).eval()


def test_torch_is_asked_nothing() -> None:
    assert (
        choose("torch", [nn.Identity()], device=torch.device("cuda"), precision="float16")
        == "torch"
    )


def test_another_engine_is_refused() -> None:
    with pytest.raises(UsageError, match="--engine onnx: must be auto, torch, openvino"):
        choose("onnx", [])


@pytest.mark.parametrize(
    ("device", "precision", "message"),
    [
        ("cuda:1", "float32", "computes on a CPU, not on cuda:1: add --device cpu"),
        ("cpu", "float16", "computes in float32 or bfloat16, not in float16"),
    ],
)
def test_what_openvino_cannot_do(
    device: str, precision: str, message: str, make_bundle: Make, caplog: pytest.LogCaptureFixture
) -> None:
    networks = [drawn(make_bundle().plan)]
    with pytest.raises(UsageError, match=f"--engine openvino {message}"):
        choose("openvino", networks, device=torch.device(device), precision=precision)
    with caplog.at_level("INFO"):
        assert choose("auto", networks, device=torch.device(device), precision=precision) == "torch"
    assert f"computing with torch: OpenVINO {message}" in caplog.text


def test_networks_of_others_are_left_to_torch(make_bundle: Make) -> None:
    plan = make_bundle().plan
    networks = [drawn(plan), OfAnotherPackage(plan).eval()]
    message = (
        "--engine openvino supports segkit's own U-Nets, not the network OfAnotherPackage, "
        "which only torch computes"
    )
    with pytest.raises(UsageError, match=message):
        choose("openvino", networks)
    with pytest.raises(TypeError, match="Identity is not a U-Net"):
        OpenVinoEngine(plan, "float32")(nn.Identity(), scores=True)


def test_a_missing_package_is_named(make_bundle: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = [drawn(make_bundle().plan)]
    monkeypatch.setattr(sys, "path", [])  # where packages are looked for
    message = (
        r"--engine openvino needs the package openvino. Type: pip install 'segkit\[openvino\]'"
    )
    with pytest.raises(UsageError, match=message):
        choose("openvino", networks)
    assert choose("auto", networks) == "torch"


@needs_openvino
def test_auto_takes_openvino_where_it_can(
    make_bundle: Make, caplog: pytest.LogCaptureFixture
) -> None:
    networks = [drawn(make_bundle().plan)]
    with caplog.at_level("INFO"):
        assert choose("auto", networks) == choose("openvino", networks) == "openvino"
    assert "computing with openvino" in caplog.text


@needs_openvino
def test_importing_openvino_reports_nothing(tmp_path: Path) -> None:
    witness = tmp_path / "imported"
    (tmp_path / "openvino_telemetry.py").write_text(
        f"open({str(witness)!r}, 'w').close()\nraise ImportError\n"
    )
    code = (
        "from segkit.inference.scoring.engine import load_openvino; print(load_openvino().__name__)"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])

    def run(code: str) -> str:
        words, environment = [sys.executable, "-c", code], {**os.environ, "PYTHONPATH": path}
        return subprocess.run(
            words, env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert run(code) == "openvino\n"
    assert not witness.exists()
    run("import openvino")
    assert witness.exists(), "OpenVINO no longer imports this package: the way around it can go"


@needs_openvino
@pytest.mark.parametrize("tta", [False, True])
@pytest.mark.parametrize("labels", [1, 8])  # 8: features are averaged, not scores
@pytest.mark.parametrize("dims", [2, 3])
def test_an_ensemble_says_the_same_by_both_engines(
    dims: int, labels: int, tta: bool, make_bundle: Make
) -> None:
    plan = make_bundle(
        dims, 2, labels={f"label{value}": value for value in range(1, labels + 1)}
    ).plan
    windows = torch.randn(3, 2, *[8] * dims)

    def averaged(name: str) -> torch.Tensor:
        networks = [drawn(plan, seed) for seed in (0, 1)]
        engine = make_engine(name, plan, "float32")
        scorer = WindowScorer(
            networks, plan, device=CPU, precision="float32", tta=tta, engine=engine
        )
        with torch.inference_mode():
            return scorer(windows)

    assert averaged("torch").shape[1] == {1: 2, 8: 4}[labels]
    torch.testing.assert_close(averaged("openvino"), averaged("torch"), rtol=1e-4, atol=1e-4)


@needs_openvino
@pytest.mark.parametrize("dims", [2, 3])
def test_label_maps_and_record(dims: int, make_bundle: Make, tmp_path: Path) -> None:
    bundle = make_bundle(dims)
    array = np.zeros((1, 20, 13, 11), np.float32)
    array[0, 3:15, 2:9, 4:7] = 100
    volume = Volume(array, np.eye(4))
    predictor = Predictor(
        bundle, engine="openvino", precision="float32", locate=make_bundle(dims, folder="coarse")
    )
    assert np.array_equal(predictor.predict(volume).array, 7 * (array > 50))
    record = run_record(predictor, [], {})
    assert (record["engine"], record["versions"]["openvino"]) == ("openvino", version("openvino"))
    assert predictor.locator is not None


def test_the_record_of_torch_names_it(make_bundle: Make) -> None:
    record = run_record(Predictor(make_bundle()), [], {})
    assert record["engine"] == "torch"
    assert sorted(record["versions"]) == ["python", "segkit", "torch"]


def test_torch_gives_scores_or_features(make_bundle: Make) -> None:
    network = drawn(make_bundle(channels=2).plan)
    windows = torch.randn(1, 2, 8, 8, 8)
    assert torch_engine(network, scores=True)(windows).shape[1] == len(network.head.weight)
    assert torch_engine(network, scores=False)(windows).shape[1] == network.head.weight.shape[1]
    with pytest.raises(TypeError, match="Identity has no features"):
        torch_engine(nn.Identity(), scores=False)
