#!/bin/sh
# Plays every scenario against a server of its own: server on one core, harness on another. Reports go to target/reports.
set -eu
cd "$(dirname "$0")/../.."
reports=target/reports
work=$(mktemp -d)
server=""
trap '[ -z "$server" ] || kill "$server" 2> /dev/null || true; rm -rf "$work"' EXIT
mkdir -p "$reports"
target/release/loadtest key --out "$work/key.p8" --jwks "$work/keys.jwks" > /dev/null

# said WORD: what the server printed after it, once it has; 20 s at most.
said() {
    for _ in $(seq 200); do
        found=$(sed -n "s/^$1 //p" "$work/said")
        [ -z "$found" ] || break
        sleep 0.1
    done
    [ -n "$found" ] || { echo "the server did not start" >&2; exit 1; }
    echo "$found"
}

failed=""
for scenario in loadtest/scenarios/*.yaml; do
    name=$(basename "$scenario" .yaml)
    echo "== $name"
    : > "$work/said"
    RUST_LOG=error target/release/standalone target --loadtest-keys "$work/keys.jwks" --core 0 --shards 1 \
        --media-bind 127.0.0.1 > "$work/said" &
    server=$!
    taskset -c 1 target/release/loadtest run --server "$(said signaling)" --metrics "$(said metrics)" \
        --grant-key "$work/key.p8" --scenario "$scenario" \
        --report "$reports/$name.json" --html "$reports/$name.html" || failed="$failed $name"
    kill "$server"
    wait "$server" || true
    server=""
done
echo "reports are in $reports"
[ -z "$failed" ] || { echo "objectives were missed:$failed" >&2; exit 1; }
