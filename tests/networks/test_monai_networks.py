"""Properties of MONAI that segkit relies on: a failure shows what a new version changed."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from monai.networks.nets.dynunet import DynUNet
from monai.networks.nets.segresnet import SegResNet

from segkit.networks.user_name import NAMELESS, user_name

UNKNOWN_USER = 54321


@pytest.mark.parametrize(
    ("network", "first", "named"),
    [
        (
            DynUNet,
            ["spatial_dims", "in_channels", "out_channels"],
            {
                *(
                    "kernel_size",
                    "strides",
                    "upsample_kernel_size",
                    "filters",
                    "norm_name",
                    "act_name",
                ),
                *("deep_supervision", "deep_supr_num"),
            },
        ),
        (
            SegResNet,
            ["spatial_dims", "init_filters", "in_channels", "out_channels"],
            {"act", "norm", "blocks_down", "blocks_up"},
        ),
    ],
)
def test_parameters_of_the_networks(network: type, first: list[str], named: set[str]) -> None:
    parameters = list(inspect.signature(network).parameters)
    assert parameters[: len(first)] == first
    assert named <= set(parameters)


def test_parts_of_a_dynunet() -> None:
    network = DynUNet(
        2,
        1,
        2,
        [3] * 3,
        [1, 2, 2],
        [2, 2],
        filters=[4, 4, 4],
        deep_supervision=True,
        deep_supr_num=1,
    )
    assert {"skip_layers", "output_block"} <= {name for name, _ in network.named_children()}
    assert isinstance(network.heads, list)  # the scores of the last forward pass


def test_parts_of_a_segresnet() -> None:
    assert {"conv_final"} <= {name for name, _ in SegResNet(2, 8, 1, 2).named_children()}


def test_a_user_that_has_a_name_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody")
    with user_name():
        assert os.environ["LOGNAME"] == "somebody"


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become another user"
)
def test_a_user_number_without_a_passwd_entry(tmp_path: Path) -> None:
    code = (
        "import getpass, os\n"
        "try:\n    getpass.getuser()\n    named = True\n"
        "except (KeyError, OSError):\n    named = False\n"
        "assert not named\n"
        "from segkit.networks.user_name import user_name\n"
        "with user_name():\n    import monai\n"
        "assert 'LOGNAME' not in os.environ\n"
        "print(monai.__version__)"
    )
    program = shutil.which("setpriv")
    if program is None:
        pytest.skip("setpriv is not here")
    reading = "-all,+dac_read_search"  # Python may lie in a folder of root's
    found = subprocess.run(
        [
            *(
                program,
                f"--reuid={UNKNOWN_USER}",
                "--clear-groups",
                f"--inh-caps={reading}",
                f"--ambient-caps={reading}",
            ),
            *(sys.executable, "-c", code),
        ],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode and "ermission denied" in found.stderr:
        pytest.skip("another user may not read this Python")
    assert found.returncode == 0, found.stderr
    assert NAMELESS not in found.stdout
