# shellcheck shell=bash
# Choose the programs that build and run the images of docker/image_test.sh: BUILD, RUN and their
# flags. Those of podman are stored below $work only, and go with it.

choose_engine() {
    BUILD_FLAGS=() RUN_FLAGS=()
    if docker info > /dev/null 2>&1; then
        BUILD=(docker) RUN=(docker)
        BUILD_FLAGS=(--network=none)
        return
    fi
    command -v podman > /dev/null || { echo "expected docker or podman, found neither" >&2; exit 2; }
    enter_own_mounts "$@"
    local store=(--root "$work/store" --runroot "$work/r" --storage-driver overlay)
    RUN=(podman "${store[@]}") BUILD=("$(command -v buildah || echo podman)" "${store[@]}")
    test "$(id -u)" = 0 && BUILD_FLAGS=(--isolation=chroot) || BUILD_FLAGS=(--network=none)
    # podman would add the user to the list of users; docker does not, and clusters do not either.
    RUN_FLAGS=(--passwd=false)
    test "$(id -u)" = 0 || RUN_FLAGS+=(--userns=keep-id)
    if lacks_limits; then
        # podman asks for limits that only CAP_SYS_RESOURCE may raise, such as in a container.
        RUN+=(--runtime "$root/docker/test/crun")
        RUN_FLAGS+=(--cgroups=disabled --no-healthcheck)
    fi
}

enter_own_mounts() {
    # crun refuses the mixture of both versions of cgroups, so it sees the newer one only. The file
    # systems that podman mounts go with these mounts.
    test "$(id -u)" = 0 && test -z "${SEGKIT_OWN_MOUNTS:-}" || return 0
    rmdir "$work"
    SEGKIT_OWN_MOUNTS=1 exec unshare --mount bash -c \
        'test ! -d /sys/fs/cgroup/unified && ! mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup; exec "$@"' \
        - "$root/docker/image_test.sh"
}

lacks_limits() {
    local effective
    effective=$(sed -n 's/^CapEff:\t//p' /proc/self/status)
    test "$(id -u)" = 0 && (( (16#$effective >> 24 & 1) == 0 ))
}

without_network() {
    # Chroot isolation shares the network of the engine, which therefore gets none.
    case "${BUILD_FLAGS[*]}" in *chroot*) unshare --net "$@" ;; *) "$@" ;; esac
}

clean_up() {
    test "${RUN[0]}" = docker || "${RUN[@]}" unmount --all > /dev/null 2>&1 || true
    # What podman stored without root belongs to users of its own, and what is mounted stays.
    local remove=(rm -rf --one-file-system)
    test "${RUN[0]}" = docker || test "$(id -u)" = 0 || remove=(podman unshare "${remove[@]}")
    "${remove[@]}" "$work" "${made_model:-$work}"
}
