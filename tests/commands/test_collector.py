from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import torch  # noqa: F401 - the last test is about a process that has imported it

from segkit.commands.collector import collector_paused

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"


def test_predict_exempts_the_objects_of_torch(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((9, 9, 2), np.int16), np.eye(4)), tmp_path / "a.nii")
    code = f"""
import gc
from segkit.commands import predict
predict.run(["a.nii", "-m", {str(FROZEN)!r}])
print(gc.isenabled(), gc.get_freeze_count() > 100_000)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["a_seg.nii.gz", "True True"]


def test_the_collector_is_off_only_in_the_context() -> None:
    code = """
import gc
from segkit.commands.collector import collector_paused
try:
    with collector_paused():
        print(gc.isenabled())
        raise KeyError
except KeyError:
    print(gc.isenabled(), gc.get_freeze_count() > 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False", "True True"]


def test_a_process_that_has_imported_torch_is_left_as_it_is() -> None:
    frozen = gc.get_freeze_count()
    with collector_paused():
        assert gc.isenabled()
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, frozen)
