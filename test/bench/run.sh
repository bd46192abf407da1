#!/bin/bash
#
# test/bench/run.sh
#	Measure pg_warehouse against dblink, postgres_fdw, psql's COPY pipe and
#	receive-and-discard, on two throw-away servers.
#
# Writes bench.json and bench.md into the folder OUT (test/bench/out) and
# prints bench.md.  QUICK=1 takes fewer rounds of fewer rows; ONLY="wal slices"
# takes only those parts (bench.py lists them).  Everything is measured as
# ratios of medians within one run, since machines differ and are noisy.

. "$(dirname "$0")/../lib.sh"

OUT=${OUT:-$TOP/test/bench/out}

build_sink()
{
	as_server make -s -C "$SCRATCH/src/test/bench" with_llvm=no install \
		PG_CFLAGS='-Wall -Wextra -Wno-unused-parameter -Werror' \
		>"$SCRATCH/out/sink.log" 2>&1 ||
		{ show "$SCRATCH/out/sink.log"; die "the sink did not build"; }
}

make_certificate()
{
	as_server openssl req -batch -x509 -newkey rsa:2048 -nodes -days 2 \
		-subj /CN=localhost -addext subjectAltName=DNS:localhost \
		-keyout "$SCRATCH/server.key" -out "$SCRATCH/server.crt" \
		>"$SCRATCH/out/openssl.log" 2>&1 ||
		{ show "$SCRATCH/out/openssl.log"; die "openssl could not make a certificate"; }
	as_server chmod 600 "$SCRATCH/server.key"
}

# What both servers are set to; unlike other throw-away servers they write to
# the disk in earnest.
settings()
{
	cat <<-END
		fsync = on
		shared_buffers = 2GB
		max_wal_size = 16GB
		checkpoint_timeout = 1h
		work_mem = 64MB
		maintenance_work_mem = 256MB
		max_locks_per_transaction = 512
		max_worker_processes = 16
		autovacuum = off
		jit = off
	END
}

make_servers()
{
	{
		settings
		echo "ssl = on"
		echo "ssl_cert_file = '$SCRATCH/server.crt'"
		echo "ssl_key_file = '$SCRATCH/server.key'"
		echo "password_encryption = 'scram-sha-256'"
	} | init_server tenants "$TENANT_PORT"
	printf '%s\n' 'local   all all                 trust' \
		'hostssl all scram  127.0.0.1/32 scram-sha-256' \
		'host    all reader 127.0.0.1/32 trust' |
		as_server tee "$SCRATCH/tenants/pg_hba.conf" >/dev/null
	start_server tenants

	{
		settings
		echo "session_preload_libraries = 'pg_warehouse'"
		echo "pg_warehouse.key_file = '$SCRATCH/pg_warehouse.key'"
		echo "pg_warehouse.sslrootcert = '$SCRATCH/server.crt'"
		echo "pg_warehouse.archive_directory = '$SCRATCH/archive'"
	} | init_server warehouse "$WAREHOUSE_PORT"
	as_server mkdir -m 700 "$SCRATCH/archive"
	start_server warehouse
}

need_server_packages openssl python3 python3-psycopg2
begin_scratch
TENANT_PORT=$(free_port)
WAREHOUSE_PORT=$(free_port)
PASSWORD=$(openssl rand -hex 16)

say "building, and starting two servers"
build
build_sink
make_certificate
make_servers

as_server mkdir "$SCRATCH/out/bench"
status=0
as_server_group env SCRATCH="$SCRATCH" TENANT_PORT="$TENANT_PORT" \
	WAREHOUSE_PORT="$WAREHOUSE_PORT" PASSWORD="$PASSWORD" \
	FLIGHTS="$SCRATCH/src/examples/multi-tenant-warehouse/flights-2001q1.csv" \
	QUICK="${QUICK:-}" ONLY="${ONLY:-}" PYTHONDONTWRITEBYTECODE=1 \
	COMMIT="$(git -C "$TOP" describe --always --dirty 2>/dev/null || true)" \
	/usr/bin/python3 "$SCRATCH/src/test/bench/bench.py" || status=$?
mkdir -p "$OUT"
cp "$SCRATCH"/out/bench/* "$OUT"/ 2>/dev/null || true
[ $status -eq 0 ] || die "the benchmark ended early; what was measured is in $OUT"
cat "$OUT/bench.md"
say "written: $OUT/bench.md, $OUT/bench.json"
