"""Mask files, and what else a file may hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segkit.errors import InputError
from segkit.networks.mask_file import KIND, MaskOrigin, mask_from, read_mask, write_mask
from segkit.networks.tensor_file import TensorKind

MASKS = {"b.weight": torch.tensor([[True, False]]), "a.weight": torch.tensor([True])}


def test_a_mask_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = write_mask(tmp_path / "mask.safetensors", MASKS, ["T1", "größe"])
    read = read_mask(tmp_path / "mask.safetensors")
    assert read.channels == ("T1", "größe")
    assert read.masks.keys() == MASKS.keys()
    assert all(torch.equal(read.masks[name], mask) for name, mask in MASKS.items())
    assert (read.hash, read.density) == (written.hash, 2 / 3)


def test_a_mask_keeps_where_it_comes_from(tmp_path: Path) -> None:
    path, origin = tmp_path / "mask.safetensors", MaskOrigin("Milz", "0123456789ab", 4)
    written = write_mask(path, MASKS, origin=origin)
    assert read_mask(path).origin == mask_from(written.content(), path).origin == origin
    assert write_mask(path, MASKS).hash == written.hash  # the same mask
    assert read_mask(path).origin is None


@pytest.mark.parametrize("text", ["{", "[1]", '{"dataset": "a"}', '{"hash": 1, "cases": 2}'])
def test_another_origin_is_refused(text: str, tmp_path: Path) -> None:
    KIND.write(tmp_path / "x.safetensors", MASKS, {"channels": "[]", "origin": text})
    with pytest.raises(InputError, match="found an origin that is not a dataset"):
        read_mask(tmp_path / "x.safetensors")


def test_an_origin_has_names_and_a_number(tmp_path: Path) -> None:
    text = '{"dataset": "a", "hash": "b", "training_cases": "4"}'
    KIND.write(tmp_path / "x.safetensors", MASKS, {"origin": text})
    with pytest.raises(InputError, match="found an origin that is not a dataset"):
        read_mask(tmp_path / "x.safetensors")


def test_the_hash_is_that_of_masks_and_channels(tmp_path: Path) -> None:
    path = tmp_path / "mask.safetensors"
    first = write_mask(path, MASKS).hash
    assert write_mask(path, dict(reversed(MASKS.items()))).hash == first
    assert write_mask(path, MASKS, ["T1"]).hash != first
    assert write_mask(path, {**MASKS, "a.weight": torch.tensor([False])}).hash != first


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mask.safetensors"
    with pytest.raises(InputError, match=r"expected a mask of a network.*No such file"):
        read_mask(path)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="expected a mask of a network of segkit, format 1"):
        read_mask(path)
    TensorKind("pile of weights", 1).write(path, MASKS, {})
    with pytest.raises(InputError, match=r"another kind \(pile of weights\)"):
        read_mask(path)
    TensorKind(KIND.name, 2).write(path, MASKS, {})
    with pytest.raises(InputError, match=r"found format 2.*at least as new"):
        read_mask(path)


@pytest.mark.parametrize(
    ("tensors", "found"), [({"a": torch.ones(2)}, "a of another type"), ({}, "none")]
)
def test_a_mask_is_true_or_false(
    tensors: dict[str, torch.Tensor], found: str, tmp_path: Path
) -> None:
    KIND.write(tmp_path / "x.safetensors", tensors, {"channels": "[]"})
    with pytest.raises(InputError, match=f"True and False for each kernel.*found {found}"):
        read_mask(tmp_path / "x.safetensors")


def test_names_of_channels_are_a_list(tmp_path: Path) -> None:
    KIND.write(tmp_path / "x.safetensors", MASKS, {"channels": '{"a": 1}'})
    with pytest.raises(InputError, match=r"names of channels.*found channels that are no names"):
        read_mask(tmp_path / "x.safetensors")
    KIND.write(tmp_path / "x.safetensors", MASKS, {"channels": "a"})
    with pytest.raises(InputError, match="channels that are no names"):
        read_mask(tmp_path / "x.safetensors")
