# deps.sh - which Debian packages are needed, and installing those that are missing.
# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Sourced by ./run and ./check. The list below is the only one. A third word names a command
# that does as well as the package (node and npm, for instance, often come from elsewhere).
DEBIAN_PACKAGES='
run    build-essential           c++
run    cmake                     cmake
run    ninja-build               ninja
run    pkg-config                pkg-config
run    libwebsockets-dev
run    libwebsockets-evlib-uv
run    libuv1-dev
run    libhiredis-dev
run    libcurl4-openssl-dev
run    libjson-c-dev
run    libjwt-dev
run    uthash-dev
run    libcmocka-dev
run    redis-server              redis-server
run    curl                      curl
run    ca-certificates
check  clang                     clang
check  clang-format              clang-format
check  clang-tidy                run-clang-tidy
check  libclang-rt-14-dev
check  python3                   /usr/bin/python3
check  python3-redis
check  python3-socketio
check  python3-requests
check  python3-websocket
check  python3-aiohttp
check  nodejs                    node
check  npm                       npm
check  chromium                  chromium
check  openssl                   openssl
check  redis-sentinel            redis-sentinel
check  nginx-light               nginx
check  libnginx-mod-nchan
'
CMAKE_NEEDED=3.25
NODE_NEEDED=18
# The one that sees Debian's python3-redis; another python3 may stand first in PATH.
export PYTHON=/usr/bin/python3
# nginx lives there, and a plain user's PATH leaves it out.
PATH=$PATH:/usr/sbin

deps_fail() {
    printf '%s\n' "$@" >&2
    return 1
}

# Prints the packages of the group (run, or check for all of them) that are not there.
deps_missing() {
    local group package command
    while read -r group package command; do
        [ -n "$package" ] || continue
        [ "$group" = run ] || [ "$group" = "$1" ] || continue
        [ -z "$command" ] || ! command -v "$command" >/dev/null 2>&1 || continue
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            printf '%s\n' "$package"
    done <<<"$DEBIAN_PACKAGES"
}

# True when version $1 is at least $2.
version_is_at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

deps_check_versions() {
    local version
    version=$(cmake --version | sed -n '1s/[^0-9]*//p')
    version_is_at_least "$version" "$CMAKE_NEEDED" ||
        deps_fail "cmake $version is too old: $CMAKE_NEEDED is needed (Debian 12 has it)." ||
        return 1
    [ "$1" = check ] || return 0
    version=$(node --version | tr -d v)
    version_is_at_least "$version" "$NODE_NEEDED" ||
        deps_fail "node $version is too old: $NODE_NEEDED is needed (Debian 12 has it)."
}

# as_root COMMAND...: through sudo where need be. Without a terminal sudo must not ask.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o DPkg::Lock::Timeout=180 "$@"
}

# deps_install run|check: what is missing, and nothing when nothing is.
deps_install() {
    local -a missing
    if ! command -v dpkg-query >/dev/null 2>&1; then
        printf 'This is not Debian: taking for granted what these packages hold:\n' >&2
        awk '{ printf " %s", $2 } END { print "" }' <<<"$DEBIAN_PACKAGES" >&2
        PYTHON=python3
        deps_check_versions "$1"
        return
    fi
    mapfile -t missing < <(deps_missing "$1")
    if [ ${#missing[@]} -gt 0 ]; then
        if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null 2>&1; then
            deps_fail "These Debian packages are missing, and there is neither root nor sudo" \
                "to install them. As root:" "  apt-get install ${missing[*]}"
            return 1
        fi
        printf 'Installing: %s\n' "${missing[*]}"
        printf '(Debian may start its own redis and nginx services; none is used here.)\n'
        # The package lists may be absent or too old: one update, and once more.
        if ! apt_get install --no-install-recommends "${missing[@]}" </dev/null; then
            apt_get update </dev/null &&
                apt_get install --no-install-recommends "${missing[@]}" </dev/null ||
                deps_fail "apt-get could not install: ${missing[*]}" || return 1
        fi
    fi
    deps_check_versions "$1"
}

# port_is_taken PORT: a socket has it, if only as its own end of a connection to somewhere; one
# that waits out its time (06) is in nobody's way.
port_is_taken() {
    awk -v port="$(printf ':%04X' "$1")" '
        substr($2, length($2) - 4) == port && $4 != "06" { taken = 1 }
        END { exit !taken }' < <(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null)
}

# free_port PORT: that one, or the next that is free.
free_port() {
    local port=$1
    while port_is_taken "$port"; do
        port=$((port + 1))
    done
    printf '%s\n' "$port"
}
