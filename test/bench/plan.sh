#!/bin/bash
#
# test/bench/plan.sh
#	Measure what reading a view over thousands of slices costs: planning,
#	locks and client time, for both layouts, with the planner's hook and
#	without, and by each protocol.
#
# Makes a warehouse of 3,650 slices (10 tenants, a year) and one of 36,500 (ten
# years) on a throw-away server.  The slices are real materialized views with
# rows and indexes and real rows of the ledger, but made here by SQL: fetching
# 36,500 of them would take hours and measure something else.  Writes plan.json
# and plan.md into the folder OUT (test/bench/out) and prints plan.md.  QUICK=1
# leaves the 36,500 out and takes fewer rounds.

. "$(dirname "$0")/../lib.sh"

OUT=${OUT:-$TOP/test/bench/out}

need_server_packages python3 python3-psycopg2
begin_scratch
PORT=$(free_port)

say "building, and starting a server"
build
init_server warehouse "$PORT" <<-END
	shared_buffers = 1GB
	max_wal_size = 16GB
	max_locks_per_transaction = 1024
	autovacuum = off
	jit = off
END
start_server warehouse

as_server mkdir "$SCRATCH/out/bench"
status=0
as_server_group env SCRATCH="$SCRATCH" TENANT_PORT="$PORT" \
	WAREHOUSE_PORT="$PORT" PASSWORD= QUICK="${QUICK:-}" \
	PYTHONDONTWRITEBYTECODE=1 \
	COMMIT="$(git -C "$TOP" describe --always --dirty 2>/dev/null || true)" \
	/usr/bin/python3 "$SCRATCH/src/test/bench/plan.py" || status=$?
mkdir -p "$OUT"
cp "$SCRATCH"/out/bench/* "$OUT"/ 2>/dev/null || true
[ $status -eq 0 ] || die "the benchmark ended early; what was measured is in $OUT"
cat "$OUT/plan.md"
say "written: $OUT/plan.md, $OUT/plan.json"
