#!/bin/bash
#
# examples/bronze-extract-load/run.sh
#	A bronze layer: the extract and load playbook, on real servers.
#
# One server plays the tracking platform that must not feel the analytics, the
# other is the warehouse.  Orchestrator, object store and load workflow of the
# playbook are one CALL here.  KEEP=1 keeps both.

. "$(dirname "$0")/../lib.sh"

HERE=$TOP/examples/bronze-extract-load
TABLES=(position_history trips alarms devices geofences)

platform() { psql_at "$SOURCE_PORT" -U postgres -d postgres "$@"; }

# Count and hash of a table at both ends; trips in the source's units.
there()
{
	platform -At -c "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text COLLATE \"C\")) FROM (
		SELECT $(columns "$1") FROM tracksolid.$1) AS t"
}
here()
{
	asked grafana_ro "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text COLLATE \"C\")) FROM (
		SELECT $(columns "$1" | sed 's/(distance_m.* AS //') FROM bronze.$1) AS t"
}
columns()
{
	case $1 in
	position_history) echo "imei, gps_time, lat, lng, speed_kmh, recorded_at" ;;
	trips) echo "trip_id, imei, started_at, ended_at, (distance_m / 1000.0)::numeric(10,3) AS distance_km, updated_at" ;;
	alarms) echo "alarm_id, imei, kind, event_time, created_at" ;;
	devices) echo "imei, name, model" ;;
	geofences) echo "name, centre, radius_m" ;;
	esac
}
compare()
{
	local table

	for table in "${TABLES[@]}"; do
		expect "bronze.$table is what the source has" "$(here "$table")" "$(there "$table")"
	done
}

make_servers()
{
	init_server platform "$SOURCE_PORT" </dev/null
	init_server warehouse "$WAREHOUSE_PORT" <<-END
		pg_warehouse.key_file = '$SCRATCH/pg_warehouse.key'
		session_preload_libraries = 'pg_warehouse'
		pg_warehouse.archive_directory = '$SCRATCH/archive'
		timezone = 'UTC'
	END
	as_server mkdir -m 700 "$SCRATCH/archive"
	start_server platform
	start_server warehouse
	platform -f "$HERE/source.sql"
}

set_up()
{
	typed postgres "CREATE EXTENSION pg_warehouse;"
	typed postgres "SET client_min_messages = warning; SELECT _wh.setup(owner_role => 'dwh_owner', reader_role => 'grafana_ro', preload => false);"
	echo "postgres=> \\i setup.sql"
	warehouse postgres -v host="$SCRATCH/run" -v port="$SOURCE_PORT" -f "$HERE/setup.sql" >/dev/null
	echo "dwh_owner=> \\i control.sql"
	warehouse dwh_owner -f "$HERE/control.sql"
}

closed_gates()
{
	asked dwh_owner "SELECT coalesce(string_agg(g.phase || ': ' || g.gate, ', ' ORDER BY g.phase, g.gate), 'none')
		FROM _wh.mv_templates AS t, _wh.verify_gates(t.template_name) AS g WHERE NOT g.ok AND $1"
}

pre_deploy()
{
	shown dwh_owner "SELECT gate, ok, split_part(detail, E'\\n', 1) AS detail
FROM _wh.verify_gates('position_history') WHERE phase = 'pre_deploy';"
	expect "every gate before the first run is open, for every table" "$(closed_gates "g.phase = 'pre_deploy'")" none
	platform -c "ALTER TABLE tracksolid.alarms DROP CONSTRAINT alarms_pkey"
	shown dwh_owner "SELECT detail FROM _wh.verify_gates('alarms') WHERE gate = 'key';" -At
	expect "a source without the key does not pass" "$(closed_gates "g.phase = 'pre_deploy'")" "pre_deploy: key"
	platform -c "ALTER TABLE tracksolid.alarms ADD PRIMARY KEY (alarm_id)"
}

first_run()
{
	typed dwh_owner "CALL _wh.run_refresh();"
	shown dwh_owner "SELECT table_name, status, method, rows_extracted, rows_loaded FROM _wh.extract_runs ORDER BY table_name;"
	compare
	shown dwh_owner "SELECT gate, ok, detail FROM _wh.verify_gates('trips') WHERE phase = 'first_run';"
	expect "no gate is closed" "$(closed_gates true)" none
}

as_written()
{
	warehouse dwh_owner -f "$HERE/as_written.sql"
	shown grafana_ro "SELECT table_name, loads_last_24h, lag < interval '1 hour' AS fresh FROM dwh_control.v_table_freshness ORDER BY 1;"
	expect "the reseed is seen" "$(asked grafana_ro "SELECT last_extracted_at FROM dwh_control.v_watermark_lag
		WHERE table_name = 'position_history'")" "2000-01-01 00:00:00+00"
	typed dwh_owner "CALL _wh.run_refresh('position_history');"
	expect "all of it was read again, and nothing written twice" "$(asked dwh_owner "SELECT rows_extracted, rows_inserted,
		rows_unchanged FROM _wh.extract_runs ORDER BY run_id DESC LIMIT 1")" "40000|0|40000"
}

# Rows of a transaction that is open while the others' are read.
source_moves_on()
{
	local late

	platform >/dev/null <<-END &
		BEGIN;
		INSERT INTO tracksolid.alarms VALUES (9001, '860000000000001', 'late', now(), now());
		SELECT pg_sleep(3);
		COMMIT;
	END
	late=$!
	sleep 1
	platform -c "INSERT INTO tracksolid.alarms VALUES (9002, '860000000000002', 'power', now())" \
		-c "UPDATE tracksolid.trips SET ended_at = now(), distance_m = 99999, updated_at = now() WHERE trip_id = 1200" \
		-c "DELETE FROM tracksolid.geofences WHERE name = 'Depot 5'" \
		-c "INSERT INTO tracksolid.position_history VALUES ('860000000000001', now(), -1.3, 36.8, 12, now())"
	typed dwh_owner "CALL _wh.run_refresh();"
	shown dwh_owner "SELECT table_name, lag_reason FROM _wh.v_watermark_lag WHERE table_name = 'bronze.alarms';"
	expect "what is younger than an open transaction waits for it" \
		"$(asked grafana_ro "SELECT count(*) FROM bronze.alarms WHERE alarm_id > 9000")" 0
	wait "$late"
	typed dwh_owner "CALL _wh.run_refresh();"
	compare
}

# "Test the alert by manually failing a run before go-live."
fail_on_purpose()
{
	platform -c "ALTER TABLE tracksolid.trips RENAME COLUMN distance_m TO distance_metres"
	refused dwh_owner "CALL _wh.run_refresh('trips');"
	shown grafana_ro "SELECT table_name, error_message FROM dwh_control.v_recent_failures;"
	expect "the alert has its row" "$(asked grafana_ro "SELECT count(*) FROM dwh_control.v_recent_failures")" 1
	expect "nothing else has failed, and these gates are closed" "$(closed_gates true)" \
		"first_run: row_count, pre_deploy: columns, steady_state: failures, steady_state: freshness"
	expect "what was loaded before stays" "$(asked grafana_ro "SELECT count(*) FROM bronze.trips")" 1200
	platform -c "ALTER TABLE tracksolid.trips RENAME COLUMN distance_metres TO distance_m"
	typed dwh_owner "CALL _wh.run_refresh('trips');"
	expect "the next run mends it" "$(closed_gates true)" none
}

# "They pay for themselves the first time you need to replay a window."
replay()
{
	local run

	shown dwh_owner "SELECT table_name, rows_extracted, regexp_replace(csv_path, '[^/]*$', '...') AS csv_path
FROM _wh.extract_runs WHERE csv_path IS NOT NULL AND method = 'first_fill' ORDER BY 1;"
	expect "exports/ is empty, every CSV is in processed/" "$(as_server find "$SCRATCH/archive/exports" -type f | wc -l)" 0
	run=$(asked dwh_owner "SELECT run_id FROM _wh.extract_runs WHERE table_name = 'bronze.trips' AND method = 'first_fill'")
	warehouse dwh_owner -c "DELETE FROM bronze.trips WHERE trip_id BETWEEN 500 AND 600"
	shown dwh_owner "SELECT r ->> 'status' AS status, r ->> 'rows_inserted' AS inserted FROM _wh.replay($run) AS r;"
	expect "what was lost here is back, from its CSV" "$(asked grafana_ro "SELECT count(*) FROM bronze.trips")" 1200
	typed dwh_owner "SELECT _wh.reseed('trips', 'tracksolid');"
	typed dwh_owner "CALL _wh.run_refresh('trips');"
	compare
}

# What the playbook does not find: it never looks back.
find_deletes()
{
	platform -c "DELETE FROM tracksolid.trips WHERE trip_id BETWEEN 100 AND 109" \
		-c "UPDATE tracksolid.alarms SET alarm_id = 8000 WHERE alarm_id = 50"
	typed dwh_owner "CALL _wh.run_refresh();"
	expect "a refresh does not see what is gone" "$(asked grafana_ro "SELECT count(*) FROM bronze.trips")" 1200
	expect "the gate does" "$(closed_gates true)" "first_run: row_count"
	shown dwh_owner "SELECT period_start, source_rows, local_rows, action, rows_inserted, rows_deleted
FROM _wh.reconcile('trips', 'tracksolid') WHERE NOT equal;"
	shown dwh_owner "SELECT period_start, source_rows, local_rows, action, rows_inserted, rows_deleted
FROM _wh.reconcile('alarms', 'tracksolid') WHERE NOT equal;"
	compare
}

need_server_packages
begin_scratch
SOURCE_PORT=$(free_port)
WAREHOUSE_PORT=$(free_port)

chapter "Building pg_warehouse and starting two servers"
build
make_servers
echo "the platform on port $SOURCE_PORT, the warehouse on port $WAREHOUSE_PORT"

chapter "Phase A: target, control schema, templates"
set_up
chapter "Gates before the first run"
pre_deploy
chapter "The first run"
first_run
chapter "The playbook's statements, as typed"
as_written
chapter "The source moves on"
source_moves_on
chapter "Failing a run on purpose"
fail_on_purpose
chapter "The archive"
replay
chapter "What is gone at the source"
find_deletes

printf '\nAll of it is as it should be. [%d s]\n' $((SECONDS - SINCE))
