#!/bin/sh
# What only the tests need: Debian packages, and a kubectl of at least 1.31.
set -eu
missing=
for pair in nft:nftables ip:iproute2 tmux:tmux skopeo:skopeo umoci:umoci cc:gcc \
    docker-registry:docker-registry qemu-system-x86_64:qemu-system-x86 \
    bsdtar:libarchive-tools fsck.erofs:erofs-utils podman:podman runc:runc crun:crun catatonit:catatonit \
    newuidmap:uidmap pasta:passt slirp4netns:slirp4netns \
    musl-gcc:musl-tools busybox:busybox-static; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
[ -d /usr/aarch64-linux-gnu/include ] || missing="$missing linux-libc-dev-arm64-cross"
if [ -n "$missing" ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "tests: please install:$missing" >&2
        exit 1
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
venv=$(cd "$(dirname "$0")/../.venv" && pwd)
here=$(cd "$(dirname "$0")/.." && pwd)
"$venv/bin/python" "$here/tests/kubectl.py" "$venv/bin/kubectl"
