#!/bin/sh
# Puts in place what building and testing need, and does nothing when it is there: Debian packages, npm packages, and
# the Python packages of the foreign WebRTC peer that the tests meet.
# Rust and Node come from their own installers; this checks that they are new enough.
set -eu
cd "$(dirname "$0")/.."

die() {
    echo "setup: $*" >&2
    exit 1
}

# at_least TOOL WANTED FOUND: whether version FOUND is WANTED or newer.
at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$3" | sort -V | head -n 1)" = "$2" ] ||
        die "$1 $2 or newer is needed, this is $3."
}

command -v cargo > /dev/null || die "cargo is missing: install Rust from https://rustup.rs"
at_least cargo 1.95 "$(cargo --version | cut -d ' ' -f 2)"
command -v node > /dev/null || die "node is missing: install Node.js 20 or newer from https://nodejs.org"
at_least node 20.19 "$(node --version | tr -d v)"

packages="build-essential chromium coturn ethtool ffmpeg fonts-dejavu-core iproute2 nftables python3 python3-gi python3-venv
    vlc-bin vlc-plugin-base
    gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
    gstreamer1.0-plugins-ugly gstreamer1.0-libav
    gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0 gir1.2-gst-plugins-bad-1.0"

missing=""
for package in $packages; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo > /dev/null || die "run this as root, or install:$missing"
        as_root=sudo
    fi
    echo "setup: installing$missing"
    $as_root apt-get update -qq
    # shellcheck disable=SC2086 # one word a package
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing > /dev/null
fi

# npm ci starts from nothing, so it runs only when the lock file is another one than it last ran for.
stamp=web/node_modules/.lock-sha256
lock=$(sha256sum web/package-lock.json)
if [ "$(cat "$stamp" 2> /dev/null || true)" != "$lock" ]; then
    (cd web && npm ci --no-audit --no-fund --loglevel=error)
    echo "$lock" > "$stamp"
fi

# A folder of its own, made anew when the versions are others than it was made for.
venv=target/strangers-venv
wanted=$(sha256sum tools/strangers/requirements.txt)
if [ "$(cat "$venv/.requirements-sha256" 2> /dev/null || true)" != "$wanted" ]; then
    echo "setup: installing tools/strangers/requirements.txt into $venv"
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        -r tools/strangers/requirements.txt
    echo "$wanted" > "$venv/.requirements-sha256"
fi
