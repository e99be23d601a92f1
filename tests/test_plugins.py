"""Parts of other packages: the documented example, installed for real into a folder of its own."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from segkit.bundle.bundle import read_bundle
from segkit.cli import main
from segkit.config.choices import choices
from segkit.config.compose import load
from segkit.config.loss_catalogue import LOSSES
from segkit.errors import InputError, UsageError
from segkit.networks import new_network
from segkit.planning.plan_dataset import plan
from segkit.plans.network_catalogue import NETWORKS, plugin_networks
from segkit.plans.plan_file import read_plan
from segkit.training.optimization.losses import CrossEntropy, loss_by_name

PAGE = Path(__file__).parents[1] / "docs" / "own_parts.md"
SMALL = ["network.features=[4,8]", "plan.patch=[16,16,16]", "plan.spacing=[4,4,4]", "compute=cpu"]
QUICK = [
    "trainer.max_steps=1",
    "trainer.precision=float32",
    "trainer.layout=contiguous",
    "trainer.validations=0",
]
Install = Callable[..., Path]


def written(kind: str) -> str:
    """The page's block of this kind."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)[0]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return install(**groups), which installs the package of the page with other entry points."""

    def make(name: str = "my-parts", code: str = "", **groups: dict[str, str]) -> Path:
        project = tomllib.loads(written("toml"))["project"]
        folder = tmp_path / f"site of {name}"
        about = folder / f"{name.replace('-', '_')}-{project['version']}.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {project['version']}\n"
        )
        lines = []
        for group, points in (groups or project["entry-points"]).items():
            lines += [f"[{group}]", *(f"{point} = {value}" for point, value in points.items())]
        (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
        (folder / "my_parts.py").write_text(code or written("python"))
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "my_parts", raising=False)
        return folder

    return make


def test_the_example_is_short() -> None:
    assert len((written("toml") + written("python")).splitlines()) < 40


def test_without_packages_there_is_nothing() -> None:
    assert plugin_networks() == {}


def test_the_documented_parts_train_and_predict(
    install: Install,
    phantom: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    site = install()
    monkeypatch.chdir(tmp_path)
    words = [
        f"dataset={phantom}",
        "network=plain",
        "trainer.loss=focal",
        "network.convs=1",
        "run_dir=run",
    ]
    assert main(["train", *words, *SMALL, *QUICK]) == 0
    bundle = read_bundle("run")
    assert bundle.card["needs"] == {"network": "my-parts==1.0", "loss": "my-parts==1.0"}
    assert bundle.plan.needs == {"network": "my-parts==1.0"}
    assert "body.0.weight" in bundle.state("0")
    scan = next((phantom / "imagesTs").iterdir())
    assert main(["predict", str(scan), "-m", "run", "-o", "with.nii.gz"]) == 0
    shutil.rmtree(site)
    capsys.readouterr()
    assert main(["predict", str(scan), "-m", "run", "-o", "without.nii.gz"]) == 3
    err = capsys.readouterr().err
    assert (
        "expected the network 'plain' of the package my-parts==1.0, found no installed package"
        in err
    )
    assert "If you trust the package: pip install my-parts==1.0" in err
    (tmp_path / "run" / "finished.json").unlink()
    assert main(["train", "run_dir=run", "--resume"]) == 3
    assert (
        "trainer.loss must be dice_ce, dice, ce, nnunet or one that an installed package"
        in capsys.readouterr().err
    )


def test_names_of_other_packages_are_choices(install: Install) -> None:
    install()
    assert choices("network") == sorted([*NETWORKS, "plain"])
    assert load(["network=plain", "trainer.loss=focal"]).network.name == "plain"
    with pytest.raises(UsageError, match=r"unknown choice network=plian. Did you mean plain"):
        load(["network=plian"])
    with pytest.raises(
        UsageError, match=r"trainer.loss must be dice_ce, dice, ce, nnunet or one that an inst"
    ):
        load(["trainer.loss=focla"])


def test_own_names_cannot_be_taken(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    install(
        **{"segkit.networks": {"unet": "my_parts:Plain"}, "segkit.losses": {"ce": "my_parts:Focal"}}
    )
    assert plugin_networks() == {}
    assert (
        "my-parts==1.0 offers unet in segkit.networks: it is not used, because segkit has its own "
        "of this name" in caplog.text
    )
    assert isinstance(loss_by_name("ce"), CrossEntropy)


def test_of_two_packages_neither_is_used(install: Install) -> None:
    install()
    install("other-parts")
    with pytest.raises(
        InputError,
        match=r"plain in segkit.networks: expected one .* my-parts==1.0 and other-parts==1",
    ):
        choices("network")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "import nowhere",
            r"plain of my-parts==1.0: expected my_parts:Plain to be imported, found ModuleNotFound",
        ),
        (
            "def Plain(plan): return 7",
            r"network plain of my-parts==1.0: expected a torch.nn.Module .* found int",
        ),
        (
            "from torch import nn\ndef Plain(plan): return nn.Conv3d(1, 2, 1)",
            r"network plain: expected scores of shape \(1, 5, 16, 16, 16\) .* found \(1, 2, 16, "
            r"16, 16\)",
        ),
        (
            "from torch import nn\nclass Plain(nn.Module):\n    def __init__(self, plan): "
            "super().__init__()\n"
            "    def forward(self, x): return [x]",
            r"network plain: expected scores of shape .* found list",
        ),
    ],
)
def test_what_is_no_network_is_refused(
    code: str, message: str, install: Install, phantom: Path
) -> None:
    install(code=code)
    with pytest.raises(InputError, match=message):
        new_network(plan(phantom, "network=plain", *SMALL[:3]))


def test_a_loss_that_is_missing_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"trainer.loss=focal: expected one of dice_ce, dice, ce, nnunet, found no"
    ):
        loss_by_name("focal")
    assert "focal" not in LOSSES


def test_a_plan_cannot_propose_any_command(install: Install, phantom: Path, tmp_path: Path) -> None:
    install()
    content = plan(phantom, "network=plain", *SMALL[:3]).to_dict()
    content["needs"] = {"network": "nets==1.0; rm -r x"}
    (tmp_path / "plan.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="needs must name packages as name==version"):
        read_plan(tmp_path / "plan.json")
