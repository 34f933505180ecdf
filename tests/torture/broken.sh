#!/usr/bin/env bash
# broken.sh - builds Thinkwire without one of its promises at a time; torture must find each.
# SPDX-License-Identifier: MIT
#
#   tests/torture/broken.sh [--seed N] [healing] [dedup] [fencing] [lease]
#
# Each is given a minute. Exits 0 when all were found; takes some minutes to build.
set -euo pipefail
cd "$(dirname "$0")/../.."

seed=8
if [ "${1-}" = --seed ]; then
    seed=$2
    shift 2
fi
[ $# -gt 0 ] || set -- healing dedup fencing lease

mkdir -p build
build=build/broken
missed=0
for what in "$@"; do
    cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DTHINKWIRE_BREAK="$what" >"$build.log" 2>&1
    cmake --build "$build" --target thinkwired thinkwire_cli >>"$build.log" 2>&1
    began=$SECONDS
    code=0
    "$build/bin/thinkwire" torture --seed "$seed" --seconds 60 >"$build-$what.log" 2>&1 || code=$?
    if [ "$code" = 1 ]; then
        printf '%-8s found after %2d s: %s\n' "$what" $((SECONDS - began)) \
            "$(grep -m 1 '^VIOLATION' "$build-$what.log")"
    else
        printf '%-8s NOT FOUND (code %d), see %s\n' "$what" "$code" "$build-$what.log"
        missed=1
    fi
done
exit "$missed"
