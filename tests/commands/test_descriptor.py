"""segkit descriptor and segkit run-as: flags, choice of the model, and messages."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.cli import main
from segkit.commands.platform_run import chosen_model
from segkit.commands.run_as import PLATFORMS
from segkit.errors import InputError, UsageError
from segkit.plans.ranges import DataRanges
from segkit.platforms.catalogue import DESCRIPTORS

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"


def test_every_platform_has_a_descriptor_and_a_command() -> None:
    assert [*DESCRIPTORS] == [*PLATFORMS]


@pytest.mark.parametrize("platform", DESCRIPTORS)
def test_facts_are_in_every_descriptor(platform: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["-m", str(FROZEN), "--image", "registry.local:5000/segkit:7", "--memory", "5GB"]
    printed = ""
    for part in DESCRIPTORS[platform]:
        assert main(["descriptor", platform, "--part", part, *flags]) == 0
        printed += capsys.readouterr().out
    assert "4500MB" in printed
    assert "bundle_v1" in printed
    if platform != "kaapana":  # which names the image in the task, not in the container
        assert "registry.local:5000/segkit:7" in printed


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["cloud"], 2, "invalid choice: 'cloud' (choose from"),
        (["map", "--part", "x"], 2, "--part x: the descriptor for map has the parts app, pkg"),
        (["map", "--memory", "much"], 2, "'much' is not a size"),
        (["map", "--memory", "100MB"], 2, "--memory: 100.0 MB is too little; give at least 1GiB"),
        (["xnat", "--image", "segkit"], 2, "--image segkit: give a tag as well"),
        (["map", "-m", "no"], 3, "no: expected a model"),
        (["map", "--output-path", "images/a"], 2, "--output-path is for grand-challenge only"),
        (["bids", "--socket", "CT=a"], 2, "--socket is for grand-challenge only"),
        (["grand-challenge", "--gpu"], 2, "choose a GPU on the algorithm's page"),
        (["grand-challenge", "--socket", "CT"], 2, "--socket CT: write CHANNEL=SLUG"),
    ],
)
def test_refused(
    words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["descriptor", *words]) == code
    assert message in capsys.readouterr().err


def test_unknown_platform_of_run_as(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run-as", "xant"]) == 2
    assert "unknown platform 'xant'. Did you mean xnat?" in capsys.readouterr().err


def test_model_that_was_named_comes_first(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(FROZEN)
    environment = {"SEGKIT_MODELS": str(tmp_path)}
    assert chosen_model(None, environment=environment) == tmp_path / "a"
    (tmp_path / "b").symlink_to(FROZEN)
    with pytest.raises(UsageError, match=r"there are a, b\. Name one with -m MODEL or \$SEGKIT"):
        chosen_model(None, environment=environment)
    named = {**environment, "SEGKIT_MODEL": "b"}
    assert chosen_model(None, environment=named) == tmp_path / "b"
    assert chosen_model(None, tmp_path, environment=named) == tmp_path
    assert chosen_model(None, tmp_path / "none", environment=named) == tmp_path / "b"
    assert chosen_model("a", tmp_path, environment=named) == tmp_path / "a"
    with pytest.raises(InputError, match="c: expected a model"):
        chosen_model("c", environment=named)
    with pytest.raises(UsageError, match="and in nowhere there is none"):
        chosen_model(None, environment={"SEGKIT_MODELS": "nowhere"})


def test_program_name_in_front_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segkit", "descriptor", "kaapana"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "segkit"


def test_memory_follows_from_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scans of up to 800 x 800 x 800 voxels take more than the 2 GB that are asked for at least."""
    bundle = read_bundle(FROZEN)
    for name, size in ("small", 50.0), ("large", 800.0):
        ranges = DataRanges(2, ((1.0, 2.0),) * 3, ((size / 2, size),) * 3, (), {})
        plan = dataclasses.replace(bundle.plan, training=ranges)
        write_bundle(tmp_path / name, plan, {"name": name}, {"0": bundle.state("0")})
    asked = {}
    for name in "small", "large":
        assert main(["descriptor", "map", "--part", "pkg", "-m", str(tmp_path / name)]) == 0
        out, err = capsys.readouterr()
        asked[name] = json.loads(out)["resources"]["memory"]
    assert asked["small"] == f"{2_000_000_000 >> 20}Mi"
    assert int(asked["large"].removesuffix("Mi")) << 20 > 6 * 800**3
    assert "for scans of up to 800 x 800 x 800 voxels, as in the training" in err


@pytest.mark.parametrize("name", ["my model", "a$(id)", "-m"])
def test_model_name_that_a_shell_would_read(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).symlink_to(FROZEN)
    assert main(["descriptor", "xnat", "-m", str(tmp_path / name)]) == 2
    assert f"-m: the name {name!r} cannot stand in a platform" in capsys.readouterr().err
