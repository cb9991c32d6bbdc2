#!/usr/bin/env bash
# Requests a second of three examples beside a server on hyper that gives the same answer, under wrk on loopback: each
# in turn, several rounds, the ratio of the medians. `bash benches/load.sh [rounds [seconds]]`. Needs cargo, curl and
# wrk.
#
# All are built alike, as `benches/Cargo.toml` says. `tokio` is beside hyper on the same runtime, with a thread for each
# core; `mio` beside hyper on one thread; `serve` has a thread for each connection, and is beside hyper as it comes.
set -euo pipefail
cd "$(dirname "$0")"
rounds=${1:-5} seconds=${2:-4}
for tool in curl wrk; do
    command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 1; }
done
export CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
cargo build --release --quiet --package load --target-dir target
cargo build --release --quiet --manifest-path ../Cargo.toml --example serve --example tokio --example mio \
    --target-dir target/examples

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
begin() { # name, program and its arguments; prints nothing, writes its address
    local name=$1
    shift
    "$@" >"$work/$name" 2>&1 < <(sleep 3600) &
    until grep -q 'http://' "$work/$name"; do sleep 0.1; done
    grep -o 'http://[0-9.:]*' "$work/$name" | head -n 1 >"$work/$name.address"
}
begin hyper target/release/load
begin tokio target/examples/release/examples/tokio --port 0
begin serve target/examples/release/examples/serve --port 0
begin hyper-1 target/release/load --one-thread
begin mio target/examples/release/examples/mio --port 0
names='hyper tokio serve hyper-1 mio'

# The same answer, but for the order of its headers.
answer() { curl -s -i "$(cat "$work/$1.address")/early" | tr -d '\r' | grep -v '^date: ' | sort; }
for name in $names; do
    diff <(answer hyper) <(answer "$name") || { echo "$name answers something else than hyper" >&2; exit 1; }
done

for ((round = 0; round < rounds; round++)); do
    for name in $names; do
        wrk -t 1 -c 32 -d "${seconds}s" "$(cat "$work/$name.address")/early" >"$work/wrk"
        if grep -q 'Socket errors\|Non-2xx' "$work/wrk"; then
            cat "$work/wrk" >&2
            exit 1
        fi
        sed -n 's/^Requests\/sec: *//p' "$work/wrk" >>"$work/$name.rates"
    done
done
median() { sort -n "$work/$1.rates" | sed -n "$(((rounds + 1) / 2))p"; }
for name in $names; do
    beside=hyper
    case $name in hyper-1 | mio) beside=hyper-1 ;; esac
    printf '%-7s %9.0f requests/s (%s), %.2f of %s\n' "$name" "$(median "$name")" \
        "$(sort -n "$work/$name.rates" | sed 's/\..*//' | tr '\n' ' ' | sed 's/ $//')" \
        "$(echo "$(median "$name") $(median "$beside")" | awk '{ print $1 / $2 }')" "$beside"
done
