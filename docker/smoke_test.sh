#!/usr/bin/env bash
# Test the image without a network and as another user: the demo in a few steps, then a prediction with its model.
# Usage: [ENGINE=podman] docker/smoke_test.sh [IMAGE]
set -euo pipefail
image=${1:-segkit}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
run() { "${ENGINE:-docker}" run --rm --network none --user "$(id -u)" -v "$out:/out" -w /out "$image" "$@"; }

run --version
# Exit code 1 means only that so few steps do not make a good model.
run demo run --data phantom --cases 3 --steps 20 || test $? = 1
model=$(dirname "$(find "$out/run" -name finished.json)")
scan=$(find "$out/phantom/imagesTs" -name '*.nii.gz' | head -n 1)
run predict "${scan/#$out//out}" -m "${model/#$out//out}" -o labels.nii.gz --preview
run info labels.nii.gz
test -s "$out/labels.nii.gz"
test -s "$out/labels_preview.png"
echo "smoke test passed: $image"
