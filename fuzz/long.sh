#!/usr/bin/env bash
# All targets one after the other, for long, on stable: `bash fuzz/long.sh [seconds of each] [directory]`. What is found
# worth keeping goes into the directory and is where the next run begins; it is `target/long` here if none is given.
# Each run is noted in its `totals`, by the tree of `src/`, and all of this tree are added up in the end.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-600}
directory=${2:-target/long}
source=$(git rev-parse --short HEAD:src)
git diff --quiet HEAD -- ../src || source+=+

mkdir -p "$directory"
# What compares numbers slows it down by half, and a corpus is there.
cargo fuzz build -s none --no-trace-compares
failed=()
for target in $(cargo fuzz list); do
    case $target in
    alloc) longest=64 ;;
    chunked) longest=120 ;;
    ops | response) longest=160 ;;
    *) longest=300 ;;
    esac
    mkdir -p "$directory/$target"
    if ! cargo fuzz run -s none --no-trace-compares "$target" "$directory/$target" "corpus/$target" -- -dict=http.dict \
        -max_len=$longest -max_total_time="$seconds" -timeout=20 -print_final_stats=1 >"$directory/$target.log" 2>&1; then
        failed+=("$target")
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$directory/$target.log")
    printf '%s %s %s %s\n' "$source" "$target" "$seconds" "${runs:-0}" >>"$directory/totals"
    printf '%s: %s runs\n' "$target" "${runs:-0}"
done

awk -v source="$source" '$1 == source { runs[$2] += $4; all += $4 }
    END { for (target in runs) print "in all, " target ": " runs[target]; print "in all of src/ " source ": " all + 0 }' \
    "$directory/totals"
for target in "${failed[@]}"; do
    printf '%s failed: %s\n' "$target" "$directory/$target.log"
done
test ${#failed[@]} -eq 0
