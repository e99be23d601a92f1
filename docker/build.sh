#!/usr/bin/env bash
# Build the image segkit:cpu or segkit:cuda, with its labels, by docker, podman or buildah.
# Usage: [ENGINE=podman] docker/build.sh [cpu|cuda] [another argument of the engine's build ...]
#   docker/build.sh cpu --build-arg MODEL=hippocampus.segkit
#   docker/build.sh cuda --build-arg BASE=python:3.12-slim@sha256:...
# The pip.conf of this computer and the certificate in $PIP_CERT are used in the build and do not
# stay in the image.
set -euo pipefail
cd "$(dirname "$0")/.."
flavour=${1:-cpu}
case $flavour in
    cpu | cuda) ;;
    -h | --help) sed -n '2,7s/^# //p' "docker/${0##*/}"; exit ;;
    *) echo "expected cpu or cuda, found '$flavour'" >&2; exit 2 ;;
esac
test $# = 0 || shift
ENGINE=${ENGINE:-$(docker info > /dev/null 2>&1 && echo docker || command -v podman buildah | head -n 1 || true)}
if test -z "$ENGINE"; then
    echo "expected docker, podman or buildah, found none of them" >&2
    exit 2
fi
# The engine may be several words, such as: podman --root FOLDER.
read -ra engine <<< "$ENGINE"
words=(--build-arg "FLAVOUR=$flavour" --build-arg "VERSION=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' segkit/_version.py)")
words+=(--build-arg "REVISION=$(git describe --always --abbrev=40 --exclude '*' --dirty=-modified || echo unknown)")
words+=(--build-arg "CREATED=$(date --utc +%Y-%m-%dT%H:%M:%SZ)")
# Without these formats podman and buildah would leave the health check out.
case ${engine[0]##*/} in podman | buildah) words+=(--format docker) ;; esac
for pip_conf in "${PIP_CONFIG_FILE:-}" "$HOME/.config/pip/pip.conf" /etc/pip.conf; do
    test -f "$pip_conf" && words+=(--secret "id=pip.conf,src=$pip_conf") && break
done
test ! -f "${PIP_CERT:-}" || words+=(--secret "id=ca.pem,src=$PIP_CERT")
image=${TAG:-segkit:$flavour}
"${engine[@]}" build "${words[@]}" -f docker/Dockerfile -t "$image" "$@" .

# XNAT reads its commands in a label, which only the finished image can write.
in_image() {
    if test "${engine[0]##*/}" = buildah; then
        # set -e does not hold in $( ): without "status" the label would be empty after an error.
        local container status=0
        container=$("${engine[@]}" from "$image") || return
        "${engine[@]}" run --isolation chroot "$container" -- segkit "$@" || status=$?
        "${engine[@]}" rm "$container" > /dev/null
        return "$status"
    else
        "${engine[@]}" run --rm --network none "$image" "$@"
    fi
}
empty=$(mktemp -d)
trap 'rmdir "$empty"' EXIT
commands=$(in_image descriptor xnat --image "$image")
words=(--label "org.nrg.commands=$commands")
case ${engine[0]##*/} in podman | buildah) words+=(--format docker) ;; esac
"${engine[@]}" build "${words[@]}" -t "$image" -f - "$empty" <<< "FROM $image"
