#!/usr/bin/env bash
# Download the wheels of an image into docker/wheels, for a build without a network.
# Usage: docker/wheels.sh [cpu|cuda]
# PYTHON must have the minor version of the image's Python, which is 3.11 unless BASE says otherwise.
set -euo pipefail
cd "$(dirname "$0")"
flavour=${1:-cpu}
index=${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}
# What is here already goes into the list again only if its old list has it.
if compgen -G "wheels/*.whl" > /dev/null; then
    (cd wheels && test -f SHA256SUMS && sha256sum --quiet --check SHA256SUMS \
        && diff <(sed 's/^[^ ]* *//' SHA256SUMS | sort) <(ls -- *.whl *.tar.gz 2> /dev/null | sort)) \
        || { echo "docker/wheels: expected the files of SHA256SUMS only; empty the folder first" >&2; exit 3; }
fi
download() { "${PYTHON:-python3}" -m pip download --quiet --no-deps --dest wheels "$@"; }

case $flavour in
    cpu) download --extra-index-url "$index" -r requirements-cpu.txt ;;
    cuda) download --require-hashes -r requirements-cuda.txt ;;
    *) echo "expected cpu or cuda, found '$flavour'" >&2; exit 2 ;;
esac
download --require-hashes -r requirements-build.txt
download --require-hashes -r requirements.txt
cd wheels
# Renamed at the end, because a list that was cut short would pass for a whole one.
sha256sum -- *.whl *.tar.gz > .SHA256SUMS
mv .SHA256SUMS SHA256SUMS
du -sh . | sed 's/\t.*/ of wheels in docker\/wheels/'
