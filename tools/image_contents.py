"""List what is in the container image: packages.txt, licenses.txt and sbom.cdx.json (CycloneDX).

Runs at the end of docker/Dockerfile: python image_contents.py PREFIX writes them to PREFIX/share.
PREFIX is the virtual environment; the packages of Debian are those of the image.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path
from platform import freedesktop_os_release
from typing import Any
from urllib.parse import quote

from licenses import stated_license

COPYRIGHT = "see /usr/share/doc/{}/copyright"
"""Where Debian states the licenses of a package."""


def main() -> None:
    prefix = Path(sys.argv[1])
    share = prefix / "share"
    share.mkdir(exist_ok=True)
    python, debian = python_packages(prefix), debian_packages()
    rows = [("python", one.name, one.version, license_of(one)) for one in python]
    rows += [("debian", name, version, COPYRIGHT.format(name)) for name, version in debian]
    write(share / "packages.txt", [f"{kind} {name} {version}" for kind, name, version, _ in rows])
    write(share / "licenses.txt", [f"{name} {version}: {text}" for _, name, version, text in rows])
    bom = add_debian(python_bom(prefix), debian)
    (share / "sbom.cdx.json").write_text(json.dumps(bom, indent=1) + "\n", encoding="utf-8")


def write(path: Path, lines: list[str]) -> None:
    """Write lines as a text file."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def python_packages(prefix: Path) -> list[Distribution]:
    """Return the packages of the virtual environment, by name."""
    (site,) = prefix.glob("lib/python3*/site-packages")
    return sorted(distributions(path=[str(site)]), key=lambda one: one.name.lower())


def license_of(package: Distribution) -> str:
    """Return the license that a package states, in one line."""
    return " ".join(stated_license(package.metadata).split()) or "not stated"


def debian_packages() -> list[tuple[str, str]]:
    """Return name and version of the packages of Debian in this image."""
    done = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${Package} ${Version}\\n"],
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(tuple(line.split()) for line in done.stdout.splitlines())  # type: ignore[misc]


def python_bom(prefix: Path) -> dict[str, Any]:
    """Return the CycloneDX document of the virtual environment, by cyclonedx-py."""
    tool = Path(sys.executable).with_name("cyclonedx-py")
    words = ["environment", str(prefix / "bin" / "python"), "--output-reproducible"]
    done = subprocess.run([tool, *words], capture_output=True, text=True, check=True)
    bom: dict[str, Any] = json.loads(done.stdout)
    return bom


def add_debian(bom: dict[str, Any], packages: list[tuple[str, str]]) -> dict[str, Any]:
    """Return the document with the packages of Debian, or of a system made of it, as components."""
    system = freedesktop_os_release()["ID"]
    added = [
        {
            "type": "library",
            "bom-ref": f"deb:{name}",
            "name": name,
            "version": version,
            "purl": f"pkg:deb/{system}/{quote(name, safe='')}@{quote(version, safe='')}",
        }
        for name, version in packages
    ]
    return {**bom, "components": [*bom.get("components", []), *added]}


if __name__ == "__main__":
    main()
