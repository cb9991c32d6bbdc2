#!/usr/bin/env bash
# A few seconds of each target, on stable: `bash fuzz/smoke.sh [seconds]`. Without cargo-fuzz it says so and is content.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-5}

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo 'skipped: cargo-fuzz is not here (cargo install --locked cargo-fuzz)'
    exit 0
fi

# What is found on the way is not kept.
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
cargo fuzz build -s none
for target in $(cargo fuzz list); do
    mkdir "$new/$target"
    if ! cargo fuzz run -s none "$target" "$new/$target" "corpus/$target" -- \
        -dict=http.dict -max_total_time="$seconds" -timeout=20 -print_final_stats=1 >"$new/log" 2>&1; then
        cat "$new/log"
        exit 1
    fi
    printf '%s: %s runs\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$new/log")"
done
