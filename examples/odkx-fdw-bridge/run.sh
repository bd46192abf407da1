#!/bin/bash
#
# examples/odkx-fdw-bridge/run.sh
#	A legacy database behind a modern one: the bridge of the ODK-X document, on
#	real servers.
#
# One server plays ODK-X (scram, no TLS, its table names), the other is the
# analytics server that a Django application connects to.  KEEP=1 keeps both.

. "$(dirname "$0")/../lib.sh"

HERE=$TOP/examples/odkx-fdw-bridge
TABLES=(_backend_actions _tablefiles_ref _server_prefs _task_lock
	__ODKTABLES__TABLE_ENTRY4 __ODKTABLES__TABLE_FILE_INFO4
	__ODKTABLES__MANIFEST_ETAGS __ODKTABLES__INTERACTION_LOG)

source_db() { psql_at "$SOURCE_PORT" -U postgres -d postgres "$@"; }

# As the application connects: by password, with its search path.
django()
{
	as_server env PGPASSWORD=DJANGO_RO_PASSWORD \
		PGOPTIONS='-c search_path=odkx,analytics,public' \
		psql -XqAt -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$WAREHOUSE_PORT" \
		-U smartfield_ro -d postgres -c "$1"
}

make_servers()
{
	init_server source "$SOURCE_PORT" <<-END
		password_encryption = 'scram-sha-256'
	END
	init_server warehouse "$WAREHOUSE_PORT" <<-END
		password_encryption = 'scram-sha-256'
		pg_warehouse.key_file = '$SCRATCH/pg_warehouse.key'
		session_preload_libraries = 'pg_warehouse'
	END
	for name in source warehouse; do
		printf '%s\n' 'local all postgres trust' 'local all whadmin trust' \
			'host  all all 127.0.0.1/32 scram-sha-256' |
			as_server tee "$SCRATCH/$name/pg_hba.conf" >/dev/null
		start_server "$name"
	done
	source_db -f "$HERE/source.sql" -f "$HERE/as_written_source.sql"
	warehouse postgres <<-END
		CREATE EXTENSION pg_warehouse;
		SET client_min_messages = warning;
		SELECT _wh.setup(preload => false) \g /dev/null
	END
}

set_up()
{
	grep -v '^--' "$HERE/setup.sql"
	warehouse postgres -v host=127.0.0.1 -v port="$SOURCE_PORT" -f "$HERE/setup.sql"
	shown postgres "SELECT step, ok, detail FROM _wh.verify_bridge('odkx9');"
	expect "every hop of the bridge works" "$(asked postgres \
		"SELECT count(*) FROM _wh.verify_bridge('odkx9') WHERE NOT ok")" 0
}

# Every table, by both roads: the foreign table and its snapshot.
compare()
{
	local table mv there

	for table in "${TABLES[@]}"; do
		mv=$(asked postgres "SELECT relation_name FROM _wh.bridge_relations
			WHERE kind = 'snapshot' AND source_name = '$table'")
		there=$(source_db -At -c "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text))
			FROM odk_sync.\"$table\" AS t")
		expect "$table: live, and in analytics.$mv" \
			"$(django "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM \"$table\" AS t")$(
			django "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM $mv AS t")" "$there$there"
	done
}

read_as_django()
{
	expect "unqualified, lower case" "$(django 'SELECT COUNT(*) FROM _backend_actions')" 5000
	expect "without quotes" "$(django 'SELECT COUNT(*) FROM table_entry4')" 24
	expect "no password in sight" "$(django 'SELECT count(umoptions) FROM pg_user_mappings')" 0
	for sql in "INSERT INTO odkx._server_prefs VALUES ('x')" "CREATE TABLE odkx.x ()" \
		"CREATE TABLE public.x ()" "DELETE FROM analytics.backend_actions_mv" \
		"REFRESH MATERIALIZED VIEW analytics.backend_actions_mv"; do
		expect "refused: $sql" "$(django "$sql" 2>&1 | grep -cE 'permission denied|must be owner')" 1
	done
}

run_as_written()
{
	warehouse postgres -f "$HERE/as_written.sql" >"$SCRATCH/out/as_written" 2>&1 ||
		{ cat "$SCRATCH/out/as_written"; die "DIFFERS: as_written.sql failed"; }
	expect "every statement of as_written.sql ran, with notices only" \
		"$(grep -cE 'ERROR|WARNING' "$SCRATCH/out/as_written" || true)" 0
}

change_the_source()
{
	source_db -c 'ALTER TABLE odk_sync._server_prefs ADD COLUMN "NOTE" text' \
		-c 'CREATE TABLE odk_sync."__ODKTABLES__SECURITY4" ("_URI" varchar(80) PRIMARY KEY, "ROLE" text)' \
		-c "UPDATE odk_sync._backend_actions SET \"LAST_REVISION_DATE\" = '2025-06-01' WHERE \"_URI\" = 'uuid:7'"
	shown postgres "SELECT * FROM _wh.sync_bridge('odkx9');"
	echo "django=> CALL _wh.refresh_schema('analytics', concurrently => true);"
	django "CALL _wh.refresh_schema('analytics', concurrently => true)" 2>&1
	expect "the application sees the change" "$(django \
		"SELECT \"LAST_REVISION_DATE\" FROM backend_actions_mv WHERE \"_URI\" = 'uuid:7'")" "2025-06-01 00:00:00"
	shown postgres "SELECT table_name, status, method, rows_extracted, rows_inserted, rows_deleted
FROM _wh.extract_runs WHERE kind = 'bridge' ORDER BY run_id DESC LIMIT 8;"
	expect "one row was written there" "$(asked postgres "SELECT rows_inserted, rows_deleted FROM _wh.extract_runs
		WHERE table_name = 'analytics.backend_actions_mv' ORDER BY run_id DESC LIMIT 1")" "1|1"
}

rotate()
{
	source_db -c "ALTER USER odkx_readonly WITH PASSWORD 'ODKX9_ROTATED'"
	echo "The source has a new password."
	shown postgres "SELECT step, detail, fix FROM _wh.verify_bridge('odkx9') WHERE NOT ok;" -x
	refused postgres "SELECT _wh.rotate_password('odkx9', 'mistyped');"
	typed postgres "SELECT _wh.rotate_password('odkx9', 'ODKX9_ROTATED');"
	expect "the application reads again" "$(django 'SELECT COUNT(*) FROM _backend_actions')" 5000
}

need_server_packages
begin_scratch
SOURCE_PORT=$(free_port)
WAREHOUSE_PORT=$(free_port)

chapter "Building pg_warehouse and starting two servers"
build
make_servers
echo "ODK-X's stand-in on port $SOURCE_PORT, analytics on port $WAREHOUSE_PORT"

chapter "The bridge"
set_up
chapter "Everything against the source"
compare
chapter "The document's statements, as typed"
run_as_written
chapter "What a Django application may"
read_as_django
chapter "The source moves on"
change_the_source
chapter "A new password"
rotate

printf '\nAll of it is as it should be. [%d s]\n' $((SECONDS - SINCE))
