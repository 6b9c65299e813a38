#!/bin/bash
# run.sh TARGET SEEDS: runs a fuzz target for FUZZ_SECONDS (default 600), beginning with SEEDS and with what earlier runs
# found to reach new code, which is kept in corpus/ beside the target. An input that breaks it is left in findings/.
# With FUZZ_RUNS it runs the seeds and the first so many of their mutations, which are the same ones each time.
set -euo pipefail
target=$1 seeds=$2
name=$(basename "$target")
findings=$(dirname "$target")/findings/$name
mkdir -p "$findings"
# addr2line comes with the compiler; llvm-symbolizer may be missing, or of another version.
export ASAN_OPTIONS=external_symbolizer_path=$(command -v addr2line):detect_stack_use_after_return=0
export UBSAN_OPTIONS=external_symbolizer_path=$(command -v addr2line):print_stacktrace=1
# A run takes a few milliseconds; an image here has 3 MiB at most, and no decoder needs more than a few times that.
fuzz=("$target" -rss_limit_mb=2048 -malloc_limit_mb=256 -max_len=8192 -print_funcs=0 -print_final_stats=1
  -artifact_prefix="$findings/")
if [ -n "${FUZZ_RUNS:-}" ]; then
  found=$(mktemp -d)
  trap 'rm -rf "$found"' EXIT
  "${fuzz[@]}" -seed=1 -runs="$FUZZ_RUNS" -timeout=120 "$found" "$seeds"
  exit
fi
corpus=$(dirname "$target")/corpus/$name
mkdir -p "$corpus"
exec "${fuzz[@]}" -max_total_time="${FUZZ_SECONDS:-600}" -timeout=10 -use_value_profile=1 "$corpus" "$seeds"
