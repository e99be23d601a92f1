from __future__ import annotations

import hashlib
import json
import os
import shutil
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from segkit.bundle.bundle import Bundle, fill_network, read_bundle, write_bundle
from segkit.bundle.pack import pack_bundle
from segkit.errors import InputError, OutOfMemoryError

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FROZEN, tmp_path / "model"))


def edit_card(folder: Path, **changes: object) -> None:
    card = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**card, **changes}))


def rewrite(folder: Path, factor: float = 1.0) -> Bundle:
    bundle = read_bundle(folder)
    state = {name: factor * tensor for name, tensor in bundle.state("0").items()}
    return write_bundle(folder, bundle.plan, {"name": "mine"}, {"0": state}, config={"seed": 1})


def test_frozen_version_1_loads_and_predicts() -> None:
    (network,) = read_bundle(FROZEN).networks()
    picture = torch.zeros(1, 1, 16, 16)
    picture[..., :8, :] = 1
    assert network(picture).argmax(1).eq(1).float().mean() == 0.5


def test_card_says_what_it_is() -> None:
    bundle = read_bundle(FROZEN)
    assert (bundle.name, bundle.folds, bundle.config) == (
        "fixture",
        ("0",),
        {"seed": 0, "format_version": 1},
    )
    assert bundle.plan.label_values == (0, 5, 300)
    assert len(bundle.hash) == 12


def test_rewriting_keeps_one_weights_file(folder: Path) -> None:
    before = read_bundle(folder).hash
    after = rewrite(folder, 2.0)
    assert after.hash != before
    assert [path.name for path in (folder / "weights").iterdir()] == [
        Path(after.card["weights"]["0"]).name
    ]
    assert (after.name, after.config) == ("mine", {"seed": 1})


def test_killed_between_weights_and_card_leaves_the_old_bundle(folder: Path) -> None:
    (folder / "weights" / "fold_0-00000000.safetensors").write_bytes(b"half")
    assert read_bundle(folder).networks()
    rewrite(folder)
    assert len(list((folder / "weights").iterdir())) == 1


def test_a_bundle_rewritten_after_opening_gives_its_newest_weights(folder: Path) -> None:
    opened = read_bundle(folder)
    rewrite(folder, 2.0)
    assert torch.equal(opened.state("0")["head.bias"], read_bundle(folder).state("0")["head.bias"])


def test_run_folder_and_zip_are_the_same_model(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder, run / "bundle")
    packed = read_bundle(pack_bundle(folder, tmp_path / "model.segkit"))
    assert packed.hash == read_bundle(run).hash == read_bundle(folder).hash
    assert packed.networks()
    assert packed.config == {"seed": 0, "format_version": 1}


def test_newer_format(folder: Path) -> None:
    edit_card(folder, format_version=2)
    with pytest.raises(InputError, match=r"found format 2.*update segkit"):
        read_bundle(folder)


def test_other_kind(folder: Path) -> None:
    edit_card(folder, kind="cake")
    with pytest.raises(InputError, match="expected the kind 'segkit bundle', found 'cake'"):
        read_bundle(folder)


@pytest.mark.parametrize(
    "change", [{"files": {}}, {"weights": {}}, {"weights": {"0": ["x"]}}, {"files": None}]
)
def test_incomplete_card(folder: Path, change: dict[str, object]) -> None:
    edit_card(folder, **change)
    with pytest.raises(InputError, match="with bytes and sha256 of each file"):
        read_bundle(folder)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        read_bundle(tmp_path / "none")
    with pytest.raises(InputError, match="expected a file of the bundle, found none"):
        read_bundle(tmp_path)


def test_not_json(folder: Path) -> None:
    (folder / "bundle.json").write_text("[" * 5000)
    with pytest.raises(InputError, match="expected JSON"):
        read_bundle(folder)
    (folder / "bundle.json").write_text("[]")
    with pytest.raises(InputError, match="expected a JSON object, found list"):
        read_bundle(folder)


def test_huge_json(folder: Path) -> None:
    with (folder / "bundle.json").open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(InputError, match=r"expected at most 16.8 MB, found 16.8 MB"):
        read_bundle(folder)


def test_changed_plan(folder: Path) -> None:
    text = (folder / "plan.json").read_text()
    (folder / "plan.json").write_text(text.replace("bright", "Bright"))
    with pytest.raises(InputError, match=r"plan.json: expected sha256 cd1f70a33cf1, found sha256"):
        read_bundle(folder)


def test_damaged_weights(folder: Path) -> None:
    (weights,) = (folder / "weights").iterdir()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(InputError, match="expected sha256"):
        read_bundle(folder).state("0")
    weights.unlink()
    with pytest.raises(InputError, match="expected a file of the bundle, found none"):
        read_bundle(folder).state("0")


def test_unknown_fold() -> None:
    with pytest.raises(InputError, match="expected one of the folds 0, found '3'"):
        read_bundle(FROZEN).state("3")


def test_weights_that_are_no_safetensors(folder: Path) -> None:
    bundle = read_bundle(folder)
    name, content = bundle.card["weights"]["0"], b"\x80\x04 nothing to unpickle"
    (folder / name).write_bytes(content)
    receipt = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit_card(folder, files={**bundle.card["files"], name: receipt})
    with pytest.raises(InputError, match="expected a safetensors file"):
        read_bundle(folder).state("0")


def test_more_weights_than_memory(folder: Path) -> None:
    bundle = read_bundle(folder)
    name = bundle.card["weights"]["0"]
    edit_card(folder, files={**bundle.card["files"], name: {"bytes": 1 << 63, "sha256": ""}})
    with pytest.raises(OutOfMemoryError, match="do not fit"):
        read_bundle(folder).state("0")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("head.bias"), "no tensor head.bias"),
        (lambda state: state.update(extra=torch.zeros(1)), "an unknown tensor extra"),
        (
            lambda state: state.update({"head.bias": torch.zeros(2)}),
            r"head.bias of shape \(2,\) instead of \(3,\)",
        ),
        (
            lambda state: state["head.bias"].fill_(np.nan),
            "values in head.bias that are not finite in 32 bits",
        ),
        (
            lambda state: state.update({"head.bias": torch.full((3,), 1e300, dtype=torch.float64)}),
            "values in head.bias that are not finite in 32 bits",
        ),
    ],
)
def test_weights_of_another_network(change: object, message: str) -> None:
    bundle = read_bundle(FROZEN)
    state = bundle.state("0")
    change(state)  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        fill_network(bundle.plan, state, "model")


@pytest.mark.parametrize("name", ["../evil.json", "/etc/passwd", "C:\\evil", "a\\..\\..\\b"])
def test_zip_with_a_path_outside(folder: Path, tmp_path: Path, name: str) -> None:
    packed = pack_bundle(folder, tmp_path / "m.segkit")
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(name, "x")
    with pytest.raises(InputError, match="expected file names inside the bundle"):
        read_bundle(packed)


def test_weights_outside_the_folder(folder: Path) -> None:
    card = read_bundle(folder).card
    name = "../" + card["weights"]["0"]
    edit_card(
        folder, weights={"0": name}, files={**card["files"], name: {"bytes": 1, "sha256": ""}}
    )
    with pytest.raises(InputError, match="expected file names inside the bundle"):
        read_bundle(folder).state("0")


def test_zip_bomb(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.segkit", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle.json", b" " * (10 << 20))
    with pytest.raises(InputError, match="expected at most 100 times its packed size"):
        read_bundle(tmp_path / "bomb.segkit")


def test_not_a_zip(tmp_path: Path) -> None:
    (tmp_path / "m.segkit").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match=r"expected a \.segkit file"):
        read_bundle(tmp_path / "m.segkit")


def test_truncated_zip(folder: Path, tmp_path: Path) -> None:
    packed = pack_bundle(folder, tmp_path / "m.segkit")
    packed.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"expected a \.segkit file"):
        read_bundle(packed)


def deflated(folder: Path, place: Path, content: bytes) -> Path:
    """Write the bundle as a zip whose bundle.json is ``content``, compressed."""
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle.json", content)
        archive.write(folder / "plan.json", "plan.json")
    return place


def test_a_zip_packed_by_others_is_read_and_damage_is_found(folder: Path, tmp_path: Path) -> None:
    packed = deflated(folder, tmp_path / "m.segkit", (folder / "bundle.json").read_bytes())
    assert read_bundle(packed).card == read_bundle(folder).card
    content = bytearray(packed.read_bytes())
    start = 30 + len("bundle.json")
    content[start : start + 40] = b"\xff" * 40
    packed.write_bytes(content)
    with pytest.raises(InputError, match=r"expected a \.segkit file"):
        read_bundle(packed)


def test_a_member_that_unpacks_to_more_than_it_promises(folder: Path, tmp_path: Path) -> None:
    packed = deflated(folder, tmp_path / "m.segkit", b" " * (64 << 20) + b"{}")
    # The size before packing stands in the local header and in the directory.
    size = ((64 << 20) + 2).to_bytes(4, "little")
    assert packed.read_bytes().count(size) == 2
    packed.write_bytes(packed.read_bytes().replace(size, (1 << 10).to_bytes(4, "little")))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="found Bad CRC-32 for file"):
            read_bundle(packed)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_other_ways_of_packing_are_refused(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.segkit", "w", zipfile.ZIP_BZIP2) as archive:
        archive.write(folder / "bundle.json", "bundle.json")
    with pytest.raises(
        InputError,
        match="expected a zip member that is stored or deflated, found compression method 12",
    ):
        read_bundle(tmp_path / "m.segkit")


def test_postprocessing_belongs_to_what_decides_a_prediction(folder: Path) -> None:
    plain = read_bundle(folder)
    edit_card(folder, postprocessing={"bright": "largest"})
    bundle = read_bundle(folder)
    assert (plain.postprocessing, bundle.postprocessing) == ({}, {"bright": "largest"})
    assert bundle.hash != plain.hash


@pytest.mark.parametrize(
    "rules", [{"unknown": "largest"}, {"bright": "run"}, {"bright": ["largest"]}, ["bright"], 3]
)
def test_postprocessing_that_is_not_known(folder: Path, rules: object) -> None:
    edit_card(folder, postprocessing=rules)
    with pytest.raises(
        InputError, match=r"expected postprocessing of the labels bright, dark by largest, found"
    ):
        read_bundle(folder)


def test_agreement_of_bfloat16_belongs_to_the_card(folder: Path) -> None:
    edit_card(folder, bfloat16={"dice": {"bright": 0.9998}, "cases": 3})
    assert read_bundle(folder).card["bfloat16"]["dice"] == {"bright": 0.9998}


@pytest.mark.parametrize(
    "found",
    [
        {"dice": {"bright": 1.5}, "cases": 1},
        {"dice": {"heart": 0.9}, "cases": 1},
        {"dice": {"bright": True}, "cases": 1},
        {"dice": {"bright": 0.9}},
        {"dice": 1.0, "cases": 1},
        {},
        None,
        "yes",
    ],
)
def test_agreement_that_cannot_be(folder: Path, found: object) -> None:
    edit_card(folder, bfloat16=found)
    with pytest.raises(
        InputError,
        match=r"expected bfloat16 with the number of cases and the Dice, 0 to 1, of labels",
    ):
        read_bundle(folder)


@pytest.mark.parametrize("name", ["bundle.json", "plan.json", "weights"])
def test_links_and_pipes_in_a_bundle_are_refused(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(
        InputError, match="expected an ordinary file inside the bundle, found a link"
    ):
        read_bundle(folder).networks()
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(InputError, match=r"found a folder, pipe or device|Not a directory"):
        read_bundle(folder).networks()


def test_a_bundle_in_a_linked_folder_is_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    assert read_bundle(tmp_path / "link").networks()


def test_an_exported_model_names_no_folder_of_its_maker(folder: Path, tmp_path: Path) -> None:
    bundle = read_bundle(folder)
    config = {
        "dataset": {"path": "/home/me/Task04/"},
        "run_dir": r"C:\Users\me\runs\a",
        "patch": [8, 8],
        "none": None,
    }
    write_bundle(
        folder,
        bundle.plan,
        bundle.card,
        {name: bundle.state(name) for name in bundle.folds},
        config,
    )
    packed = read_bundle(pack_bundle(folder, tmp_path / "a.segkit"))
    assert packed.config == {
        "dataset": {"path": "Task04"},
        "run_dir": "a",
        "patch": [8, 8],
        "none": None,
    }
    assert packed.hash == read_bundle(folder).hash
    assert packed.networks()


@pytest.mark.parametrize("packed", [False, True])
def test_a_model_that_may_not_be_read_is_not_called_damaged(stranger: Path, packed: bool) -> None:
    model = Path(shutil.copytree(FROZEN, stranger / "model"))
    closed = pack_bundle(model, stranger / "m.segkit") if packed else model / "bundle.json"
    closed.chmod(0)
    if os.geteuid() == 0:
        os.seteuid(54321)
    with pytest.raises(InputError, match="a file that this user may read, found permission denied"):
        read_bundle(closed if packed else model)
