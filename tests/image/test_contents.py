"""What is in the image, what it says of itself, and that two builds of a commit agree."""

from __future__ import annotations

import json

import pytest

from .conftest import Image

pytestmark = pytest.mark.slow
MOST_BYTES = 1.6e9
"""Largest size of the CPU image."""
SHARE = "/opt/segkit/share"


def test_size(image: Image) -> None:
    assert image.configuration()["Size"] < MOST_BYTES


def test_two_builds_have_the_same_packages(image: Image, other_build: Image) -> None:
    packages = [
        one.succeed(f"{SHARE}/packages.txt", entrypoint="cat") for one in (image, other_build)
    ]
    assert packages[0] == packages[1]
    assert "python torch 2" in packages[0]
    assert "debian libc6 2" in packages[0]


def test_the_bill_of_materials_names_every_package(image: Image) -> None:
    bom = json.loads(image.succeed(f"{SHARE}/sbom.cdx.json", entrypoint="cat"))
    packages = image.succeed(f"{SHARE}/packages.txt", entrypoint="cat").splitlines()
    assert bom["bomFormat"] == "CycloneDX"
    named = {(one["name"].lower(), one.get("version")) for one in bom["components"]}
    wanted = {(name.lower(), version) for _, name, version in map(str.split, packages)}
    assert wanted - named == set()


def test_every_package_of_python_states_a_license(image: Image) -> None:
    lines = image.succeed(f"{SHARE}/licenses.txt", entrypoint="cat").splitlines()
    assert [line for line in lines if line.endswith(("not stated", ": "))] == []


def test_the_image_says_what_it_is(image: Image) -> None:
    config = image.configuration()
    labels = config.get("Labels") or config["Config"]["Labels"]
    for name in ("title", "description", "version", "revision", "created", "licenses"):
        assert labels[f"org.opencontainers.image.{name}"]
    assert config["Config"]["Entrypoint"] == ["segkit"]
    assert config["Config"]["Cmd"] == ["--help"]
    assert config["Config"]["User"] == "10001:10001"
    assert config["Config"]["WorkingDir"] == "/work"
    health = config.get("Healthcheck") or config["Config"]["Healthcheck"]
    assert health["Test"] == ["CMD", "segkit", "doctor", "--quick"]
    commands = json.loads(labels["org.nrg.commands"])
    assert all(command["type"] == "docker" for command in commands)


def test_platforms_find_their_files(image: Image) -> None:
    files = ("/etc/holoscan/app.json", "/etc/holoscan/pkg.json", "/processing-container.json")
    for path in files:
        assert json.loads(image.succeed(path, entrypoint="cat"))
