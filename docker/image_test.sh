#!/usr/bin/env bash
# Build the image twice without a network and test it: make image-test. Needs docker, or podman,
# and 10 GB below $TMPDIR; buildah builds if it is there. Where the registry cannot be reached,
# mmdebstrap makes a base image of Debian 12; BASE may name another, or a root file system as .tar.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
work=$(mktemp -d "${TMPDIR:-/tmp}/segkit.XXXX")
. "$root/docker/test/engine.sh"

main() {
    choose_engine
    trap clean_up EXIT
    cd "$root"
    if test ! -f docker/wheels/SHA256SUMS || test -n "$(find docker -maxdepth 1 \
        -name 'requirements*.txt' -newer docker/wheels/SHA256SUMS)"; then
        PYTHON=$python docker/wheels.sh cpu
    fi
    base
    model
    for tag in cpu again; do
        echo "building segkit:$tag without a network"
        TAG=localhost/segkit:$tag ENGINE="${BUILD[*]}" without_network docker/build.sh cpu \
            --build-arg "BASE=$BASE" --build-arg "MODEL=$MODEL" --no-cache "${BUILD_FLAGS[@]}" \
            > "$work/build-$tag.log" 2>&1 || { tail -n 40 "$work/build-$tag.log"; exit 1; }
    done
    export SEGKIT_IMAGE=localhost/segkit:cpu SEGKIT_ENGINE="${RUN[*]}"
    export SEGKIT_RUN_FLAGS="${RUN_FLAGS[*]}" SEGKIT_IMAGE_MODEL="$root/docker/models/$MODEL"
    "$python" -m pytest -m slow -rs -p no:cacheprovider tests/image
    "$python" tools/image_figures.py
    resolve_cuda
}

resolve_cuda() {
    # The packages of CUDA take 3 GB: pip reads what they need, checks the hashes that the index
    # states against the lock files, and installs nothing.
    "$python" -m pip install --quiet --dry-run --ignore-installed --require-hashes \
        -r docker/requirements.txt -r docker/requirements-cuda.txt
    echo "segkit:cuda: the packages can be resolved; it was not built, and needs a GPU to be run"
}

model() {
    # Short, because the test is about the image and not about the model.
    MODEL=image-test.segkit
    test -f "docker/models/$MODEL" && return
    local data=${SEGKIT_TEST_DATA:-$root/../shared/data}/Task04_Hippocampus
    if test ! -d "$data"; then
        data=$work/phantom
        "$python" -c 'import sys; from pathlib import Path; from segkit.dataset.phantom import write_phantom; write_phantom(Path(sys.argv[1]), 4)' "$data"
    fi
    "$python" -m segkit train "dataset=$data" "run_dir=$work/run" "dataset.store=$work/prepared" trainer.max_steps=20
    made_model=$root/docker/models/$MODEL
    "$python" -m segkit export "$work/run" "$made_model"
}

base() {
    BASE=${BASE:-docker.io/library/python:3.11-slim}
    if test ! -f "$BASE" && ! "${RUN[@]}" pull --quiet "$BASE" && test "$BASE" != "${BASE#docker.io/}"; then
        echo "The registry cannot be reached: making a base image of Debian 12 with mmdebstrap."
        BASE=$work/base.tar
        mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3,python3-venv \
            bookworm "$BASE"
    fi
    if test -f "$BASE"; then
        "${RUN[@]}" import --quiet "$BASE" localhost/segkit-base:tar
        BASE=localhost/segkit-base:tar
        rm -f "$work/base.tar"
    fi
}

main
