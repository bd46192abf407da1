/*
 * run.c
 *		_wh.extract_runs: one row per attempt; and the frame in which a piece
 *		of work runs contained.
 *
 * The row is written outside the work's subtransaction, so that the failure it
 * tells of cannot take it along.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "notify.h"
#include "run.h"
#include "spi.h"

/*
 * Did the last run before "r" of the same unit fail, or, of what has no
 * template, one that nothing has mended since?
 */
#define MENDS_UNIT \
	"(SELECT p.status <> 'loaded' FROM _wh.extract_runs AS p" \
	" WHERE p.template_name = r.template_name AND p.tenant_name = r.tenant_name" \
	" AND p.period_start = r.period_start AND p.run_id < r.run_id" \
	" AND p.period_kind IS NOT DISTINCT FROM r.period_kind" \
	" AND p.status IN ('loaded', 'failed', 'lost')" \
	" AND (p.kind = 'rollup') = (r.kind = 'rollup')" \
	" ORDER BY p.run_id DESC LIMIT 1)"
#define MENDS_OTHER \
	"EXISTS (SELECT FROM _wh.v_recent_failures AS f" \
	" WHERE f.template_name IS NULL AND f.table_name = r.table_name)"

/* Runs of a tenant, and maintenance that tells of one. */
#define ABOUT_TENANT \
	"(tenant_name = $1 OR kind = 'maintenance'" \
	" AND pg_catalog.strpos(error_message, $1) > 0)"

static void tell(const WhRun *run, bool mended);
static bool is_new_drift(const WhRun *run);
static WhSync *find_sync(const char *condition, WhArg arg);
static bool report_sync(const char *assignments, const WhArg *args, int nargs);
static char *service_instance(void);

/*
 * Insert the row of an attempt that begins now.
 */
void
wh_run_start(WhRun *run, const char *kind)
{
	WhArg		args[10];

	run->started_at = GetCurrentTimestamp();

	args[0] = wh_text(kind);
	args[1] = wh_text(run->template_name);
	args[2] = wh_text(run->tenant_name);
	args[3] = wh_text(run->table_name);
	args[4] = run->period ? wh_date(run->period->start) : wh_null(DATEOID);
	args[5] = wh_timestamptz(run->started_at);
	args[6] = wh_text(service_instance());
	args[7] = wh_int4(MyProcPid);
	args[8] = wh_text(run->period ? wh_period_kind_name(run->period->kind) : NULL);
	args[9] = wh_int4(run->attempts + 1);

	run->run_id = wh_ledger("INSERT INTO _wh.extract_runs (kind, template_name,"
							" tenant_name, table_name, period_start,"
							" run_started_at, service_instance, backend_pid,"
							" period_kind, attempt)"
							" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
							" RETURNING run_id",
							args, lengthof(args));
}

/*
 * Write the final state.  Counters are kept for loaded runs only: a failed one
 * changed nothing, though what it read may be archived.
 */
void
wh_run_finish(const WhRun *run)
{
	const ErrorData *error = run->error;
	bool		loaded = strcmp(run->status, "loaded") == 0;
	const WhArchived *archived = &run->archived;
	bool		is_archived = archived->path != NULL;
	const char *mends = run->template_name ? MENDS_UNIT : MENDS_OTHER;
	bool		mended;
	WhArg		args[28];
	int			n = 0;

	args[n++] = wh_int8(run->run_id);
	args[n++] = wh_text(run->status);
	args[n++] = wh_timestamptz(GetCurrentTimestamp());
	args[n++] = loaded ? wh_int8(run->rows_extracted) :
		is_archived ? wh_int8(archived->rows) : wh_null(INT8OID);
	args[n++] = loaded ? wh_int8(run->rows_inserted + run->rows_updated +
								 run->rows_unchanged) : wh_null(INT8OID);
	args[n++] = loaded ? wh_int8(run->rows_inserted) : wh_null(INT8OID);
	args[n++] = loaded ? wh_int8(run->rows_updated) : wh_null(INT8OID);
	args[n++] = loaded ? wh_int8(run->rows_deleted) : wh_null(INT8OID);
	args[n++] = loaded ? wh_int8(run->rows_unchanged) : wh_null(INT8OID);
	args[n++] = loaded ? wh_int8(run->bytes) : wh_null(INT8OID);
	args[n++] = loaded ? wh_float8(run->fetch_ms) : wh_null(FLOAT8OID);
	args[n++] = loaded ? wh_float8(run->load_ms) : wh_null(FLOAT8OID);
	args[n++] = loaded ? wh_float8(run->lock_ms) : wh_null(FLOAT8OID);
	args[n++] = wh_text(run->method);
	args[n++] = wh_text(error ? pstrdup(unpack_sql_state(error->sqlerrcode)) : NULL);
	args[n++] = wh_text(error ? wh_error_category(error->sqlerrcode, run->fault) : NULL);
	args[n++] = wh_text(error ? error->message : run->reason);
	args[n++] = wh_text(error ? error->detail : NULL);
	args[n++] = wh_text(error ? error->hint : NULL);
	args[n++] = wh_text(loaded ? run->choice : NULL);
	args[n++] = wh_text_array(loaded ? run->drift : NIL);
	args[n++] = wh_text(archived->path);
	args[n++] = is_archived ? wh_int8(archived->bytes) : wh_null(INT8OID);
	args[n++] = wh_text(archived->sha256);
	args[n++] = wh_text(archived->problem);
	args[n++] = run->replays != 0 ? wh_int8(run->replays) : wh_null(INT8OID);
	args[n++] = wh_text(run->input);
	args[n++] = wh_text(loaded ? run->inputs : NULL);

	mended = wh_ledger(psprintf("UPDATE _wh.extract_runs AS r SET status = $2,"
								" run_finished_at = $3, rows_extracted = $4,"
								" rows_loaded = $5, rows_inserted = $6, rows_updated = $7,"
								" rows_deleted = $8, rows_unchanged = $9, bytes = $10,"
								" fetch_ms = $11, load_ms = $12, lock_ms = $13,"
								" method = $14, sqlstate = $15, error_category = $16,"
								" error_message = $17, error_detail = $18,"
								" error_hint = $19, context = NULLIF("
								"   pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object("
								"     'reason', $20, 'drift', pg_catalog.to_jsonb($21),"
								"     'not_archived', $25, 'replays', $26,"
								"     'input', $27, 'inputs', $28::pg_catalog.jsonb)), '{}'),"
								" csv_path = $22, csv_bytes = $23, csv_sha256 = $24"
								" WHERE run_id OPERATOR(pg_catalog.=) $1"
								" RETURNING CASE WHEN $2 = 'loaded' AND %s THEN 1::bigint"
								" ELSE 0 END", mends),
					   args, n) > 0;
	tell(run, mended);
}

/*
 * Tell listeners what they should know: a failure, the first success after one,
 * and columns that the source has changed since the last success.
 */
static void
tell(const WhRun *run, bool mended)
{
	const ErrorData *error = run->error;
	WhNews		news[] = {
		{"run_id",.number = run->run_id},
		{"template",.value = run->template_name},
		{"tenant",.value = run->tenant_name},
		{"table",.value = run->table_name},
		{"period_start",.value = run->period && run->period->kind != WH_WHOLE ?
		wh_date_text(run->period->start) : NULL},
		{"status",.value = run->status},
		{"sqlstate",.value = error ? unpack_sql_state(error->sqlerrcode) : NULL},
		{"category",.value = error ? wh_error_category(error->sqlerrcode, run->fault) : NULL},
		{"message",.value = error ? error->message : NULL},
		{"hint",.value = error ? error->hint : NULL},
	{"changes",.list = run->drift}};

	if (error != NULL)
		wh_notify("failed", news, lengthof(news));
	else if (mended)
		wh_notify("recovered", news, lengthof(news));
	if (run->drift != NIL && is_new_drift(run))
		wh_notify("drift", news, lengthof(news));
}

/*
 * Has the last success of that template and tenant adapted to something else?
 */
static bool
is_new_drift(const WhRun *run)
{
	WhArg		args[4];
	bool		known;

	args[0] = wh_text(run->template_name);
	args[1] = wh_text(run->tenant_name);
	args[2] = wh_int8(run->run_id);
	args[3] = wh_text_array(run->drift);

	SPI_connect();
	known = wh_spi(SPI_OK_SELECT,
				   "SELECT FROM (SELECT r.context FROM _wh.extract_runs AS r"
				   "   WHERE r.template_name OPERATOR(pg_catalog.=) $1"
				   "   AND r.tenant_name OPERATOR(pg_catalog.=) $2"
				   "   AND r.run_id OPERATOR(pg_catalog.<) $3"
				   "   AND r.status OPERATOR(pg_catalog.=) 'loaded'"
				   "   AND r.kind OPERATOR(pg_catalog.<>) 'rollup'"
				   "   ORDER BY r.run_id USING OPERATOR(pg_catalog.>) LIMIT 1) AS last"
				   " WHERE last.context OPERATOR(pg_catalog.->) 'drift'"
				   "   OPERATOR(pg_catalog.=) pg_catalog.to_jsonb($4)",
				   args, lengthof(args)) > 0;
	SPI_finish();

	return !known;
}

/*
 * Read a row; see run.h.
 */
void
wh_run_read(WhRun *run)
{
	MemoryContext caller = CurrentMemoryContext;
	WhArg		arg = wh_int8(run->run_id);
	char	   *sqlstate;
	char	   *message;
	int			col = 1;

	SPI_connect();
	if (wh_spi(SPI_OK_SELECT,
			   "SELECT status, method, rows_extracted, rows_inserted,"
			   " rows_updated, rows_deleted, rows_unchanged, bytes, fetch_ms,"
			   " load_ms, lock_ms, context OPERATOR(pg_catalog.->>) 'not_archived',"
			   " sqlstate, error_message, error_detail, error_hint FROM _wh.extract_runs"
			   " WHERE run_id OPERATOR(pg_catalog.=) $1", &arg, 1) != 1)
		elog(ERROR, "run " INT64_FORMAT " is not in the log", run->run_id);

	/* Copy out while the SPI result is still there. */
	MemoryContextSwitchTo(caller);
	run->status = wh_col_text(0, col++);
	run->method = wh_col_text(0, col++);
	run->rows_extracted = wh_col_int8(0, col++, 0);
	run->rows_inserted = wh_col_int8(0, col++, 0);
	run->rows_updated = wh_col_int8(0, col++, 0);
	run->rows_deleted = wh_col_int8(0, col++, 0);
	run->rows_unchanged = wh_col_int8(0, col++, 0);
	run->bytes = wh_col_int8(0, col++, 0);
	run->fetch_ms = wh_col_float8(0, col++, 0);
	run->load_ms = wh_col_float8(0, col++, 0);
	run->lock_ms = wh_col_float8(0, col++, 0);
	run->archived.problem = wh_col_text(0, col++);
	sqlstate = wh_col_text(0, col++);
	message = wh_col_text(0, col++);
	if (sqlstate != NULL)
	{
		run->error = (ErrorData *) palloc0(sizeof(ErrorData));
		run->error->elevel = ERROR;
		run->error->sqlerrcode = MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2],
											   sqlstate[3], sqlstate[4]);
		run->error->message = message;
		run->error->detail = wh_col_text(0, col++);
		run->error->hint = wh_col_text(0, col++);
	}
	else
		run->reason = message;
	SPI_finish();
}

/*
 * Mark a run as lost; see run.h.
 */
void
wh_run_lost(WhRun *run)
{
	if (run->run_id == 0)
		wh_run_start(run, "refresh");

	run->status = "lost";
	run->error = (ErrorData *) palloc0(sizeof(ErrorData));
	run->error->elevel = ERROR;
	run->error->sqlerrcode = ERRCODE_ADMIN_SHUTDOWN;
	run->error->message = "the run is lost: its background worker ended before it did";
	run->error->detail = "It was terminated, or it failed; the old rows are as they were.";
	run->error->hint = "See the server's log, and run it again.";
	wh_run_finish(run);
}

/*
 * Mark what dead runs left behind; see run.h.  A run whose statement is still
 * being executed is not dead: it has told the log that it begins and is about
 * to find that we hold the lock.
 */
void
wh_run_reap(const WhRun *run)
{
	WhArg		args[5];

	args[0] = wh_text(run->template_name);
	args[1] = wh_text(run->tenant_name);
	args[2] = wh_int8(run->run_id);
	args[3] = wh_timestamptz(GetCurrentTimestamp());
	args[4] = wh_text(run->table_name);

	(void) wh_ledger("UPDATE _wh.extract_runs AS r SET status = 'lost',"
					 " run_finished_at = $4, error_category = 'local',"
					 " error_message = 'the run ended without a word',"
					 " error_hint = 'See the server log around run_started_at."
					 " The next refresh heals it.'"
					 " WHERE CASE WHEN $1 IS NULL"
					 " THEN r.template_name IS NULL"
					 "   AND r.kind OPERATOR(pg_catalog.<>) 'sync'"
					 "   AND r.table_name OPERATOR(pg_catalog.=) $5"
					 " ELSE r.template_name OPERATOR(pg_catalog.=) $1"
					 "   AND r.tenant_name OPERATOR(pg_catalog.=) $2 END"
					 " AND r.status IN ('extracting', 'uploaded')"
					 " AND r.run_id OPERATOR(pg_catalog.<>) $3"
					 " AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a"
					 "   WHERE a.pid OPERATOR(pg_catalog.=) r.backend_pid"
					 "   AND a.state OPERATOR(pg_catalog.=) 'active'"
					 "   AND a.query_start OPERATOR(pg_catalog.<=) r.run_started_at)",
					 args, lengthof(args));
}

/*
 * Do one piece of work so that its failure stays its own; see run.h.
 *
 * A remote 57014 or 57P01 is the tenant's failure, or the archive's; a local
 * one is the user speaking: told apart by the mark that was set where the error
 * was raised.
 */
void
wh_run_contained(WhRun *run, void (*work) (WhRun *run, void *arg), void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext unit = AllocSetContextCreate(caller, "pg_warehouse unit",
											   ALLOCSET_DEFAULT_SIZES);
	ErrorData  *volatile error = NULL;

	run->context = caller;
	run->postponed = run->may_pass = run->server_failed = false;
	wh_remote_failed_reset();
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(unit);

	PG_TRY();
	{
		work(run, arg);

		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();

		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(unit);
	CurrentResourceOwner = owner;

	if (error == NULL)
		return;

	run->fault = wh_fault();
	if (run->fault == WH_FAULT_OURS &&
		(error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		 error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN))
		ReThrowError(error);

	run->error = error;
	run->status = "failed";
	run->postponed = wh_postponed();
	run->may_pass = !run->postponed &&
		wh_error_may_pass(error->sqlerrcode, run->fault == WH_FAULT_TENANT);
	run->server_failed = run->fault == WH_FAULT_TENANT &&
		wh_error_is_servers(error->sqlerrcode);
}

/*
 * Ask the log for a day's last comparison; see run.h.
 */
bool
wh_run_rechecked(const char *template_name, const char *tenant, DateADT day,
				 TimestampTz since)
{
	WhArg		args[4];
	bool		found;

	args[0] = wh_text(template_name);
	args[1] = wh_text(tenant);
	args[2] = wh_date(day);
	args[3] = wh_timestamptz(since);

	SPI_connect();
	found = wh_spi(SPI_OK_SELECT,
				   "SELECT FROM _wh.extract_runs"
				   " WHERE template_name OPERATOR(pg_catalog.=) $1"
				   " AND tenant_name OPERATOR(pg_catalog.=) $2"
				   " AND period_start OPERATOR(pg_catalog.=) $3"
				   " AND run_started_at OPERATOR(pg_catalog.>=) $4"
				   " AND kind OPERATOR(pg_catalog.<>) 'rollup'"
				   " AND (status OPERATOR(pg_catalog.=) 'loaded'"
				   "   OR kind OPERATOR(pg_catalog.=) 'reconcile'"
				   "   AND error_category OPERATOR(pg_catalog.=) 'data')"
				   " LIMIT 1", args, lengthof(args)) > 0;
	SPI_finish();

	return found;
}

/*
 * Add up what a tenant was asked for; see run.h.  A run that does not say how
 * long it read took all of its time for that.
 */
void
wh_run_spent(const char *tenant, TimestampTz since, int64 *bytes, double *ms)
{
	WhArg		args[] = {wh_text(tenant), wh_timestamptz(since)};

	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT,
				  "SELECT pg_catalog.sum(bytes)::bigint,"
				  " pg_catalog.sum(COALESCE(fetch_ms, extract(epoch FROM"
				  "   run_finished_at OPERATOR(pg_catalog.-) run_started_at)::double precision"
				  "   OPERATOR(pg_catalog.*) 1000::double precision))"
				  " FROM _wh.extract_runs"
				  " WHERE tenant_name OPERATOR(pg_catalog.=) $1"
				  " AND run_started_at OPERATOR(pg_catalog.>=) $2"
				  " AND status IN ('loaded', 'failed')"
				  " AND kind IN ('refresh', 'reconcile')", args, lengthof(args));
	*bytes = wh_col_int8(0, 1, 0);
	*ms = wh_col_float8(0, 2, 0);
	SPI_finish();
}

int64
wh_runs_count(const char *tenant)
{
	WhArg		arg = wh_text(tenant);

	return wh_ledger("SELECT pg_catalog.count(*) FROM _wh.extract_runs WHERE " ABOUT_TENANT,
					 &arg, 1);
}

void
wh_runs_forget(const char *tenant)
{
	WhArg		arg = wh_text(tenant);

	(void) wh_ledger("DELETE FROM _wh.extract_runs WHERE " ABOUT_TENANT, &arg, 1);
}

/*
 * Say what happened to a run that did not load.
 */
void
wh_run_warn(const WhRun *run)
{
	const ErrorData *error = run->error;

	if (error == NULL)
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("%s", run->reason)));
	else
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg_internal("%s", error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0,
				 error->hint ? errhint("%s", error->hint) : 0));
}

void
wh_run_warn_of_archive(const WhRun *run)
{
	bool		whole = run->period == NULL || run->period->kind == WH_WHOLE;

	if (run->archived.problem == NULL)
		return;

	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("rows are loaded and not archived: %s", run->archived.problem),
			 errdetail("Tenant \"%s\", template \"%s\"%s%s.", run->tenant_name,
					   run->template_name, whole ? "" : ", day ",
					   whole ? "" : wh_date_text(run->period->start)),
			 errhint("SELECT * FROM _wh.wh_doctor() WHERE check_name = 'archive';")));
}

/*
 * Append what failed as a JSON object; see run.h.
 */
void
wh_run_error_json(StringInfo json, const WhRun *run)
{
	const char *const names[] = {"message", "detail", "hint"};
	const char *const texts[] = {run->error->message, run->error->detail, run->error->hint};

	appendStringInfo(json, "{\"sqlstate\": \"%s\"",
					 unpack_sql_state(run->error->sqlerrcode));
	for (int i = 0; i < (int) lengthof(names); i++)
	{
		appendStringInfo(json, ", \"%s\": ", names[i]);
		if (texts[i] != NULL)
			escape_json(json, texts[i]);
		else
			appendStringInfoString(json, "null");
	}
	appendStringInfoChar(json, '}');
}

bool
wh_run_unit(int64 run_id, char **template_name, char **tenant, DateADT *day)
{
	MemoryContext caller = CurrentMemoryContext;
	WhArg		args[] = {wh_int8(run_id)};
	bool		found;

	SPI_connect();
	found = wh_spi(SPI_OK_SELECT,
				   "SELECT template_name, tenant_name, period_start"
				   " FROM _wh.extract_runs"
				   " WHERE run_id OPERATOR(pg_catalog.=) $1"
				   " AND template_name IS NOT NULL AND tenant_name IS NOT NULL"
				   " AND period_start IS NOT NULL",
				   args, lengthof(args)) == 1;
	if (found)
	{
		MemoryContextSwitchTo(caller);
		*template_name = wh_col_text(0, 1);
		*tenant = wh_col_text(0, 2);
		*day = wh_col_date(0, 3);
	}
	SPI_finish();

	return found;
}

/*
 * Begin a sync; see run.h.  The unique index of running syncs decides between
 * two that begin at once.
 */
int64
wh_sync_start(const char *sync_type, Jsonb *metadata,
			  const Interval *expect_within, const char *instance)
{
	WhArg		args[5];

	args[0] = wh_text(sync_type);
	args[1] = wh_timestamptz(GetCurrentTimestamp());
	args[2] = wh_jsonb(metadata);
	args[3].typid = INTERVALOID;
	args[3].value = IntervalPGetDatum(expect_within);
	args[3].isnull = false;
	args[4] = wh_text(instance);

	(void) wh_ledger("UPDATE _wh.extract_runs SET status = 'lost',"
					 " run_finished_at = $2, error_category = 'local',"
					 " error_message = 'no progress within the time that it expected',"
					 " error_hint = 'See the service that ran it; its report still"
					 " counts when it comes.'"
					 " WHERE kind = 'sync' AND status = 'extracting'"
					 " AND table_name OPERATOR(pg_catalog.=) $1"
					 " AND expected_by OPERATOR(pg_catalog.<=) $2",
					 args, 2);

	return wh_ledger("INSERT INTO _wh.extract_runs (kind, table_name,"
					 " run_started_at, context, expect_within, expected_by,"
					 " service_instance)"
					 " VALUES ('sync', $1, $2, $3, $4,"
					 " $2 OPERATOR(pg_catalog.+) $4, $5)"
					 " ON CONFLICT DO NOTHING RETURNING run_id",
					 args, lengthof(args));
}

WhSync *
wh_sync_find(int64 run_id)
{
	return find_sync("run_id OPERATOR(pg_catalog.=) $1", wh_int8(run_id));
}

WhSync *
wh_sync_running(const char *sync_type)
{
	return find_sync("table_name OPERATOR(pg_catalog.=) $1"
					 " AND status OPERATOR(pg_catalog.=) 'extracting'",
					 wh_text(sync_type));
}

/*
 * Note progress: the time that is left begins anew.
 */
bool
wh_sync_progress(const WhSyncReport *report)
{
	WhArg		args[4];

	args[0] = wh_int8(report->run_id);
	args[1] = wh_int8(report->records);
	args[2] = report->has_latest ? wh_timestamptz(report->latest) : wh_null(TIMESTAMPTZOID);
	args[3] = wh_timestamptz(GetCurrentTimestamp());

	return report_sync("rows_extracted = $2,"
					   " latest_timestamp = coalesce($3, latest_timestamp),"
					   " expected_by = $4 OPERATOR(pg_catalog.+) expect_within",
					   args, lengthof(args));
}

bool
wh_sync_complete(const WhSyncReport *report)
{
	WhArg		args[5];

	args[0] = wh_int8(report->run_id);
	args[1] = wh_int8(report->records);
	args[2] = report->has_latest ? wh_timestamptz(report->latest) : wh_null(TIMESTAMPTZOID);
	args[3] = wh_timestamptz(GetCurrentTimestamp());
	args[4] = wh_jsonb(report->metadata);

	return report_sync("status = 'loaded', run_finished_at = $4,"
					   " rows_extracted = $2, rows_loaded = $2,"
					   " latest_timestamp = coalesce($3, latest_timestamp),"
					   " context = CASE WHEN $5 IS NULL THEN context"
					   " ELSE coalesce(context, '{}') OPERATOR(pg_catalog.||) $5 END,"
					   " error_category = NULL, error_message = NULL, error_hint = NULL",
					   args, lengthof(args));
}

bool
wh_sync_fail(int64 run_id, const char *message, const char *category)
{
	WhArg		args[4];

	args[0] = wh_int8(run_id);
	args[1] = wh_text(message);
	args[2] = wh_text(category);
	args[3] = wh_timestamptz(GetCurrentTimestamp());

	return report_sync("status = 'failed', run_finished_at = $4,"
					   " error_message = $2, error_category = $3, error_hint = NULL",
					   args, lengthof(args));
}

static WhSync *
find_sync(const char *condition, WhArg arg)
{
	MemoryContext caller = CurrentMemoryContext;
	WhSync	   *sync = NULL;

	SPI_connect();
	if (wh_spi(SPI_OK_SELECT,
			   psprintf("SELECT run_id, table_name, status, service_instance"
						" FROM _wh.extract_runs"
						" WHERE kind OPERATOR(pg_catalog.=) 'sync' AND %s", condition),
			   &arg, 1) == 1)
	{
		/* Copy out while the SPI result is still there. */
		MemoryContextSwitchTo(caller);
		sync = (WhSync *) palloc(sizeof(WhSync));
		sync->run_id = wh_col_int8(0, 1, 0);
		sync->sync_type = wh_col_text(0, 2);
		sync->status = wh_col_text(0, 3);
		sync->service_instance = wh_col_text(0, 4);
	}
	SPI_finish();

	return sync;
}

/*
 * Assign to the row of sync $1 while its service may still speak: it runs, or
 * was given up too early.
 */
static bool
report_sync(const char *assignments, const WhArg *args, int nargs)
{
	return wh_ledger(psprintf("UPDATE _wh.extract_runs SET %s"
							  " WHERE run_id OPERATOR(pg_catalog.=) $1"
							  " AND kind = 'sync'"
							  " AND status IN ('extracting', 'lost')", assignments),
					 args, nargs) > 0;
}

/*
 * Name the backend that runs: system identifier / host:port / pid.
 */
static char *
service_instance(void)
{
	char		host[256];

	if (gethostname(host, sizeof(host)) != 0)
		strlcpy(host, "unknown", sizeof(host));
	host[sizeof(host) - 1] = '\0';

	return psprintf(UINT64_FORMAT "/%s:%d/%d", GetSystemIdentifier(), host,
					PostPortNumber, MyProcPid);
}
