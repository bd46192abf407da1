#!/bin/bash
#
# examples/multi-tenant-warehouse/run.sh
#	From five tenants' databases to a warehouse, on real servers and rows.
#
# A tenant server (TLS, scram) holds one database per airport, an analytics
# server makes one materialized view per tenant and day of them.  Every claim
# is compared with the source; the first difference ends the demo with status
# 1.  KEEP=1 keeps the servers at the end and says how to connect.

. "$(dirname "$0")/../lib.sh"

HERE=$TOP/examples/multi-tenant-warehouse
TENANTS=(atl dfw lax ord phx)
DAYS=90

# ---------------------------------------------------------------- helpers

# Run SQL at the tenant server (database first).
tenant() { psql_at "$TENANT_PORT" -U postgres -d "$@"; }

count_lines() { wc -l <"$1" | tr -d ' '; }

# Write every row of a template's slices to a file, each with the tenant and
# the day of the slice that holds it.
slices_to()
{
	warehouse whadmin -At >"$2" <<-END
		SELECT pg_catalog.format('COPY (SELECT %L, %L, s.* FROM %I.%I AS s) TO STDOUT',
		    tenant_name, period_start, relation_schema, relation_name)
		FROM _wh.slices WHERE template_name = '$1' \gexec
	END
	LC_ALL=C sort -o "$2" "$2"
}

# Write every row of a source the same way: its day is the one of its zone.
source_to()
{
	local tenant_name=$1 database=$2 zone=$3 file=$4

	tenant "$database" -c "COPY (SELECT '$tenant_name',
		(departed_at AT TIME ZONE '$zone')::date, f.* FROM flights AS f)
		TO STDOUT" >>"$file"
	LC_ALL=C sort -o "$file" "$file"
}

# Compare slices with sources row by row, in both directions.
compare()
{
	local what=$1 source=$2 slices=$3 missing surplus

	missing=$(LC_ALL=C comm -23 "$source" "$slices" | tee "$source.only" | wc -l)
	surplus=$(LC_ALL=C comm -13 "$source" "$slices" | tee "$slices.only" | wc -l)
	head -n 3 "$source.only" "$slices.only" >"$SCRATCH/out/differences"
	[ "$missing" -eq 0 ] && [ "$surplus" -eq 0 ] ||
		cat "$SCRATCH/out/differences"
	expect "$what: rows only at the source, rows only in the warehouse" \
		"$missing, $surplus" "0, 0"
}

# ---------------------------------------------------------------- servers

# A throw-away authority and a certificate for host "localhost", valid since
# 2000 because one chapter turns the warehouse's clock back to 2001.
make_certificates()
{
	local dir=$SCRATCH/tls

	as_server mkdir "$dir"
	as_server bash -e >"$SCRATCH/out/tls.log" 2>&1 <<-END || {
		cd $dir
		export TZ=UTC
		faketime '2000-01-01' openssl req -x509 -newkey rsa:2048 -nodes \
			-days 20000 -subj '/CN=demo authority' -keyout ca.key -out ca.crt
		openssl req -newkey rsa:2048 -nodes -subj /CN=localhost \
			-keyout server.key -out server.csr
		echo 'subjectAltName = DNS:localhost' >san
		faketime '2000-01-01' openssl x509 -req -in server.csr -days 20000 \
			-CA ca.crt -CAkey ca.key -CAcreateserial -extfile san \
			-out server.crt
		chmod 600 server.key
	END
		show "$SCRATCH/out/tls.log"
		die "openssl could not make certificates"
	}
}

make_tenant_server()
{
	init_server tenants "$TENANT_PORT" <<-END
		ssl = on
		ssl_cert_file = '$SCRATCH/tls/server.crt'
		ssl_key_file = '$SCRATCH/tls/server.key'
		password_encryption = 'scram-sha-256'
	END
	printf '%s\n' 'local   all postgres              trust' \
		'hostssl all all      127.0.0.1/32 scram-sha-256' |
		as_server tee "$SCRATCH/tenants/pg_hba.conf" >/dev/null
	start_server tenants
}

# One database per airport, with a role that may read its one table.
make_tenant_databases()
{
	local t

	for t in "${TENANTS[@]}"; do
		openssl rand -hex 16 >"$SCRATCH/out/$t.password"
		tenant postgres -v t="$t" -v r="${t}_reader" \
			-v p="$(cat "$SCRATCH/out/$t.password")" <<-'END'
			CREATE DATABASE :"t";
			CREATE ROLE :"r" LOGIN PASSWORD :'p';
		END
		tenant "$t" <<-END
			CREATE TABLE flights (
			    flight_id integer PRIMARY KEY,
			    departed_at timestamptz NOT NULL,
			    origin text NOT NULL,
			    destination text NOT NULL,
			    distance_miles integer NOT NULL,
			    delay_minutes integer
			);
			CREATE INDEX ON flights (departed_at);
			GRANT SELECT ON flights TO ${t}_reader;
		END
		awk -F, -v origin="${t^^}" 'NR == 1 || $3 == origin' \
			"$HERE/flights-2001q1.csv" |
			tenant "$t" -c 'COPY flights FROM STDIN (FORMAT csv, HEADER)'
	done
}

make_warehouse_server()
{
	init_server warehouse "$WAREHOUSE_PORT" <<-END
		shared_preload_libraries = 'pg_cron'
		cron.database_name = 'postgres'
		cron.host = '$SCRATCH/run'
		pg_warehouse.key_file = '$SCRATCH/pg_warehouse.key'
		pg_warehouse.sslrootcert = '$SCRATCH/tls/ca.crt'
		session_preload_libraries = 'pg_warehouse'
	END
	start_server warehouse
}

# ---------------------------------------------------------------- chapters

set_up()
{
	local t

	typed postgres "CREATE EXTENSION pg_cron;"
	typed postgres "CREATE EXTENSION pg_warehouse;"
	typed postgres "SELECT _wh.setup();"
	typed postgres "SELECT _wh.create_key();"
	for t in "${TENANTS[@]}"; do
		typed whadmin "SELECT _wh.add_tenant('$t', 'localhost', '$t', '${t}_reader', $TENANT_PORT);"
	done
	echo "whadmin=> COPY _wh.tenant_password_entry FROM STDIN;"
	for t in "${TENANTS[@]}"; do
		printf '%s\t%s\n' "$t" "$(cat "$SCRATCH/out/$t.password")"
	done | warehouse whadmin -c 'COPY _wh.tenant_password_entry FROM STDIN'
	echo
	shown whadmin "SELECT * FROM _wh.test_tenant('dfw');"
	expect "every hop to every tenant works" "$(warehouse whadmin -At -c \
		"SELECT count(DISTINCT tenant_name), bool_and(ok) FROM _wh.test_tenant()")" "5|t"
}

define_template()
{
	typed whadmin "SELECT _wh.add_template('flightstats',
    \$\$SELECT flight_id, departed_at, origin, destination, distance_miles, delay_minutes
      FROM flights
      WHERE departed_at >= {DAY_START} AND departed_at < {DAY_END}\$\$,
    'flight_id integer, departed_at timestamptz, origin text, destination text,
     distance_miles integer, delay_minutes integer',
    \$\$CREATE UNIQUE INDEX idx_{schema}_{view_name}_id ON {schema}.{view_name} (flight_id);
      CREATE INDEX idx_{schema}_{view_name}_departed ON {schema}.{view_name} (departed_at);
      CREATE INDEX idx_{schema}_{view_name}_destination ON {schema}.{view_name} (destination)\$\$,
    time_column => 'departed_at', key_columns => '{flight_id}',
    options => '{\"start_date\": \"2001-01-01\"}',
    tenants => '{atl,dfw,lax,ord,phx}');"
	shown whadmin "SELECT remote_sql FROM _wh.wh_plan('flightstats', 'dfw', '2001-01-01', '2001-01-01')
WHERE remote_sql IS NOT NULL;" -At
}

# The job form commits every day by itself, so its progress can be watched.
load()
{
	local job now total=$((${#TENANTS[@]} * DAYS)) status=0

	echo "whadmin=> CALL _wh.run_refresh('flightstats', NULL, '2001-01-01', '2001-03-31');"
	warehouse whadmin -c "CALL _wh.run_refresh('flightstats', NULL,
		'2001-01-01', '2001-03-31')" >"$SCRATCH/out/load.log" 2>&1 &
	job=$!
	while kill -0 $job 2>/dev/null; do
		sleep 1
		now=$(warehouse whadmin -At -c "SELECT count(*), sum(row_count)
			FROM _wh.slices WHERE state = 'loaded'")
		printf '  %3d of %d slices, %s rows\n' "${now%|*}" $total "${now#*|}"
	done
	wait $job || status=$?
	[ $status -eq 0 ] || cat "$SCRATCH/out/load.log"
	expect "the load succeeded" $status 0
}

compare_everything()
{
	local t

	for t in "${TENANTS[@]}"; do
		source_to "$t" "$t" UTC "$SCRATCH/out/source"
		echo "$t,$(tenant "$t" -At -F, -c "SELECT count(*),
			count(DISTINCT (departed_at AT TIME ZONE 'UTC')::date) FROM flights")"
	done >"$SCRATCH/out/counted"
	slices_to flightstats "$SCRATCH/out/slices"

	warehouse whadmin <<-END
		CREATE TEMP TABLE source (tenant_name text, source_rows int, source_days int);
		\copy source FROM '$SCRATCH/out/counted' (FORMAT csv)
		SELECT tenant_name, source_rows, source_days, slices, rows,
		       rows - source_rows AS difference
		FROM source JOIN (
		    SELECT tenant_name, count(*) AS slices, sum(row_count) AS rows
		    FROM _wh.slices WHERE template_name = 'flightstats'
		    GROUP BY 1) AS s USING (tenant_name)
		ORDER BY 1;
	END
	expect "slices of ${#TENANTS[@]} tenants and $DAYS days" "$(warehouse whadmin -At -c \
		"SELECT count(*) FROM _wh.slices WHERE template_name = 'flightstats'
			AND state = 'loaded'")" 450
	compare "450 slices" "$SCRATCH/out/source" "$SCRATCH/out/slices"
}

read_as_bi()
{
	local day="FROM public.flightstats WHERE schema_name = 'dfw' AND departed_at::date = '2001-02-14'"

	shown phood_ro "SELECT schema_name AS airport, count(*) AS flights,
       round(avg(delay_minutes), 1) AS avg_delay,
       mode() WITHIN GROUP (ORDER BY destination) AS busiest_route
FROM public.flightstats
WHERE departed_at >= '2001-03-01'
GROUP BY 1 ORDER BY 2 DESC;"
	expect "phood_ro reads every row of public.flightstats" \
		"$(warehouse phood_ro -At -c 'SELECT count(*) FROM public.flightstats')" \
		"$(count_lines "$SCRATCH/out/source")"
	shown phood_ro "EXPLAIN (COSTS off) SELECT count(*) $day;"
	expect "one tenant's day is read from one of $((DAYS * ${#TENANTS[@]})) slices" \
		"$(warehouse phood_ro -At -c "EXPLAIN (COSTS off) SELECT count(*) $day" |
			grep -o 'on flightstats_2[0-9_]*' | sort -u)" "on flightstats_2001_02_14"
	expect "and nothing of _wh" "$(warehouse phood_ro -At -c \
		'SELECT count(*) FROM _wh.tenant_connections' 2>&1 | head -n 1)" \
		"ERROR:  permission denied for schema _wh"
}

change_a_row()
{
	local id

	id=$(tenant dfw -At -c "SELECT min(flight_id) FROM flights
		WHERE departed_at >= '2001-02-14Z' AND departed_at < '2001-02-15Z'")
	tenant dfw -c "UPDATE flights SET delay_minutes = 999 WHERE flight_id = $id"
	echo "At the source, flight $id of 14 February is now 999 minutes late."
	shown whadmin "SELECT tenant_name, period_start, status, method, rows
FROM _wh.wh_refresh('flightstats', 'dfw', '2001-02-14', '2001-02-14');"
	expect "the warehouse shows the change" "$(warehouse phood_ro -At -c \
		"SELECT schema_name, delay_minutes FROM public.flightstats
			WHERE flight_id = $id")" "dfw|999"
}

# An old day changes after it was loaded; reconcile finds it by count and hash.
late_data()
{
	local day="departed_at >= '2001-02-03Z' AND departed_at < '2001-02-04Z'"
	local what="SELECT count(*), sum(delay_minutes) FROM"

	tenant ord -c "UPDATE flights SET delay_minutes = delay_minutes + 1 WHERE $day;
		DELETE FROM flights WHERE flight_id = (SELECT max(flight_id) FROM flights WHERE $day)"
	echo "At the source, every flight of ord on 3 February got later, and one is gone."
	shown whadmin "SELECT period_start, source_rows, local_rows, action, rows_updated, rows_deleted
FROM _wh.reconcile('flightstats', 'ord', '2001-01-01', '2001-03-31')
WHERE NOT equal;"
	expect "the day is the source's again" \
		"$(warehouse phood_ro -At -c "$what ord.flightstats WHERE $day")" \
		"$(tenant ord -At -c "$what flights WHERE $day")"
	expect "and every other day was" "$(warehouse whadmin -At -c \
		"SELECT count(*) FROM _wh.reconcile('flightstats', 'ord', '2001-01-01', '2001-03-31')
			WHERE equal AND action = 'none'")" $DAYS
	shown whadmin "SELECT tenant_name, state, count(*) AS days, min(day), max(day), sum(row_count) AS rows
FROM _wh.v_coverage WHERE template_name = 'flightstats' AND day <= '2001-04-02'
GROUP BY 1, 2 ORDER BY 1, 2;"
	expect "wh_check() finds nothing lost" "$(warehouse whadmin -At -c \
		"SELECT * FROM _wh.wh_check()")" ""
}

# January's 155 slices become 5 tables; nobody sees another row, or one less.
roll_up()
{
	local before after

	before=$(warehouse phood_ro -At -c "SELECT schema_name, count(*), sum(hashtext(f::text))
		FROM public.flightstats AS f GROUP BY 1 ORDER BY 1")
	shown whadmin "SELECT tenant, r ->> 'table' AS table, r -> 'days_found' AS days, r -> 'rows' AS rows,
       r ->> 'status' AS status
FROM unnest('{atl,dfw,lax,ord,phx}'::text[]) AS tenant,
     _wh.create_combined_table_from_template_by_month('flightstats', tenant, '2001-01-01') AS r;"
	after=$(warehouse phood_ro -At -c "SELECT schema_name, count(*), sum(hashtext(f::text))
		FROM public.flightstats AS f GROUP BY 1 ORDER BY 1")
	expect "the same rows of every tenant" "$after" "$before"
	shown whadmin "SELECT period_kind, state, count(*) AS slices, sum(row_count) AS rows
FROM _wh.slices WHERE template_name = 'flightstats' GROUP BY 1, 2 ORDER BY 1;"
	expect "5 tables in place of 155 materialized views" "$(warehouse whadmin -At -c \
		"SELECT period_kind, count(*) FROM _wh.slices
			WHERE template_name = 'flightstats' GROUP BY 1 ORDER BY 1" | tr '\n' ' ')" \
		"day|295 month|5 "

	tenant dfw -c "UPDATE flights SET delay_minutes = 1111
		WHERE flight_id = (SELECT min(flight_id) FROM flights
			WHERE departed_at >= '2001-01-09Z' AND departed_at < '2001-01-10Z')"
	echo "At the source, a flight of 9 January is now 1111 minutes late."
	shown whadmin "SELECT tenant_name, period_start, status, method, rows, rows_updated
FROM _wh.wh_refresh('flightstats', 'dfw', '2001-01-09', '2001-01-09');"
	expect "that day has changed inside the table" "$(warehouse phood_ro -At -c \
		"SELECT count(*) FROM dfw.flightstats_2001_01 WHERE delay_minutes = 1111")" 1
}

# The template of the architecture document, as it is written there.
load_as_the_seed_does()
{
	typed whadmin "INSERT INTO _wh.mv_templates
    (template_name, description, query_template, column_definitions, indexes, tenants)
VALUES ('flightlog', 'written as the architecture document does',
    \$\$SELECT flight_id AS id, departed_at AS logged_time, destination AS store
      FROM flights
      WHERE (departed_at AT TIME ZONE 'UTC')::DATE = '{TARGET_DATE}'::DATE\$\$,
    'id integer, logged_time timestamptz, store text',
    \$\$CREATE UNIQUE INDEX idx_{schema}_{view_name}_id ON {schema}.{view_name} (id);
      CREATE INDEX idx_{schema}_{view_name}_logged_time ON {schema}.{view_name} (logged_time);
      CREATE INDEX idx_{schema}_{view_name}_store ON {schema}.{view_name} (store);\$\$,
    '{atl,dfw,lax,ord,phx}');"
	typed whadmin "SELECT _wh.create_mv_from_template('flightlog', 'dfw', 'dfw', '2001-01-01');"
	typed whadmin "SELECT _wh.update_mv_by_template('flightlog', 'ord', '2001-01-01');"
	typed whadmin "SELECT _wh.update_tenant_union_view_by_template('flightlog', 'dfw');"
	typed whadmin "SELECT _wh.update_public_view_by_template('flightlog');"
	expect "public.flightlog has that day of both tenants" "$(warehouse phood_ro -At -c \
		"SELECT schema_name, count(*) FROM public.flightlog GROUP BY 1 ORDER BY 1" | tr '\n' ' ')" \
		"$(for t in dfw ord; do tenant $t -At -c "SELECT '$t', count(*) FROM flights
			WHERE (departed_at AT TIME ZONE 'UTC')::date = '2001-01-01'"; done | tr '\n' ' ')"
	expect "with the document's indexes" "$(warehouse whadmin -At -c \
		"SELECT count(*) FROM pg_indexes WHERE schemaname = 'dfw'
			AND indexname LIKE 'idx_dfw_flightlog_2001_01_01_%'")" 3
}

# 01:00 UTC on 1 April 2001 is 17:00 on 31 March in Los Angeles and 13:00 on
# 1 April in Auckland.  A look-back over the quarter crosses the change of the
# clocks in New Zealand, and every border of both calendars.
days_are_the_tenants()
{
	local library

	library=$(find /usr/lib -name libfaketime.so.1 | head -n 1)
	stop_server warehouse
	start_server warehouse TZ=UTC LD_PRELOAD="$library" \
		FAKETIME='@2001-04-01 01:00:00' FAKETIME_DONT_FAKE_MONOTONIC=1

	warehouse whadmin <<-END
		SELECT _wh.add_tenant('los_angeles', 'localhost', 'lax', 'lax_reader', $TENANT_PORT,
		    time_zone => 'America/Los_Angeles') \g /dev/null
		SELECT _wh.add_tenant('auckland', 'localhost', 'phx', 'phx_reader', $TENANT_PORT,
		    time_zone => 'Pacific/Auckland') \g /dev/null
		SELECT _wh.add_template('localdays',
		    \$\$SELECT flight_id, departed_at, origin, destination, distance_miles, delay_minutes
		      FROM flights WHERE departed_at >= {DAY_START} AND departed_at < {DAY_END}\$\$,
		    'flight_id integer, departed_at timestamptz, origin text, destination text,
		     distance_miles integer, delay_minutes integer',
		    time_column => 'departed_at', key_columns => '{flight_id}', lookback_days => 92,
		    tenants => '{los_angeles,auckland}') \g /dev/null
	END
	printf 'los_angeles\t%s\nauckland\t%s\n' "$(cat "$SCRATCH/out/lax.password")" \
		"$(cat "$SCRATCH/out/phx.password")" |
		warehouse whadmin -c 'COPY _wh.tenant_password_entry FROM STDIN'

	shown whadmin "SELECT tenant_name, time_zone, date_trunc('minute', now() AT TIME ZONE time_zone) AS local_time
FROM _wh.tenant_connections WHERE tenant_name IN ('los_angeles', 'auckland') ORDER BY 1;"
	typed whadmin "CALL _wh.run_refresh('localdays');"
	shown whadmin "SELECT tenant_name, count(*) AS slices, min(period_start), max(period_start),
       sum(row_count) AS rows, count(*) FILTER (WHERE state <> 'loaded') AS failed
FROM _wh.slices WHERE template_name = 'localdays' GROUP BY 1 ORDER BY 1;"
	expect "each loaded up to its own today" "$(warehouse whadmin -At -c \
		"SELECT tenant_name, max(period_start) FROM _wh.slices
			WHERE template_name = 'localdays' GROUP BY 1 ORDER BY 1" | tr '\n' ' ')" \
		"auckland|2001-04-01 los_angeles|2001-03-31 "

	source_to los_angeles lax America/Los_Angeles "$SCRATCH/out/local_source"
	source_to auckland phx Pacific/Auckland "$SCRATCH/out/local_source"
	slices_to localdays "$SCRATCH/out/local_slices"
	compare "days of Los Angeles and Auckland" \
		"$SCRATCH/out/local_source" "$SCRATCH/out/local_slices"

	stop_server warehouse
	start_server warehouse
}

stop_a_tenant()
{
	local before

	before=$(warehouse phood_ro -At -c "SELECT count(*) FROM phx.flightstats")
	tenant postgres -At -c "ALTER DATABASE phx ALLOW_CONNECTIONS false" -c \
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = 'phx'" >/dev/null
	echo "Database phx accepts no connections any more."
	shown whadmin "SELECT tenant_name, period_start, status, rows, sqlstate
FROM _wh.wh_refresh('flightstats', from_date => '2001-03-31', to_date => '2001-03-31');"
	shown whadmin "SELECT table_name, sqlstate, error_category, error_message, error_hint
FROM _wh.v_recent_failures;" | sed 's/ *$//'
	expect "the others loaded, phx failed" "$(warehouse whadmin -At -c \
		"SELECT string_agg(tenant_name || ' ' || status, ', ' ORDER BY tenant_name)
			FROM (SELECT DISTINCT ON (tenant_name) tenant_name, status
				FROM _wh.extract_runs WHERE template_name = 'flightstats'
				AND period_start = '2001-03-31'
				ORDER BY tenant_name, run_id DESC) AS r")" \
		"atl loaded, dfw loaded, lax loaded, ord loaded, phx failed"
	expect "the failure has an SQLSTATE and a hint" "$(warehouse whadmin -At -c \
		"SELECT count(*) FROM _wh.v_recent_failures WHERE tenant_name = 'phx'
			AND sqlstate = '55000' AND error_hint <> ''")" 1
	expect "its old rows stay readable" "$(warehouse phood_ro -At -c \
		"SELECT count(*) FROM phx.flightstats")" "$before"
}

# A job of a real pg_cron, at the next full minute.
run_by_cron()
{
	local waited=0

	shown whadmin "SELECT jobname, schedule, command, action
FROM _wh.setup_cron('flightstats', schedule => '* * * * *');"
	echo "waiting for the next full minute"
	until [ "$(warehouse postgres -At -c "SELECT count(DISTINCT jobid)
			FROM cron.job_run_details WHERE status IN ('succeeded', 'failed')")" = 5 ]; do
		sleep 1
		waited=$((waited + 1))
		[ $waited -lt 100 ] || die "pg_cron ran nothing within $waited s"
	done
	warehouse whadmin -c "SELECT * FROM _wh.remove_cron('flightstats')" >/dev/null
	shown postgres "SELECT command, status, split_part(return_message, E'\\n', 1) AS message
FROM cron.job_run_details WHERE status IN ('succeeded', 'failed') ORDER BY 1 LIMIT 5;"
	expect "pg_cron knows who succeeded" "$(warehouse postgres -At -c \
		"SELECT string_agg(DISTINCT substring(command FROM '''(...)''\)') || ' ' || status, ', ')
			FROM cron.job_run_details WHERE status IN ('succeeded', 'failed')")" \
		"atl succeeded, dfw succeeded, lax succeeded, ord succeeded, phx failed"
	expect "and the ledger has today's slices" "$(warehouse whadmin -At -c \
		"SELECT count(*) >= 4 FROM _wh.slices WHERE template_name = 'flightstats'
			AND period_start >= _wh.current_date_utc() - 1 AND state = 'loaded'")" t
}

mend_the_tenant()
{
	tenant postgres -c "ALTER DATABASE phx ALLOW_CONNECTIONS true"
	echo "Database phx is back; what had failed is loaded."
	warehouse whadmin -c "SELECT * FROM _wh.wh_refresh('flightstats', 'phx')" \
		-c "SELECT * FROM _wh.wh_refresh('flightstats', 'phx', '2001-03-31', '2001-03-31')" \
		>/dev/null
	shown whadmin "SELECT template_name, tenant_name, state, slices, row_count FROM _wh.wh_status()
WHERE template_name = 'flightstats';"
	expect "no failure is left" "$(warehouse whadmin -At -c \
		"SELECT count(*) FROM _wh.v_recent_failures")" 0
}

# ---------------------------------------------------------------- the demo

need_server_packages openssl faketime
begin_scratch
TENANT_PORT=$(free_port)
WAREHOUSE_PORT=$(free_port)

chapter "Building pg_warehouse and starting two servers"
build
make_certificates
make_tenant_server
make_warehouse_server
make_tenant_databases
echo "tenants: ${TENANTS[*]} on port $TENANT_PORT (TLS, scram); warehouse on port $WAREHOUSE_PORT"

chapter "Setting the warehouse up"
set_up
chapter "One template for all tenants"
define_template
chapter "$DAYS days of ${#TENANTS[@]} tenants"
load
chapter "Everything against the source"
compare_everything
chapter "What a BI tool sees"
read_as_bi
chapter "A row changes at the source"
change_a_row
chapter "Days that changed after they were loaded"
late_data
chapter "January becomes one table a tenant"
roll_up
chapter "A template written as the architecture document does"
load_as_the_seed_does
chapter "The days are the tenant's: 01:00 UTC, 1 April 2001"
days_are_the_tenants
chapter "One tenant stops; nobody else notices"
stop_a_tenant
chapter "pg_cron does it"
run_by_cron
chapter "The tenant comes back"
mend_the_tenant

printf '\nAll of it is as it should be. [%d s]\n' $((SECONDS - SINCE))
