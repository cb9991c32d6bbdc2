#!/usr/bin/env bash
# Requests a second of two examples beside a server on hyper that gives the same answer, under wrk on loopback: each in
# turn, several rounds, the ratio of the medians. `bash benches/load.sh [rounds [seconds]]`. Needs cargo, curl and wrk.
set -euo pipefail
cd "$(dirname "$0")"
rounds=${1:-5} seconds=${2:-4}
for tool in curl wrk; do
    command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 1; }
done
cargo build --release --quiet --package load
cargo build --release --quiet --manifest-path ../Cargo.toml --examples --target-dir target/examples

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
begin() { # name, program and its arguments; prints nothing, writes its address
    local name=$1
    shift
    "$@" >"$work/$name" 2>&1 < <(sleep 3600) &
    until grep -q 'http://' "$work/$name"; do sleep 0.1; done
    grep -o 'http://[0-9.:]*' "$work/$name" | head -n 1 >"$work/$name.address"
}
begin serve target/examples/release/examples/serve --port 0
begin tokio target/examples/release/examples/tokio --port 0
begin hyper target/release/load

# The same answer, but for the order of its headers.
answer() { curl -s -i "$(cat "$work/$1.address")/early" | tr -d '\r' | grep -v '^date: ' | sort; }
for name in serve tokio; do
    diff <(answer hyper) <(answer "$name") || { echo "$name answers something else than hyper" >&2; exit 1; }
done

for ((round = 0; round < rounds; round++)); do
    for name in serve tokio hyper; do
        wrk -t 1 -c 32 -d "${seconds}s" "$(cat "$work/$name.address")/early" >"$work/wrk"
        if grep -q 'Socket errors\|Non-2xx' "$work/wrk"; then
            cat "$work/wrk" >&2
            exit 1
        fi
        sed -n 's/^Requests\/sec: *//p' "$work/wrk" >>"$work/$name.rates"
    done
done
median() { sort -n "$work/$1.rates" | sed -n "$(((rounds + 1) / 2))p"; }
for name in serve tokio hyper; do
    printf '%-6s %9.0f requests/s (%s), %.2f of hyper\n' "$name" "$(median "$name")" \
        "$(sort -n "$work/$name.rates" | sed 's/\..*//' | tr '\n' ' ' | sed 's/ $//')" \
        "$(echo "$(median "$name") $(median hyper)" | awk '{ print $1 / $2 }')"
done
