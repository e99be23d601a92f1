#!/usr/bin/env bash
# holoscan-cli 3.11.0, the packager and launcher of MONAI Application Packages (MAP): the launcher refuses a manifest
# whose "command" is a shell command, as the specification says, and takes only JSON of a list in a JSON string.
# And the command monai-deploy is gone from holoscan-cli 5.0.0, which pip installs for monai-deploy-app-sdk 4.0.0.
#
# The specification of MAP 1.0.0 (Project-MONAI/monai-deploy, guidelines/monai-application-package.md) says of
# /etc/holoscan/app.json: "command", required, type string, format "shell command". The launcher in an image,
# holoscan_cli/packager/templates/tools.sh, reads it by jq -r '.command | fromjson | join(" ")'.
# Seen with holoscan-cli 3.11.0 and jq 1.6: {"command": "echo hello"} ends with "[FATAL] Failed to launch application;
# failed to read/parse command" and exit code 1; {"command": "[\"echo\", \"hello\"]"} starts echo. Whoever starts what
# app.json of a packaged image names, as a hosting service "MUST, by default", gets: sh: 1: [echo,: not found.
# monai-deploy-app-sdk 4.0.0 asks for "holoscan-cli" of any version, whose 5.0.0 has other commands.
# What to do: an image of one's own needs no launcher; write a shell command into app.json. When reading manifests,
# try JSON first. Install holoscan-cli<4 next to monai-deploy-app-sdk 4.0.0 to package.
set -euo pipefail
command -v jq > /dev/null || { echo "needs jq" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 3.11.0 5.0.0; do
    python3 -m pip download --quiet --no-deps --dest "$version" "holoscan-cli==$version" 2> /dev/null
    python3 -m zipfile -e "$version"/*.whl "$version"
done
launcher=3.11.0/holoscan_cli/packager/templates/tools.sh

launched() {
    python3 -c 'import json, sys; print(json.dumps({"command": sys.argv[1]}))' "$1" > app.json
    echo "app.json: $(cat app.json)"
    HOLOSCAN_APP_MANIFEST_PATH=$PWD/app.json bash "$launcher" 2>&1 | sed 's/^/    /' | grep -v '^ *$' || true
    echo "    as a shell command: $(sh -c "$(jq -r .command app.json)" 2>&1 || true)"
}

launched 'echo hello' | tee shell.txt
launched '["echo", "hello"]' | tee list.txt
echo "commands of 3.11.0: $(grep -o '^[a-z-]*=' 3.11.0/*.dist-info/entry_points.txt | tr -d = | xargs)"
echo "commands of 5.0.0: $(grep -o '^[a-z-]*=' 5.0.0/*.dist-info/entry_points.txt | tr -d = | xargs)"

if grep -q 'Failed to launch' shell.txt && grep -q 'Application exited with 0' list.txt \
    && grep -q 'shell command: hello' shell.txt && grep -q 'not found' list.txt \
    && grep -q '^monai-deploy=' 3.11.0/*.dist-info/entry_points.txt \
    && ! grep -q '^monai-deploy=' 5.0.0/*.dist-info/entry_points.txt; then
    echo "as described: the launcher refuses the specification's command, and 5.0.0 has no monai-deploy"
else
    echo "the behavior has changed" >&2
    exit 1
fi
