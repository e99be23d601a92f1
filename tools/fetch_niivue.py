"""Fetch the viewer of the evaluation report: NiiVue, pinned, from the npm registry.

Writes into segkit/report/niivue: the minified build (compressed), the licenses of NiiVue and of the
packages inside of its build, and niivue.json with the version and checksums. Needs npm.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE, VERSION = "@niivue/niivue", "0.69.0"
BUILD = "dist/niivue.umd.js"
SHA256 = "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"
"""Checksum of BUILD in that version; another one is refused."""
FLAGS = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
INSIDE = (
    "@lukeed/uuid",
    "@ungap/structured-clone",
    "@zarrita/storage",
    "array-equal",
    "fflate",
    "gl-matrix",
    "nifti-reader-js",
    "numcodecs",
    "zarrita",
)
"""Packages inside of the build, as dist/metafile-esm.json of the package lists them."""
NIIVUE_LICENSE = Path(__file__).with_name("niivue_license.txt")
"""License of NiiVue from its repository, which the package lacks."""
FOLDER = Path(__file__).parents[1] / "segkit" / "report" / "niivue"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "install", *FLAGS, "--prefix", folder, f"{PACKAGE}@{VERSION}"],
            check=True,
        )
        modules = Path(folder) / "node_modules"
        build = (modules / PACKAGE / BUILD).read_bytes()
        found = hashlib.sha256(build).hexdigest()
        if found != SHA256:
            print(f"{BUILD} of {PACKAGE} {VERSION} has the SHA-256 {found}, expected {SHA256}")
            return 1
        licenses = _licenses(modules)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "niivue.umd.js.gz").write_bytes(gzip.compress(build, 9, mtime=0))
    (FOLDER / "LICENSES.txt").write_text(licenses, encoding="utf-8")
    facts = {"package": PACKAGE, "version": VERSION, "file": BUILD, "sha256": SHA256}
    (FOLDER / "niivue.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return 0


def _licenses(modules: Path) -> str:
    parts = [f"{PACKAGE} {VERSION}\n\n{NIIVUE_LICENSE.read_text(encoding='utf-8').strip()}"]
    for name in INSIDE:
        version = json.loads((modules / name / "package.json").read_text(encoding="utf-8"))[
            "version"
        ]
        (path,) = [p for p in (modules / name).iterdir() if p.name.lower().startswith("licen")]
        parts.append(f"{name} {version}\n\n{path.read_text(encoding='utf-8').strip()}")
    return "\n\n----\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
