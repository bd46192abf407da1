/*
 * verify.c
 *		_wh.verify_gates(): whether a template is ready to be deployed, whether
 *		its first run has brought what the source has, and whether it has been
 *		well since.
 *
 * What doctor, test_tenant and the status views find is asked of them, for one
 * template; only what they do not ask is asked here.  A gate is contained: what
 * fails is its row, and the next one is looked at.  Nothing is changed.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "doctor.h"
#include "fetch.h"
#include "keyed.h"
#include "live.h"
#include "local.h"
#include "matview.h"
#include "parity.h"
#include "pool.h"
#include "probe.h"
#include "refresh.h"
#include "run.h"
#include "session.h"
#include "settings.h"
#include "spi.h"
#include "upload.h"
#include "watermark.h"

/* A seed may be ahead of our clock by this much: sources have their own. */
#define SEED_TOLERANCE ((int64) 2 * USECS_PER_HOUR)

/* Rows of the latest day, as parts of the week's median; and of how many days. */
#define LEAST_RATE 0.5
#define MOST_RATE 2.0
#define LEAST_DAYS 3

/* What is not read by a watermark may differ by what was written meanwhile. */
#define IN_FLIGHT 0.01

typedef enum Verdict
{
	GATE_CLOSED,
	GATE_OPEN,
	GATE_UNKNOWN				/* cannot be told yet */
} Verdict;

/* One template at one tenant. */
typedef struct Gates
{
	ReturnSetInfo *rsinfo;
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	const char *phase;
	bool		reached;		/* the tenant lets us in */
	bool		columns_fit;	/* set by check_source() */
} Gates;

/* What count_rows() is to count. */
typedef struct Counting
{
	const Gates *gates;
	WhParity	parity;
} Counting;

PG_FUNCTION_INFO_V1(wh_verify_gates);

static void verify(ReturnSetInfo *rsinfo, const WhTemplate *tmpl,
				   const WhTenant *tenant);
static void pre_deploy(Gates *gates);
static void check_roles(Gates *gates);
static void check_schema(WhRun *run, void *arg);
static void check_watermark(Gates *gates);
static void check_archive(WhRun *run, void *arg);
static void check_connection(Gates *gates);
static void check_source(WhRun *run, void *arg);
static void first_run(Gates *gates);
static void count_rows(WhRun *run, void *arg);
static void judge_counts(const Gates *gates, const WhParity *parity);
static void judge_geometries(const Gates *gates, const WhParity *parity);
static void check_archived(Gates *gates);
static void steady_state(Gates *gates);
static void check_freshness(Gates *gates);
static void check_failures(Gates *gates);
static void check_rate(Gates *gates);
static void put(const Gates *gates, const char *gate, Verdict verdict, const char *detail);
static void put_error(const Gates *gates, const char *gate, const ErrorData *error);
static char *joined(const List *lines);

/*
 * _wh.verify_gates(template, tenant) returns setof
 */
Datum
wh_verify_gates(PG_FUNCTION_ARGS)
{
	WhRequest	request = {0};
	WhPool	   *pool;
	WhRole		caller;
	ListCell   *lc;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("template must not be null")));
	InitMaterializedSRF(fcinfo, 0);
	wh_check_outbound();

	wh_become_owner(&caller);
	wh_request_resolve(&request, text_to_cstring(PG_GETARG_TEXT_PP(0)),
					   PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)));
	pool = wh_pool_open();
	PG_TRY();
	{
		wh_session_purpose("verify");
		foreach(lc, request.tenants)
			verify((ReturnSetInfo *) fcinfo->resultinfo,
				   (const WhTemplate *) linitial(request.templates),
				   (const WhTenant *) lfirst(lc));
	}
	PG_FINALLY();
	{
		wh_session_purpose(NULL);
	}
	PG_END_TRY();
	wh_pool_close(pool);
	wh_role_leave(&caller);

	return (Datum) 0;
}

static void
verify(ReturnSetInfo *rsinfo, const WhTemplate *tmpl, const WhTenant *tenant)
{
	Gates		gates = {.rsinfo = rsinfo,.tmpl = tmpl,.tenant = tenant};

	if (!wh_template_applies(tmpl, tenant))
		return;

	pre_deploy(&gates);
	first_run(&gates);
	steady_state(&gates);
}

/*
 * What must hold before a job is set up.
 */
static void
pre_deploy(Gates *gates)
{
	WhRun		run = {0};

	gates->phase = "pre_deploy";
	check_roles(gates);
	wh_run_contained(&run, check_schema, gates);
	if (run.error != NULL)
		put_error(gates, "schema", run.error);
	if (wh_template_is_incremental(gates->tmpl))
		check_watermark(gates);
	if (gates->tmpl->archive)
	{
		memset(&run, 0, sizeof(run));
		wh_run_contained(&run, check_archive, gates);
		if (run.error != NULL)
			put_error(gates, "archive", run.error);
	}

	check_connection(gates);
	if (!gates->reached)
	{
		put(gates, "columns", GATE_UNKNOWN, "the tenant was not reached");
		return;
	}
	memset(&run, 0, sizeof(run));
	wh_run_contained(&run, check_source, gates);
	if (run.error != NULL)
		put_error(gates, gates->columns_fit ? "key" : "columns", run.error);
}

/*
 * The three roles: attributes, grants, and what the reader may read.
 */
static void
check_roles(Gates *gates)
{
	List	   *problems = list_concat(wh_doctor_findings("owner_role"),
									   list_concat(wh_doctor_findings("grants"),
												   wh_doctor_findings("readers")));

	put(gates, "roles", problems == NIL ? GATE_OPEN : GATE_CLOSED,
		problems == NIL ? "owner, reader and monitor have what they need" : joined(problems));
}

static void
check_schema(WhRun *run, void *arg)
{
	Gates	   *gates = (Gates *) arg;
	bool		exists = wh_matview_schema_exists(gates->tenant);

	put(gates, "schema", exists ? GATE_OPEN : GATE_CLOSED,
		psprintf("schema \"%s\" %s", gates->tenant->schema,
				 exists ? "is there and the owner's" : "is gone; a refresh makes it anew"));
	run->status = "loaded";
}

/*
 * A table without a watermark is read from its beginning.  One that was seeded
 * with a time to come would read nothing, and nobody would notice.
 */
static void
check_watermark(Gates *gates)
{
	const WhWatermark *watermark = wh_watermark(gates->tmpl->name, gates->tenant->name);
	TimestampTz seed = watermark->last_extracted_at;

	if (seed == DT_NOBEGIN)
		put(gates, "watermark", GATE_OPEN, "not set: the next run reads all that the source has");
	else if (seed > GetCurrentTimestamp() + SEED_TOLERANCE &&
			 seed > watermark->source_clock)
		put(gates, "watermark", GATE_CLOSED,
			psprintf("%s is yet to come: nothing would be read until then; SELECT _wh.reseed(%s, %s);",
					 timestamptz_to_str(seed), quote_literal_cstr(gates->tmpl->name),
					 quote_literal_cstr(gates->tenant->name)));
	else
		put(gates, "watermark", GATE_OPEN,
			psprintf("the next run reads on from %s", timestamptz_to_str(seed)));
}

/*
 * The contained work: what a run would put there is put, read and removed.
 */
static void
check_archive(WhRun *run, void *arg)
{
	wh_probe_archive();
	put((Gates *) arg, "archive", GATE_OPEN, "what is put there can be read again and removed");
	run->status = "loaded";
}

/*
 * Every step of _wh.test_tenant(); a derived query needs none.
 */
static void
check_connection(Gates *gates)
{
	List	   *lines = NIL;
	ListCell   *lc;

	gates->reached = true;
	if (wh_template_is_local(gates->tmpl))
		return;
	foreach(lc, wh_probe_faults(gates->tenant))
	{
		const WhProbeFault *fault = (const WhProbeFault *) lfirst(lc);

		gates->reached &= !fault->failed;
		lines = lappend(lines, psprintf("%s: %s", fault->step, fault->detail));
	}
	put(gates, "connection", gates->reached ? GATE_OPEN : GATE_CLOSED,
		lines == NIL ? "every step of test_tenant() succeeds" : joined(lines));
}

/*
 * The contained work: today's query described, and, where that is what a
 * refresh goes by, its key and watermark proved.
 */
static void
check_source(WhRun *run, void *arg)
{
	Gates	   *gates = (Gates *) arg;
	const WhTemplate *tmpl = gates->tmpl;
	WhPeriod	period = wh_template_is_daily(tmpl) ?
	wh_period_day(wh_date_at(GetCurrentTimestamp(), gates->tenant->time_zone)) : wh_period_whole();
	const char *subject = psprintf("Tenant \"%s\", template \"%s\".", gates->tenant->name, tmpl->name);
	char	   *query = wh_fetch_query(tmpl, gates->tenant, &period);
	WhLease    *lease = NULL;
	WhRemoteColumns *remote;

	run->status = "loaded";
	if (wh_template_is_live(tmpl))
		remote = wh_live_describe(tmpl, gates->tenant);
	else if (wh_template_is_local(tmpl))
		remote = wh_describe_of(wh_local_columns(tmpl, gates->tenant, &period));
	else
	{
		lease = wh_pool_take(gates->tenant, subject);
		remote = wh_describe(lease->conn, query);
	}
	(void) wh_describe_check(remote, tmpl, subject);
	gates->columns_fit = true;
	put(gates, "columns", GATE_OPEN, "the query has the columns that the template declares");
	if (wh_template_is_incremental(tmpl))
	{
		wh_keyed_check(lease->conn, tmpl, query, remote);
		put(gates, "key", GATE_OPEN, "the key is unique and never null at the source, the watermark is the row's own");
	}
	if (lease != NULL)
		wh_pool_give(lease);
}

/*
 * What must hold once it has run.
 */
static void
first_run(Gates *gates)
{
	Counting	counting = {.gates = gates};
	const WhSlice *slice = wh_parity_slice(gates->tmpl, gates->tenant);
	WhRun		run = {0};

	gates->phase = "first_run";
	if (slice == NULL)
	{
		put(gates, "loaded", GATE_CLOSED,
			psprintf("nothing is loaded: SELECT * FROM _wh.wh_refresh(%s, %s);",
					 quote_literal_cstr(gates->tmpl->name),
					 quote_literal_cstr(gates->tenant->name)));
		return;
	}
	if (wh_template_is_live(gates->tmpl))
	{
		put(gates, "loaded", GATE_OPEN,
			psprintf("made by run " INT64_FORMAT "; no rows are kept", slice->run_id));
		return;
	}
	put(gates, "loaded", GATE_OPEN,
		psprintf("by run " INT64_FORMAT ", " INT64_FORMAT " rows", slice->run_id,
				 slice->row_count));
	if (gates->tmpl->archive)
		check_archived(gates);
	if (!gates->reached)
	{
		put(gates, "row_count", GATE_UNKNOWN, "the tenant was not reached");
		return;
	}

	counting.parity.slice = slice;
	wh_run_contained(&run, count_rows, &counting);
	if (run.error != NULL)
	{
		put_error(gates, "row_count", run.error);
		return;
	}
	judge_counts(gates, &counting.parity);
	judge_geometries(gates, &counting.parity);
}

/*
 * The contained work; what is counted outlives it.
 */
static void
count_rows(WhRun *run, void *arg)
{
	Counting   *counting = (Counting *) arg;
	MemoryContext context = MemoryContextSwitchTo(run->context);

	wh_parity_count(&counting->parity, counting->gates->tmpl, counting->gates->tenant);
	MemoryContextSwitchTo(context);
	run->status = "loaded";
}

/*
 * Compare how many there are.  An incremental table is told exactly: all up to
 * its watermark, and of what was written since, no more than there is.
 */
static void
judge_counts(const Gates *gates, const WhParity *parity)
{
	const WhCounts *source = &parity->source;
	int64		stored = parity->stored.rows;
	int64		least = source->rows - source->later;
	int64		most = source->rows;
	const char *what = parity->slice->period.kind == WH_WHOLE ? "" :
	psprintf("%s %s: ", wh_period_kind_name(parity->slice->period.kind),
			 wh_date_text(parity->slice->period.start));
	StringInfoData detail;

	if (!wh_template_is_incremental(gates->tmpl))
	{
		least -= (int64) (IN_FLIGHT * (double) source->rows);
		most += (int64) (IN_FLIGHT * (double) source->rows);
	}

	initStringInfo(&detail);
	appendStringInfo(&detail, "%s" INT64_FORMAT " rows here, " INT64_FORMAT " at the source",
					 what, stored, source->rows);
	if (source->later > 0)
		appendStringInfo(&detail, ", " INT64_FORMAT " of them after the watermark", source->later);
	if (stored < least || stored > most)
		appendStringInfo(&detail, "; SELECT * FROM _wh.reconcile(%s, %s);",
						 quote_literal_cstr(gates->tmpl->name),
						 quote_literal_cstr(gates->tenant->name));
	put(gates, "row_count", stored >= least && stored <= most ? GATE_OPEN : GATE_CLOSED,
		detail.data);
}

/*
 * Compare how many geometries are null: what a text in between loses.  That
 * those which are not can be read is their type's to see to.
 */
static void
judge_geometries(const Gates *gates, const WhParity *parity)
{
	for (int i = 0; i < list_length(parity->geometries); i++)
	{
		int64		here = parity->stored.nulls[i];
		int64		there = parity->source.nulls[i];

		put(gates, "geometry",
			parity->stored.rows != parity->source.rows ? GATE_UNKNOWN :
			here == there ? GATE_OPEN : GATE_CLOSED,
			psprintf("column \"%s\": " INT64_FORMAT " nulls here, " INT64_FORMAT " at the source",
					 (const char *) list_nth(parity->geometries, i), here, there));
	}
}

/*
 * What has been loaded is moved from exports/ to processed/ afterwards.
 */
static void
check_archived(Gates *gates)
{
	List	   *stuck = wh_uploads_to_move(gates->tmpl->name, gates->tenant->name);

	if (stuck == NIL)
		put(gates, "archived", GATE_OPEN, "every extract that was loaded is in " WH_PROCESSED);
	else
		put(gates, "archived", GATE_CLOSED,
			psprintf("%d extracts that were loaded are in " WH_EXPORTS " still, the first: %s; the next run moves them",
					 list_length(stuck), ((const WhUpload *) linitial(stuck))->archived.path));
}

/*
 * What must hold from then on.
 */
static void
steady_state(Gates *gates)
{
	gates->phase = "steady_state";
	check_freshness(gates);
	check_failures(gates);
	if (!wh_template_is_live(gates->tmpl))
		check_rate(gates);
}

static void
check_freshness(Gates *gates)
{
	WhArg		args[] = {wh_text(gates->tmpl->name), wh_text(gates->tenant->name)};
	bool		ok;
	char	   *detail;

	SPI_connect();
	if (wh_spi(SPI_OK_SELECT,
			   "SELECT state OPERATOR(pg_catalog.=) 'ok',"
			   " pg_catalog.format('%s: %s, freshness_target %s', state,"
			   " CASE WHEN lag IS NULL THEN 'not loaded yet'"
			   " ELSE pg_catalog.format('loaded %s ago', pg_catalog.date_trunc('second', lag)) END,"
			   " freshness_target)"
			   " FROM _wh.v_table_freshness"
			   WH_WHERE_PAIR,
			   args, lengthof(args)) != 1)
		elog(ERROR, "template \"%s\" and tenant \"%s\" are no pair",
			 gates->tmpl->name, gates->tenant->name);
	ok = wh_col_bool(0, 1, false);
	detail = wh_col_text(0, 2);
	put(gates, "freshness", ok ? GATE_OPEN : GATE_CLOSED, detail);
	SPI_finish();
}

static void
check_failures(Gates *gates)
{
	WhArg		args[] = {wh_text(gates->tmpl->name), wh_text(gates->tenant->name)};
	int64		failures;

	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT,
				  "SELECT pg_catalog.count(*),"
				  " (pg_catalog.array_agg(error_message ORDER BY run_id DESC))[1]"
				  " FROM _wh.v_recent_failures"
				  WH_WHERE_PAIR,
				  args, lengthof(args));
	failures = wh_col_int8(0, 1, 0);
	put(gates, "failures", failures == 0 ? GATE_OPEN : GATE_CLOSED,
		failures == 0 ? "no failure that a later run has not mended"
		: psprintf(INT64_FORMAT " not mended, the last one: %s", failures, wh_col_text(0, 2)));
	SPI_finish();
}

static void
check_rate(Gates *gates)
{
	WhArg		args[] = {wh_text(gates->tmpl->name), wh_text(gates->tenant->name)};
	Verdict		verdict = GATE_UNKNOWN;
	char	   *detail = "no day to compare";
	uint64		n;

	SPI_connect();
	n = wh_spi(SPI_OK_SELECT,
			   "SELECT latest::pg_catalog.float8, median, days FROM _wh.v_row_rates"
			   WH_WHERE_PAIR,
			   args, lengthof(args));
	if (n == 1)
	{
		double		latest = wh_col_float8(0, 1, -1);
		double		median = wh_col_float8(0, 2, 0);
		int64		days = wh_col_int8(0, 3, 0);

		if (latest < 0)
			detail = "nothing was loaded in the last 24 hours";
		else if (days < LEAST_DAYS)
			detail = psprintf("%.0f rows; a median needs %d days before, there are " INT64_FORMAT,
							  latest, LEAST_DAYS, days);
		else
		{
			verdict = median <= 0 ? GATE_UNKNOWN :
				latest >= LEAST_RATE * median && latest <= MOST_RATE * median
				? GATE_OPEN : GATE_CLOSED;
			detail = psprintf("%.0f rows in the latest day, %.0f in the median of the " INT64_FORMAT " days before",
							  latest, median, days);
		}
	}
	put(gates, "row_rate", verdict, detail);
	SPI_finish();
}

static void
put(const Gates *gates, const char *gate, Verdict verdict, const char *detail)
{
	Datum		values[5];
	bool		nulls[5] = {false};

	values[0] = CStringGetTextDatum(gates->tenant->name);
	values[1] = CStringGetTextDatum(gates->phase);
	values[2] = CStringGetTextDatum(gate);
	nulls[3] = verdict == GATE_UNKNOWN;
	values[3] = BoolGetDatum(verdict == GATE_OPEN);
	values[4] = CStringGetTextDatum(detail);
	tuplestore_putvalues(gates->rsinfo->setResult, gates->rsinfo->setDesc, values, nulls);
}

static void
put_error(const Gates *gates, const char *gate, const ErrorData *error)
{
	put(gates, gate, GATE_CLOSED,
		psprintf("%s (%s)%s%s%s%s", error->message, unpack_sql_state(error->sqlerrcode),
				 error->detail ? "\n" : "", error->detail ? error->detail : "",
				 error->hint ? "\n" : "", error->hint ? error->hint : ""));
}

static char *
joined(const List *lines)
{
	StringInfoData all;
	ListCell   *lc;

	initStringInfo(&all);
	foreach(lc, lines)
		appendStringInfo(&all, "%s%s", all.len > 0 ? "\n" : "", (const char *) lfirst(lc));

	return all.data;
}
