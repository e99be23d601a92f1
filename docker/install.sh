#!/usr/bin/env bash
# The steps of docker/Dockerfile that install: packages, segkit, model. Runs inside of the build.
set -euo pipefail

pip() { /opt/build/bin/python -m pip --quiet "$@"; }
into_image() { pip --python /opt/segkit/bin/python install --no-compile "$@"; }
without_tests() {
    # Tests, headers and test programs of the packages: 300 MB that nothing at run time reads.
    local site=$(echo /opt/segkit/lib/python3*/site-packages)
    rm -rf "$site/torch/test" "$site/torch/include" "$site"/torch/bin/{protoc*,*Test,*test*,*.ptl}
    find "$site" -type d -name tests -prune -exec rm -rf {} +
}

check_wheels() {
    (
        cd "$1"
        sha256sum --quiet --strict --check SHA256SUMS
        # pip would take another file, such as one of PyTorch, whose hash is in no lock file.
        added=$(find . -maxdepth 1 -type f ! -name SHA256SUMS ! -name .gitignore -printf '%f\n' \
            | grep -vxFf <(sed 's/^[^ ]* [ *]//' SHA256SUMS) || true)
        test -z "$added" && return
        echo "docker/wheels: expected the files of SHA256SUMS only, found $added" >&2
        exit 3
    )
}

packages() {
    local torch=(--extra-index-url "$TORCH_INDEX")
    if compgen -G '/wheels/*.whl' > /dev/null; then
        echo "installing from docker/wheels, without a network"
        check_wheels /wheels
        export PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels
    fi
    test -z "${PIP_NO_INDEX:-}" && test "$FLAVOUR" = cpu || torch=()
    # The certificate of a network that inspects what is fetched.
    test ! -s /run/secrets/ca.pem || export PIP_CERT=/run/secrets/ca.pem
    # pip makes a wheel of the one package that comes as source with this version of setuptools.
    grep -o '^setuptools==[^ ]*' requirements-build.txt > /build/setuptools.txt
    export PIP_BUILD_CONSTRAINT=/build/setuptools.txt
    python3 -m venv /opt/build
    pip install --require-hashes -r requirements-build.txt
    python3 -m venv --without-pip /opt/segkit
    case $FLAVOUR in
        cpu) into_image --no-deps "${torch[@]}" -r requirements-cpu.txt ;;
        cuda) into_image --require-hashes --no-deps -r requirements-cuda.txt ;;
        *) echo "FLAVOUR is '$FLAVOUR', expected cpu or cuda" >&2; exit 2 ;;
    esac
    into_image --require-hashes --no-deps -r requirements.txt
    pip --python /opt/segkit/bin/python check
    without_tests
}

segkit() {
    pip wheel --no-deps --no-build-isolation --wheel-dir /build/dist .
    into_image --no-deps --no-index /build/dist/segkit-*.whl
}

bytecode() {
    # -B: only the files that the tool compiles are kept.
    /opt/segkit/bin/python -B tools/image_bytecode.py
}

model() {
    mkdir -p /opt/segkit/models
    test -z "$MODEL" && return
    cp -r "/models/$MODEL" /opt/segkit/models/
    chmod -R a+rX /opt/segkit/models
    /opt/segkit/bin/segkit info "/opt/segkit/models/$MODEL"
}

"$@"
