#!/bin/bash
#
# examples/sync-tracking/run.sh
#	An outside service syncs forms and tells the warehouse: the sync tracking
#	document, on real servers.
#
# One server plays ODK Central, the other is the analytics server that holds
# the service's own tables and the log.  The service is a few lines of shell and
# SQL here, with a role that may call five functions.  KEEP=1 keeps both.

. "$(dirname "$0")/../lib.sh"

HERE=$TOP/examples/sync-tracking

central() { psql_at "$SOURCE_PORT" -U postgres -d postgres "$@"; }
service() { asked odk_service "$1"; }

make_servers()
{
	init_server central "$SOURCE_PORT" </dev/null
	init_server warehouse "$WAREHOUSE_PORT" <<-END
		pg_warehouse.key_file = '$SCRATCH/pg_warehouse.key'
		session_preload_libraries = 'pg_warehouse'
	END
	start_server central
	start_server warehouse
	central -f "$HERE/source.sql"
}

set_up()
{
	typed postgres "CREATE EXTENSION pg_warehouse;"
	warehouse postgres -c "SET client_min_messages = warning" \
		-c "SELECT _wh.setup(preload => false)" >/dev/null
	typed postgres "CREATE ROLE odk_service LOGIN;
GRANT USAGE ON SCHEMA _wh TO odk_service;
GRANT EXECUTE ON FUNCTION _wh.start_sync, _wh.update_sync_progress, _wh.complete_sync,
    _wh.fail_sync, _wh.last_sync_time TO odk_service;
CREATE SCHEMA odk AUTHORIZATION odk_service;"
	warehouse odk_service <<-END
		CREATE TABLE odk.submissions ("__id" text PRIMARY KEY, submitted_at timestamptz,
		    building text, "person_details@odata.navigationLink" text);
		CREATE TABLE odk.person_details ("__id" text PRIMARY KEY, submission text, full_name text);
	END
	warehouse whadmin -f "$HERE/views.sql"
	echo "whadmin=> \\i views.sql"
}

# Fetch a query's rows from the source and upsert them; prints how many.  What
# the source says when it cannot be read is in out/fetch.
fetch_into()
{
	local table=$1 sql=$2

	central -c "COPY ($sql) TO STDOUT" >"$SCRATCH/out/rows" 2>"$SCRATCH/out/fetch" || return 1
	warehouse odk_service >/dev/null <<-END
		BEGIN;
		CREATE TEMP TABLE incoming (LIKE $table) ON COMMIT DROP;
		\\copy incoming FROM '$SCRATCH/out/rows'
		INSERT INTO $table SELECT * FROM incoming ON CONFLICT ("__id") DO NOTHING;
		COMMIT;
	END
	wc -l <"$SCRATCH/out/rows" | tr -d ' '
}

# One sync of submissions as a service does it: from where the last one ended.
sync_submissions()
{
	local id since records latest

	id=$(service "SELECT _wh.start_sync('main_submissions', '{\"service_instance\": \"$1\"}')")
	since=$(service "SELECT coalesce(_wh.last_sync_time('main_submissions'), '-infinity')")
	if ! records=$(fetch_into odk.submissions "SELECT * FROM submissions WHERE submitted_at > '$since'"); then
		service "SELECT _wh.fail_sync($id, \$\$$(grep -v '^$' "$SCRATCH/out/fetch" | head -n 1)\$\$, 'network')" >/dev/null
		echo "$1: failed"
		return
	fi
	latest=$(service "SELECT max(submitted_at) FROM odk.submissions")
	service "SELECT _wh.update_sync_progress($id, $records, '$latest')" >/dev/null
	service "SELECT _wh.complete_sync($id, $records)" >/dev/null
	echo "$1: $records records since $since"
}

# The document's other three, each by its own rule.
sync_the_rest()
{
	local id records

	id=$(service "SELECT _wh.start_sync('person_details', '{\"service_instance\": \"odk-1\"}')")
	records=$(fetch_into odk.person_details "SELECT * FROM person_details")
	service "SELECT _wh.complete_sync($id, $records)" >/dev/null
	id=$(service "SELECT _wh.start_sync('image_processing', '{\"service_instance\": \"odk-1\"}')")
	service "SELECT _wh.complete_sync($id, 3)" >/dev/null
	id=$(service "SELECT _wh.start_sync('url_refresh', '{\"service_instance\": \"odk-1\"}')")
	service "SELECT _wh.complete_sync($id, 45, metadata => '{\"threshold_hours\": 2, \"checked\": 127}')" >/dev/null
}

status_of() { asked wh_monitor "SELECT $2 FROM odk_sync_status WHERE sync_type = '$1'"; }

sync_all()
{
	expect "the first one reads everything" "$(sync_submissions odk-1)" "odk-1: 122 records since -infinity"
	central -c "INSERT INTO submissions SELECT 'uuid:' || i, timestamptz '2025-08-20' + i * interval '1 minute', 'new', 'x'
		FROM generate_series(123, 127) AS i"
	expect "the next one what is new since" "$(sync_submissions odk-1)" \
		"odk-1: 5 records since $(central -At -c "SELECT max(submitted_at) FROM submissions WHERE building <> 'new'")"
	expect "every submission is there" "$(asked odk_service 'SELECT count(*), max(submitted_at) FROM odk.submissions')" \
		"$(central -At -c 'SELECT count(*), max(submitted_at) FROM submissions')"
	sync_the_rest
	expect "person_details" "$(status_of person_details 'last_sync_status, last_records_processed')" "success|498"
}

two_at_once()
{
	local id

	id=$(service "SELECT _wh.start_sync('main_submissions', '{\"service_instance\": \"odk-1\"}')")
	refused odk_service "SELECT _wh.start_sync('main_submissions');"
	expect "it names the instance" "$(grep -c "of instance \"odk-1\"" "$SCRATCH/out/refused")" 1
	service "SELECT _wh.complete_sync($id, 0)" >/dev/null
}

source_is_down()
{
	as_server pg_ctl -s -w -m immediate -D "$SCRATCH/central" stop
	expect "the service tells of it" "$(sync_submissions odk-1)" "odk-1: failed"
	shown wh_monitor "SELECT sync_type, last_sync_status, last_error_message, successful_sync_count, failed_sync_count
FROM odk_sync_status WHERE sync_type = 'main_submissions';" -x
	expect "what was read before stays" "$(status_of main_submissions "last_sync_timestamp = '2025-08-20 02:07:00+00'")" t
	start_server central
	expect "and the next one goes on from there" "$(sync_submissions odk-2 | cut -d' ' -f1-3)" "odk-2: 0 records"
}

service_dies()
{
	local dead next

	dead=$(service "SELECT _wh.start_sync('image_processing', '{\"service_instance\": \"odk-3\"}', '1 second')")
	expect "it runs" "$(status_of image_processing last_sync_status)" in_progress
	sleep 1.2
	expect "it has promised to report within a second, and has not" "$(status_of image_processing \
		'last_sync_status, last_error_message')" "error|no progress within the time that it expected"
	next=$(service "SELECT _wh.start_sync('image_processing', '{\"service_instance\": \"odk-4\"}')")
	service "SELECT _wh.complete_sync($next, 3)" >/dev/null
	service "SELECT _wh.complete_sync($dead, 2)" >/dev/null
	expect "it was only slow: its word still counts" "$(asked wh_monitor \
		"SELECT string_agg(service_instance || ' ' || status, ', ' ORDER BY id) FROM odk_sync_history
			WHERE sync_type = 'image_processing' AND id >= $dead")" "odk-3 success, odk-4 success"
}

# A run of the warehouse's own, in the same two views.
beside_our_own()
{
	warehouse postgres >/dev/null <<-END
		SELECT _wh.add_tenant('central', '$SCRATCH/run', 'postgres', 'postgres', $SOURCE_PORT,
		    sslmode => 'disable', auth_method => 'trusted');
		SELECT _wh.add_template('daily_submissions',
		    \$\$SELECT "__id" AS id, submitted_at, building FROM submissions
		      WHERE submitted_at >= {DAY_START} AND submitted_at < {DAY_END}\$\$,
		    'id text, submitted_at timestamptz, building text', time_column => 'submitted_at',
		    key_columns => '{id}');
	END
	shown whadmin "SELECT template_name, status, rows FROM _wh.wh_refresh('daily_submissions', from_date => '2025-08-02', to_date => '2025-08-02');"
	expect "it is a sync type like the others" "$(status_of central.daily_submissions \
		'last_sync_status, successful_sync_count, last_records_processed')" "success|1|24"
}

# The unified table: as many rows as submissions, and never away.
unified_table()
{
	local reader

	warehouse odk_service -c "GRANT USAGE ON SCHEMA odk TO whadmin; GRANT SELECT ON ALL TABLES IN SCHEMA odk TO whadmin" >/dev/null
	warehouse whadmin -f "$HERE/unified.sql" >/dev/null
	echo "whadmin=> \\i unified.sql"
	shown whadmin "SELECT status, method, rows FROM _wh.wh_refresh('GRARentalDataCollection_unified');"
	expect "127 records with all their persons" "$(asked phood_ro 'SELECT count(*), sum(persons) FROM public."GRARentalDataCollection_unified"')" "127|498"
	expect "the link is as OData names it" "$(asked phood_ro 'SELECT "person_details@odata.navigationLink" FROM central."GRARentalDataCollection_unified" WHERE "__id" = $$uuid:1$$')" \
		"Submissions('uuid:1')/person_details"

	{ yes 'SELECT count(*) FROM public."GRARentalDataCollection_unified";' || true; } | head -n 5000 |
		warehouse phood_ro -At >"$SCRATCH/out/readers" 2>&1 &
	reader=$!
	central -c "INSERT INTO submissions VALUES ('uuid:128', '2025-08-21', 'new', 'x')"
	sync_submissions odk-1 >/dev/null
	shown whadmin "SELECT status, method, rows, rows_inserted, rows_unchanged FROM _wh.wh_refresh('GRARentalDataCollection_unified');"
	shown whadmin "SELECT status, method, rows FROM _wh.wh_refresh('GRARentalDataCollection_unified', method => 'refill');"
	wait "$reader"
	expect "5,000 readers have found it whole" "$(grep -cE '^(127|128)$' "$SCRATCH/out/readers")" 5000
	expect "and the last of them the new record" "$(tail -n 1 "$SCRATCH/out/readers")" 128
}

run_as_written()
{
	warehouse wh_monitor -f "$HERE/as_written.sql" | tee "$SCRATCH/out/as_written"
	expect "every type is in the status" "$(sed -n '1,/rows)/p' "$SCRATCH/out/as_written" | tail -n 1)" "(6 rows)"
	expect "the statistics agree" "$(asked wh_monitor "SELECT s -> 'totals' -> 'failed', s -> 'totals' -> 'successful'
		FROM _wh.wh_statistics() AS s")" \
		"$(asked wh_monitor "SELECT sum(failed_sync_count), sum(successful_sync_count) FROM odk_sync_status")"
	shown wh_monitor "SELECT jsonb_pretty(_wh.wh_statistics() -> 'totals');" -At
}

need_server_packages
begin_scratch
SOURCE_PORT=$(free_port)
WAREHOUSE_PORT=$(free_port)

chapter "Building pg_warehouse and starting two servers"
build
make_servers
echo "ODK Central's stand-in on port $SOURCE_PORT, analytics on port $WAREHOUSE_PORT"

chapter "Setting up: a service that may call five functions"
set_up
chapter "Four kinds of sync"
sync_all
chapter "Two instances at once"
two_at_once
chapter "The source is down"
source_is_down
chapter "A service that is not heard of"
service_dies
chapter "Our own runs beside them"
beside_our_own
chapter "The unified table"
unified_table
chapter "The document's queries, as typed"
run_as_written

printf '\nAll of it is as it should be. [%d s]\n' $((SECONDS - SINCE))
