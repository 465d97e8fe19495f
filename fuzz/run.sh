#!/bin/sh
# Runs fuzz targets one after the other and ends at the first finding: fuzz/run.sh SECONDS [TARGET...]
set -eu
cd "$(dirname "$0")"
seconds=$1
shift
cargo fuzz build -s none
programs=target/$(rustc -vV | sed -n 's/^host: //p')/release
for target in ${*:-$(cargo fuzz list)}; do
  # What is found on the way stays out of the committed corpus.
  mkdir -p "target/corpus/$target" "artifacts/$target"
  log=target/$target.log
  if "$programs/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -close_fd_mask=1 \
    -artifact_prefix="artifacts/$target/" "target/corpus/$target" "corpus/$target" > "$log" 2>&1; then
    echo "$target: $(grep DONE "$log" | tr '\t' ' ')"
    continue
  fi
  # The last lines of the log: what went wrong, and the input.
  grep -vE '^(#[0-9]|INFO|WARNING)' "$log" | tail -n 40 >&2
  input=$(sed -n 's/.*Test unit written to //p' "$log")
  echo "$target: a finding in fuzz/${input:-?}" >&2
  echo "repeat it: cd fuzz && cargo fuzz run -s none $target ${input:-INPUT}" >&2
  exit 1
done
