#!/bin/bash
#
# examples/hybrid-loan-metrics/run.sh
#	A dashboard over a Django database: read the source, compute local, on real
#	servers.
#
# One server plays Django's database (scram, no TLS, pg_stat_statements), the
# other is the analytics server: repayments and schedules are synced every minute
# by pg_cron into tables whose triggers keep 14 fields per loan, officers,
# customers and loans are read live, metrics are derived.  KEEP=1 keeps both.

. "$(dirname "$0")/../lib.sh"

HERE=$TOP/examples/hybrid-loan-metrics
OFFICERS=200 CUSTOMERS=5000 LOANS=8000

django() { psql_at "$DJANGO_PORT" -U postgres -d django_production "$@"; }
asked_django() { django -At -c "$1"; }
by_hand() { psql_at "$WAREHOUSE_PORT" -U postgres -d by_hand "$@"; }

# ---------------------------------------------------------------- servers

make_servers()
{
	init_server django "$DJANGO_PORT" <<-END
		password_encryption = 'scram-sha-256'
		timezone = 'UTC'
		shared_preload_libraries = 'pg_stat_statements'
	END
	init_server warehouse "$WAREHOUSE_PORT" <<-END
		timezone = 'UTC'
		shared_preload_libraries = 'pg_cron'
		cron.database_name = 'postgres'
		cron.host = '$SCRATCH/run'
		pg_warehouse.key_file = '$SCRATCH/pg_warehouse.key'
		session_preload_libraries = 'pg_warehouse'
	END
	printf '%s\n' 'local all all trust' 'host  all all 127.0.0.1/32 scram-sha-256' |
		as_server tee "$SCRATCH/django/pg_hba.conf" >/dev/null
	start_server django
	start_server warehouse
	psql_at "$DJANGO_PORT" -U postgres -d postgres -c 'CREATE DATABASE django_production'
	TODAY=$(asked_django 'SELECT current_date')
	YESTERDAY=$(asked_django "SELECT date '$TODAY' - 1")
	django -v officers=$OFFICERS -v customers=$CUSTOMERS -v loans=$LOANS -v today="$TODAY" -f "$HERE/source.sql" \
		-c 'CREATE EXTENSION pg_stat_statements'
}

# ---------------------------------------------------------------- chapters

set_up()
{
	typed postgres "CREATE EXTENSION pg_cron;"
	grep -v '^--' "$HERE/setup.sql"
	warehouse postgres -v host=127.0.0.1 -v port="$DJANGO_PORT" -f "$HERE/setup.sql" >"$SCRATCH/out/setup" 2>&1 ||
		{ cat "$SCRATCH/out/setup"; die "DIFFERS: setup.sql failed"; }
	echo "whadmin=> \\i computed.sql"
	warehouse whadmin -f "$HERE/computed.sql"
	echo "whadmin=> \\i templates.sql"
	warehouse whadmin -f "$HERE/templates.sql" >/dev/null
	typed whadmin "SELECT seedsmetrics.begin_day('$YESTERDAY');"
	expect "every hop works, of the tenant and of the bridge" "$(asked postgres \
		"SELECT (SELECT bool_and(ok) FROM _wh.test_tenant('seedsmetrics')), (SELECT bool_and(ok) FROM _wh.verify_bridge('django_db'))")" "t|t"
}

# The 14 fields of every loan, here and by one query over the source.
compare_computed()
{
	local day=$1

	django -v day="$day" -f "$HERE/computed_at_source.sql" | LC_ALL=C sort >"$SCRATCH/out/computed.$day.there"
	warehouse metricsuser -c "COPY seedsmetrics.loans_computed TO STDOUT" | LC_ALL=C sort >"$SCRATCH/out/computed.here"
	diff "$SCRATCH/out/computed.$day.there" "$SCRATCH/out/computed.here" | head -n 6
	expect "the 14 fields of $(wc -l <"$SCRATCH/out/computed.$day.there") loans, to the end of $day" \
		"$(md5sum <"$SCRATCH/out/computed.here")" "$(md5sum <"$SCRATCH/out/computed.$day.there")"
}

# Sync one template, whether or not a job is just at it.
synced()
{
	local tries=0

	echo "whadmin=> SELECT * FROM _wh.wh_refresh('$1');"
	until [ "$(asked whadmin "SELECT status FROM _wh.wh_refresh('$1')" 2>"$SCRATCH/out/synced")" = loaded ]; do
		tries=$((tries + 1))
		[ $tries -lt 60 ] || { cat "$SCRATCH/out/synced"; die "DIFFERS: $1 cannot be synced"; }
		sleep 0.5
	done
}

first_sync()
{
	shown whadmin "SELECT template_name, status, method, rows, rows_inserted
FROM _wh.wh_refresh('repayments') UNION ALL
SELECT template_name, status, method, rows, rows_inserted
FROM _wh.wh_refresh('loan_schedule');"
	expect "every repayment and every instalment" \
		"$(asked metricsuser "SELECT (SELECT count(*) FROM seedsmetrics.repayments), (SELECT sum(amount) FROM seedsmetrics.repayments),
			(SELECT count(*) FROM seedsmetrics.loan_schedule)")" \
		"$(asked_django "SELECT (SELECT count(*) FROM loans_ajoloanrepayment), (SELECT sum(amount) FROM loans_ajoloanrepayment),
			(SELECT count(*) FROM loans_ajoloanschedule)")"
	compare_computed "$YESTERDAY"
	shown metricsuser "SELECT width_bucket(current_dpd, ARRAY[1, 8, 15, 31, 61]) AS bucket, count(*), max(current_dpd) AS dpd,
       sum(total_outstanding) AS outstanding, count(*) FILTER (WHERE fimr_tagged) AS fimr,
       count(*) FILTER (WHERE early_indicator_tagged) AS early
FROM seedsmetrics.loans_computed GROUP BY 1 ORDER BY 1;"
}

the_day_before()
{
	local days="from_date => '$YESTERDAY', to_date => '$YESTERDAY'"

	shown whadmin "SELECT template_name, status, method, rows
FROM _wh.wh_refresh($days)
WHERE template_name IN ('officer_metrics_daily', 'branch_metrics_daily', 'dpd_transitions', 'par15_snapshots');"
	expect "what each officer collected" \
		"$(asked metricsuser "SELECT officer_id, collected FROM seedsmetrics.officer_metrics_daily
			WHERE metric_date = '$YESTERDAY' AND collected > 0 ORDER BY officer_id::int")" \
		"$(asked_django "SELECT agent_id, sum(amount) FROM loans_ajoloanrepayment AS r JOIN loans_ajoloan AS l ON l.id = r.ajo_loan_id
			WHERE paid_date = '$YESTERDAY' GROUP BY 1 ORDER BY 1")"
	expect "branches are the sum of their officers" \
		"$(asked metricsuser "SELECT branch, sum(collected), sum(par15), sum(active_loans) FROM seedsmetrics.branch_metrics_daily
			WHERE metric_date = '$YESTERDAY' GROUP BY 1 ORDER BY 1")" \
		"$(asked metricsuser "SELECT branch, sum(collected), sum(par15), sum(active_loans) FROM seedsmetrics.officer_metrics_daily
			WHERE metric_date = '$YESTERDAY' GROUP BY 1 ORDER BY 1")"
	django -v day="$(asked_django "SELECT date '$YESTERDAY' - 1")" -f "$HERE/computed_at_source.sql" >"$SCRATCH/out/before"
	expect "loans that went from one bucket to another" \
		"$(asked metricsuser "SELECT count(*), sum(dpd_before), sum(dpd_after) FROM seedsmetrics.dpd_transitions
			WHERE transition_date = '$YESTERDAY'")" \
		"$(awk 'function bucket(d) { return (d >= 1) + (d >= 8) + (d >= 15) + (d >= 31) + (d >= 61) }
			NR == FNR { before[$1] = $2; next }
			bucket(before[$1]) != bucket($2) { n++; b += before[$1]; a += $2 }
			END { print n "|" b + 0 "|" a + 0 }' "$SCRATCH/out/before" "$SCRATCH/out/computed.$YESTERDAY.there")"
	expect "portfolio at risk" "$(asked metricsuser "SELECT count(*), sum(total_outstanding) FROM seedsmetrics.par15_snapshots
			WHERE snapshot_date = '$YESTERDAY'")" \
		"$(awk '$2 >= 15 && $10 > 0 { n++; t += $10 } END { printf "%d|%.2f", n, t }' "$SCRATCH/out/computed.$YESTERDAY.there")"
}

# A new business day, and a payment of yesterday that comes to light only now.
the_next_day()
{
	local before

	before=$(asked metricsuser "SELECT count(*), md5(string_agg(p::text, ',' ORDER BY loan_id)) FROM seedsmetrics.par15_snapshots AS p
		WHERE snapshot_date = '$YESTERDAY'")
	LATE_LOAN=$(asked metricsuser "SELECT min(loan_id::int) FROM seedsmetrics.par15_snapshots WHERE snapshot_date = '$YESTERDAY'")
	typed whadmin "SELECT seedsmetrics.begin_day('$TODAY');"
	asked_django "INSERT INTO loans_ajoloanrepayment (ajo_loan_id, amount, paid_date) VALUES ($LATE_LOAN, 250000, '$YESTERDAY')"
	echo "Loan $LATE_LOAN, at risk yesterday, was paid back yesterday, as is learned today."
	synced repayments
	shown whadmin "SELECT template_name, period_start, status, method, rows, rows_inserted, rows_updated, rows_deleted, message
FROM _wh.wh_refresh(from_date => '$YESTERDAY', to_date => '$TODAY')
WHERE template_name LIKE '%daily' OR template_name = 'par15_snapshots' ORDER BY 1, 2;"
	expect "the metrics of yesterday have it" \
		"$(asked metricsuser "SELECT sum(collected) FROM seedsmetrics.officer_metrics_daily WHERE metric_date = '$YESTERDAY'")" \
		"$(asked_django "SELECT sum(amount) FROM loans_ajoloanrepayment WHERE paid_date = '$YESTERDAY'")"
	expect "yesterday's snapshot is as it was seen yesterday" \
		"$(asked metricsuser "SELECT count(*), md5(string_agg(p::text, ',' ORDER BY loan_id)) FROM seedsmetrics.par15_snapshots AS p
			WHERE snapshot_date = '$YESTERDAY'")" "$before"
	expect "today's is without that loan" "$(asked metricsuser "SELECT count(*) > 0, count(*) FILTER (WHERE loan_id = '$LATE_LOAN')
			FROM seedsmetrics.par15_snapshots WHERE snapshot_date = '$TODAY'")" "t|0"
}

# Corrections at the source: an amount, a loan, an instalment.
corrections()
{
	django <<-END
		UPDATE loans_ajoloanrepayment SET amount = amount + 1500, date_modified = now() WHERE id IN (100, 200, 300);
		UPDATE loans_ajoloanrepayment SET ajo_loan_id = 11, date_modified = now() WHERE id = 400;
		UPDATE loans_ajoloanschedule SET due_date = due_date + 7, date_modified = now() WHERE ajo_loan_id = 12;
	END
	echo "At the source, three amounts were wrong, a repayment was booked on the wrong loan, and loan 12 has a week more."
	synced repayments
	synced loan_schedule
	expect "the corrected amounts" "$(asked metricsuser "SELECT string_agg(amount::text, ' ' ORDER BY id) FROM seedsmetrics.repayments WHERE id IN (100, 200, 300)")" \
		"$(asked_django "SELECT string_agg(amount::text, ' ' ORDER BY id) FROM loans_ajoloanrepayment WHERE id IN (100, 200, 300)")"
}

# pg_cron syncs from here on, while borrowers pay: somebody new every second.
begin_to_run()
{
	shown whadmin "SELECT jobname, schedule, command FROM _wh.setup_cron('repayments', schedule => '* * * * *')
WHERE jobname LIKE '%repayments%' UNION ALL
SELECT jobname, schedule, command FROM _wh.setup_cron('loan_schedule', schedule => '* * * * *')
WHERE jobname LIKE '%loan_schedule%';"
	asked_django "SELECT pg_stat_statements_reset()" >/dev/null
	WATCHED=$SECONDS
	LAST_PAYMENT=$(asked_django "SELECT max(id) FROM loans_ajoloanrepayment")
	django -c "SET application_name = 'borrowers'" -c "DO \$\$ BEGIN
		FOR i IN 1 .. $((LOANS / 10 - 1)) LOOP
			INSERT INTO loans_ajoloanrepayment (ajo_loan_id, amount, paid_date)
			SELECT id, 3000, '$TODAY' FROM loans_ajoloan WHERE id = 10 * i AND is_disbursed;
			COMMIT;
			PERFORM pg_sleep(1);
		END LOOP;
	END \$\$" >/dev/null 2>&1 &
	echo "Borrowers pay, one a second; a job syncs every minute."
}

read_live()
{
	asked_django "UPDATE accounts_customuser SET user_branch = 'Lekki' WHERE id = 17"
	expect "a change at the source is seen at once" "$(asked metricsuser \
		"SELECT branch FROM seedsmetrics.officers_live WHERE officer_id = '17'")" Lekki
	shown metricsuser "SELECT officer_id, branch, count(*) AS loans, sum(loan_amount) AS lent, sum(total_outstanding) AS outstanding
FROM seedsmetrics.loans WHERE officer_id IN ('17', '18') GROUP BY 1, 2 ORDER BY 1;"
	expect "live and computed in one query" \
		"$(asked metricsuser "SELECT count(*), sum(loan_amount) FROM seedsmetrics.loans WHERE officer_id = '17'")" \
		"$(asked_django "SELECT count(*), sum(amount_disbursed) FROM loans_ajoloan WHERE agent_id = 17 AND is_disbursed")"
	expect "the dashboard has no mapping, and needs none" "$(asked postgres \
		"SELECT count(*) FROM pg_user_mappings WHERE srvname = 'django_db' AND usename = 'metricsuser'")" 0


	typed whadmin "CALL _wh.run_refresh('officers_cached');"
	asked_django "UPDATE accounts_customuser SET user_branch = 'Yaba' WHERE id = 17"
	expect "a cached copy is as of its refresh" "$(asked metricsuser "SELECT c.branch, l.branch
		FROM seedsmetrics.officers_cached AS c JOIN seedsmetrics.officers_live AS l USING (officer_id) WHERE officer_id = '17'")" "Lekki|Yaba"
	typed whadmin "CALL _wh.run_refresh('officers_cached');"
	expect "and then of the next one" "$(asked metricsuser "SELECT branch FROM seedsmetrics.officers_cached WHERE officer_id = '17'")" Yaba
}

# The document followed by hand, in a database of its own, and its backend's
# queries on our templates.
as_the_document_does()
{
	local view key without

	warehouse postgres -c 'CREATE DATABASE by_hand OWNER metricsuser'
	by_hand -c 'CREATE SCHEMA seedsmetrics AUTHORIZATION metricsuser'
	as_server pg_dump -h "$SCRATCH/run" -p "$WAREHOUSE_PORT" -U postgres -t seedsmetrics.loans_computed postgres |
		by_hand >/dev/null
	by_hand -v host=127.0.0.1 -v port="$DJANGO_PORT" -f "$HERE/as_written.sql" >"$SCRATCH/out/as_written" 2>&1 ||
		{ cat "$SCRATCH/out/as_written"; die "DIFFERS: as_written.sql failed"; }
	expect "every statement of as_written.sql ran, with notices only" \
		"$(grep -cE 'ERROR|WARNING' "$SCRATCH/out/as_written" || true)" 0
	expect "those that PostgreSQL refuses, and why" \
		"$(by_hand -f "$HERE/as_written_refused.sql" 2>/dev/null | tr '\n' ' ')" "3F000 42883 42703 42P01 "
	by_hand -f "$HERE/replaced.sql" >/dev/null
	while read -r view key without; do
		expect "$view: by hand and by template, row by row" \
			"$(warehouse metricsuser -c "COPY (SELECT to_jsonb(v) - '$without' FROM seedsmetrics.$view AS v ORDER BY $key) TO STDOUT" | md5sum)" \
			"$(by_hand -c "COPY (SELECT to_jsonb(v) - '$without' FROM $view AS v ORDER BY $key) TO STDOUT" | md5sum)"
	done <<-END
		officers_live officer_id updated_at
		customers_live customer_id -
		loans loan_id -
	END
	warehouse metricsuser -At -f "$HERE/as_written_dashboard.sql" >"$SCRATCH/out/dashboard"
	expect "the dashboard's queries, as typed, read our templates" "$(wc -l <"$SCRATCH/out/dashboard")" "$(asked_django "
		SELECT (SELECT count(*) + 1 FROM accounts_customuser WHERE user_type LIKE '%AGENT')
			+ (SELECT count(*) FROM loans_ajoloan WHERE is_disbursed AND status = 'Active')")"
	warehouse whadmin -f "$HERE/replaced_warehouse.sql"
}

# What the dashboard keeps for itself.
own_tables()
{
	typed metricsuser "INSERT INTO seedsmetrics.audit_tracking (loan_id, note) VALUES ('$LATE_LOAN', 'called, has paid');"
	typed metricsuser "INSERT INTO seedsmetrics.team_members VALUES ('17', 'north'), ('18', 'south');"
	refused metricsuser "UPDATE seedsmetrics.loans_computed SET current_dpd = 0;"
	expect "it is the dashboard's own" "$(asked metricsuser "SELECT note, noted_by, team FROM seedsmetrics.audit_tracking
		JOIN seedsmetrics.loans USING (loan_id) LEFT JOIN seedsmetrics.team_members USING (officer_id)")" "called, has paid|metricsuser|$(
		asked metricsuser "SELECT team FROM seedsmetrics.team_members JOIN seedsmetrics.loans USING (officer_id) WHERE loan_id = '$LATE_LOAN'")"
}

# The job that has run on its own meanwhile.  How old a row was when it came is
# what the row itself says.
job_has_run()
{
	local waited=0 seconds

	until [ "$(asked postgres "SELECT count(*) FROM cron.job_run_details WHERE command LIKE '%repayments%' AND status = 'succeeded'")" != 0 ]; do
		sleep 1
		waited=$((waited + 1))
		[ $waited -lt 100 ] || die "DIFFERS: pg_cron ran nothing within $waited s"
	done
	seconds=$((SECONDS - WATCHED))
	shown metricsuser "SELECT count(*) AS paid_meanwhile, to_char(avg(synced_at - date_modified), 'MI:SS') AS mean_lag,
       to_char(max(synced_at - date_modified), 'MI:SS') AS longest_lag
FROM seedsmetrics.repayments WHERE id > $LAST_PAYMENT;"
	expect "repayments are here within 5 minutes" "$(asked metricsuser "SELECT count(*) > 0, max(synced_at - date_modified) < '5 minutes'
		FROM seedsmetrics.repayments WHERE id > $LAST_PAYMENT")" "t|t"
	measured_busy "$seconds"

	asked_django "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'borrowers'" >/dev/null
	warehouse whadmin -c "SELECT * FROM _wh.remove_cron('repayments')" -c "SELECT * FROM _wh.remove_cron('loan_schedule')" >/dev/null
	echo "The borrowers stop, and so does the job."
	synced repayments
}

# Tell how long the source has worked for us, of a number of seconds.
measured_busy()
{
	local total syncs

	IFS='|' read -r total syncs < <(asked_django "
		SELECT round((sum(ms) / 10 / $1)::numeric, 2), round((sum(ms) FILTER (WHERE query !~ '^(DECLARE|FETCH|CLOSE)') / 10 / $1)::numeric, 2)
		FROM (SELECT query, total_exec_time + total_plan_time AS ms FROM pg_stat_statements
			WHERE userid = 'readonly_user'::regrole) AS s")
	echo "measured: in $1 s Django's server worked $total % of the time for us (target: less than 5), $syncs % for syncs"
}

source_goes_down()
{
	stop_server django
	echo "Django's database is down."
	refused metricsuser "SELECT count(*) FROM seedsmetrics.officers_live;"
	refused whadmin "CALL _wh.run_refresh('repayments');"
	expect "computed fields and metrics stay readable" "$(asked metricsuser "SELECT (SELECT count(*) FROM seedsmetrics.loans_computed) > 0,
		(SELECT count(*) FROM seedsmetrics.branch_metrics_daily) > 0")" "t|t"
	start_server django
	shown whadmin "SELECT state, failures, sqlstate, error_message FROM _wh.v_breakers;"
	echo "It is back.  The warehouse would ask it again in a while; now is better."
	typed whadmin "SELECT _wh.reset_breaker('seedsmetrics');"
	synced repayments
	expect "and no failure is left" "$(asked whadmin "SELECT count(*) FROM _wh.v_recent_failures WHERE template_name = 'repayments'")" 0
}

# The document's table of targets, and what this machine takes.  Nothing is
# asserted: a busy machine would fail it.
measure()
{
	local what=$1 target=$2 sql=$3 run

	{ echo '\timing on'; for run in 1 2 3 4 5 6; do printf '%s \\g /dev/null\n' "$sql"; done; } |
		warehouse metricsuser | sed -n 's/^Time: \([0-9.]*\).*/\1/p' | sort -n | sed -n 3p |
		xargs printf 'measured: %-20s < %5s ms: %8.1f ms\n' "$what" "$target"
}

performance()
{
	measure 'Get All Officers' 200 'SELECT * FROM seedsmetrics.officers_live'
	measure 'Get Officer by ID' 50 "SELECT * FROM seedsmetrics.officers_live WHERE officer_id = '17'"
	measure 'Get All Loans' 1000 'SELECT * FROM seedsmetrics.loans'
	measure 'Get Loan by ID' 100 "SELECT * FROM seedsmetrics.loans WHERE loan_id = '4711'"
	measure 'Dashboard Load' 3000 "SELECT count(*), sum(l.loan_amount), sum(l.total_outstanding),
		(SELECT sum(par15) FROM seedsmetrics.branch_metrics_daily WHERE metric_date = '$TODAY'),
		(SELECT count(*) FROM seedsmetrics.par15_snapshots WHERE snapshot_date = '$TODAY')
		FROM seedsmetrics.loans AS l WHERE l.status = 'Active'"
}

need_server_packages
begin_scratch
DJANGO_PORT=$(free_port)
WAREHOUSE_PORT=$(free_port)

chapter "Building pg_warehouse and starting two servers"
build
make_servers
echo "Django's database on port $DJANGO_PORT, analytics on port $WAREHOUSE_PORT"

chapter "A bridge for live reads, a tenant for what is copied"
set_up
chapter "Repayments and schedules come; triggers compute"
first_sync
chapter "The day before, derived"
the_day_before
chapter "A new day, and a late repayment"
the_next_day
chapter "What was wrong at the source"
corrections
compare_computed "$TODAY"
chapter "It runs by itself"
begin_to_run
chapter "Officers, customers and loans, live"
read_live
chapter "The document's statements, as typed"
as_the_document_does
chapter "The dashboard's own tables"
own_tables
chapter "What the job did meanwhile"
job_has_run
compare_computed "$TODAY"
chapter "The source goes down"
source_goes_down
chapter "The document's targets"
performance

printf '\nAll of it is as it should be. [%d s]\n' $((SECONDS - SINCE))
