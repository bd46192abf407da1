/*
 * fetch.c
 *		Stream one slice from a tenant: binary COPY, decoded row by row.
 *
 * A slice is whole or it is an error: the columns are compared before the
 * first row, each row is checked against the period, and at the end the
 * tenant's own count must equal what was received.  Memory is flat: a row is
 * handed to the sink and forgotten.  Where rows go is the sink's business, how
 * bytes travel is conn's, what they mean is decode's.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/progress.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/backend_progress.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "conn.h"
#include "decode.h"
#include "describe.h"
#include "fetch.h"
#include "gate.h"
#include "names.h"
#include "pool.h"
#include "rowcheck.h"
#include "session.h"
#include "settings.h"
#include "slice.h"

/*
 * The batch context is reset after so many rows or bytes, which usually fit
 * into what it keeps: the first touch of memory that was given back is dear.
 */
#define BATCH_ROWS 1000
#define BATCH_BYTES (128 * 1024)
#define BATCH_KEPT (256 * 1024)

/*
 * libpq buffers a row until it is whole, so this bounds what a tenant can make
 * us allocate.  A template whose single values may be longer raises it along.
 */
#define MIN_ROW_CAP ((int64) 64 * 1024 * 1024)

/* One fetch at work. */
typedef struct Fetch
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	const WhPeriod *period;
	const WhFetchPart *part;	/* NULL: all rows */
	const char *subject;
	bool		prove;
	const WhRowSink *sink;
	MemoryContext caller;		/* what it saw is told in there */
	WhRowCheck	check;
	int64		batch_rows;
	int64		batch_bytes;
	MemoryContext batch;
	Datum	   *values;
	bool	   *isnull;
} Fetch;

/* What the SRF's sink writes to. */
typedef struct Store
{
	Tuplestorestate *rows;
	TupleDesc	desc;
} Store;

PG_FUNCTION_INFO_V1(wh_fetch_rows);

static WhPeriod period_of_call(const WhTemplate *tmpl, bool whole, DateADT day);
static void check_column_list(const WhTemplate *tmpl, const WhTenant *tenant,
							  TupleDesc expected, bool whole, DateADT day);
static void store_row(void *arg, Datum *values, bool *isnull);
static void run(Fetch *state, WhFetched *fetched);
static void stream_slice(Fetch *fetch, WhFetched *fetched);
static char *ask_bound(const Fetch *fetch, WhConn *conn);
static char *purpose_of(const Fetch *fetch);
static void begin_progress(const Fetch *fetch);
static void show_progress(const Fetch *fetch);
static char *copy_sql(const char *query, TupleDesc columns,
					  const WhRemoteColumns *remote, const char *condition);
static void begin_copy(WhConn *conn, const char *sql, int ncolumns);
static void receive(Fetch *fetch, WhConn *conn, WhDecoder *decoder);
static void take_message(Fetch *fetch, WhDecoder *decoder, char *data, int len);
static bool take_next(Fetch *fetch, WhDecoder *decoder);
static void end_copy(const Fetch *fetch, WhConn *conn,
					 const WhDecoder *decoder);
static void tell_drift(const Fetch *fetch, const List *lines,
					   WhFetched *fetched);
static void tally_source(const Fetch *fetch, WhConn *conn, char *query,
						 const WhRemoteColumns *remote, WhFetched *fetched);

/*
 * _wh.fetch(template text, tenant text, day date) returns setof record
 *
 * The body of every materialized view of ours; "tenant" is the tenant's key.
 */
Datum
wh_fetch_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		whole = PG_ARGISNULL(2);
	DateADT		day = whole ? 0 : PG_GETARG_DATEADT(2);
	WhRole		save;
	WhTemplate *tmpl;
	WhTenant   *tenant;
	WhPeriod	period;
	WhFetched	fetched;
	Store		store;
	WhRowSink	sink = {.row = store_row,.arg = &store};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("template and tenant must not be null")));

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	store.rows = rsinfo->setResult;
	store.desc = rsinfo->setDesc;

	wh_become_owner(&save);
	tmpl = wh_template(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	tenant = wh_tenant_by_key(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	period = period_of_call(tmpl, whole, day);
	check_column_list(tmpl, tenant, store.desc, whole, day);

	wh_fetch(tmpl, tenant, &period, false, &sink, &fetched);
	wh_slice_admit(tmpl, tenant->name, &period, tenant->time_zone);
	wh_role_leave(&save);

	return (Datum) 0;
}

/*
 * Fetch one slice; see fetch.h.
 */
void
wh_fetch(const WhTemplate *tmpl, const WhTenant *tenant, const WhPeriod *period,
		 bool prove, const WhRowSink *sink, WhFetched *fetched)
{
	Fetch		state = {0};

	state.tmpl = tmpl;
	state.tenant = tenant;
	state.period = period;
	state.prove = prove;
	state.sink = sink;
	state.caller = CurrentMemoryContext;
	run(&state, fetched);
}

/*
 * Fetch part of the rows; see fetch.h.
 */
void
wh_fetch_part(const WhTemplate *tmpl, const WhTenant *tenant,
			  const WhFetchPart *part, const WhRowSink *sink,
			  WhFetched *fetched)
{
	WhPeriod	whole = wh_period_whole();
	Fetch		state = {0};

	state.tmpl = tmpl;
	state.tenant = tenant;
	state.period = &whole;
	state.part = part;
	state.sink = sink;
	state.caller = CurrentMemoryContext;
	run(&state, fetched);
}

/*
 * Do all of it in a context of its own, with which a connection closes that was
 * not given back.
 */
static void
run(Fetch *state, WhFetched *fetched)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "pg_warehouse fetch",
												  ALLOCSET_DEFAULT_SIZES);

	PG_TRY();
	{
		MemoryContextSwitchTo(context);
		wh_session_purpose(purpose_of(state));
		stream_slice(state, fetched);
	}
	PG_FINALLY();
	{
		wh_session_purpose(NULL);
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(context);
	}
	PG_END_TRY();
}

/*
 * Write what a tenant is sent; see fetch.h.
 */
char *
wh_fetch_sql(const WhTemplate *tmpl, const WhTenant *tenant,
			 const WhPeriod *period, const char *condition)
{
	char	   *sql = copy_sql(wh_fetch_query(tmpl, tenant, period), tmpl->columns,
							   NULL, condition);

	wh_gate_copy(sql);

	return sql;
}

/*
 * Name what is fetched; see fetch.h.
 */
char *
wh_fetch_subject(const WhTemplate *tmpl, const WhTenant *tenant,
				 const WhPeriod *period)
{
	if (period->kind == WH_WHOLE)
		return psprintf("Tenant \"%s\", template \"%s\".", tenant->name, tmpl->name);

	return psprintf("Tenant \"%s\", template \"%s\", %s %s.", tenant->name,
					tmpl->name, wh_period_kind_name(period->kind),
					wh_date_text(period->start));
}

/*
 * Say which period a call of the SRF means: a daily template's is a day, any
 * other's the whole.
 */
static WhPeriod
period_of_call(const WhTemplate *tmpl, bool whole, DateADT day)
{
	bool		daily = strcmp(tmpl->materialization, "daily") == 0;

	/* Such a materialized view waits for the refresh that replaces it. */
	if (wh_template_is_live(tmpl))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("template \"%s\" is live, and not fetched", tmpl->name),
				 errhint("SELECT * FROM _wh.wh_refresh(%s); makes views of what it was before.",
						 quote_literal_cstr(tmpl->name))));
	if (daily == whole)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 daily ?
				 errmsg("daily template \"%s\" is fetched by day", tmpl->name) :
				 errmsg("template \"%s\" is not fetched by day", tmpl->name),
				 errdetail("Its materialization is %s.", tmpl->materialization),
				 errhint(daily ? "Give a day." : "Give NULL as the day.")));
	if (whole)
		return wh_period_whole();

	if (DATE_NOT_FINITE(day))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("day must be finite")));

	return wh_period_day(day);
}

/*
 * Compare the caller's column definition list with the template's columns: a
 * materialized view made for an older version of the template differs.
 */
static void
check_column_list(const WhTemplate *tmpl, const WhTenant *tenant,
				  TupleDesc expected, bool whole, DateADT day)
{
	bool		equal = expected->natts == tmpl->columns->natts;

	for (int i = 0; equal && i < expected->natts; i++)
	{
		Form_pg_attribute theirs = TupleDescAttr(expected, i);
		Form_pg_attribute ours = TupleDescAttr(tmpl->columns, i);

		equal = theirs->atttypid == ours->atttypid &&
			theirs->atttypmod == ours->atttypmod &&
			namestrcmp(&theirs->attname, NameStr(ours->attname)) == 0;
	}
	if (equal)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column list is not that of template \"%s\"", tmpl->name),
			 errdetail("The template declares (%s).", wh_columns_sql(tmpl->columns)),
			 errhint("A refresh makes the relation anew: SELECT * FROM _wh.wh_refresh(%s, %s%s);",
					 quote_literal_cstr(tmpl->name),
					 quote_literal_cstr(tenant->name),
					 whole ? "" : psprintf(", '%s'", wh_date_text(day)))));
}

static void
store_row(void *arg, Datum *values, bool *isnull)
{
	Store	   *store = (Store *) arg;

	tuplestore_putvalues(store->rows, store->desc, values, isnull);
}

/*
 * Do the whole fetch in the current memory context.
 */
static void
stream_slice(Fetch *fetch, WhFetched *fetched)
{
	TupleDesc	columns = fetch->tmpl->columns;
	int64		field_cap = fetch->tmpl->max_field_bytes;
	instr_time	start;
	instr_time	duration;
	WhLease    *lease;
	WhConn	   *conn;
	WhDecoder  *decoder;
	WhRemoteColumns *remote;
	List	   *drift;
	char	   *query;
	char	   *condition;
	char	   *sql;

	INSTR_TIME_SET_CURRENT(start);
	fetch->subject = wh_fetch_subject(fetch->tmpl, fetch->tenant, fetch->period);
	fetch->values = (Datum *) palloc(sizeof(Datum) * columns->natts);
	fetch->isnull = (bool *) palloc(sizeof(bool) * columns->natts);
	fetch->batch = AllocSetContextCreate(CurrentMemoryContext,
										 "pg_warehouse batch", 0, BATCH_KEPT,
										 ALLOCSET_DEFAULT_MAXSIZE);
	wh_rowcheck_begin(&fetch->check, fetch->tmpl, fetch->tenant, fetch->period,
					  fetch->subject);
	decoder = wh_decoder(columns, fetch->subject, field_cap,
						 Max(field_cap, MIN_ROW_CAP));

	query = wh_fetch_query(fetch->tmpl, fetch->tenant, fetch->period);

	lease = wh_pool_take(fetch->tenant, fetch->subject);
	conn = lease->conn;
	condition = ask_bound(fetch, conn);
	remote = wh_describe(conn, query);
	if (fetch->part != NULL)
		fetch->part->check(fetch->part->arg, conn, query, remote);
	drift = wh_describe_check(remote, fetch->tmpl, fetch->subject);
	sql = copy_sql(query, columns, remote, condition);
	wh_gate_copy(sql);
	begin_progress(fetch);
	begin_copy(conn, sql, columns->natts);
	receive(fetch, conn, decoder);
	end_copy(fetch, conn, decoder);
	pgstat_progress_end_command();
	tell_drift(fetch, drift, fetched);
	if (fetch->prove)
		tally_source(fetch, conn, query, remote, fetched);

	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, start);
	fetched->rows = fetch->check.rows;
	fetched->bytes = fetch->check.bytes;
	fetched->fetch_ms = INSTR_TIME_GET_MILLISEC(duration);
	fetched->as_of = wh_conn_session(conn)->as_of;
	wh_pool_give(lease);
}

/*
 * Ask which part of the rows is read, for the condition; NULL: all of them.
 */
static char *
ask_bound(const Fetch *fetch, WhConn *conn)
{
	if (fetch->part == NULL)
		return NULL;

	/* The snapshot that others share may be older than the bound. */
	wh_conn_session(conn)->snapshot = NULL;

	return fetch->part->bound(fetch->part->arg, conn);
}

/*
 * Name what is fetched, for application_name at the tenant.
 */
static char *
purpose_of(const Fetch *fetch)
{
	return psprintf("refresh %s/%s%s%s", fetch->tmpl->name, fetch->tenant->name,
					fetch->period->kind == WH_WHOLE ? "" : " ",
					fetch->period->kind == WH_WHOLE ? "" : wh_date_text(fetch->period->start));
}

/*
 * Show in pg_stat_progress_copy how far we are; an error ends that by itself.
 */
static void
begin_progress(const Fetch *fetch)
{
	const int	params[] = {PROGRESS_COPY_COMMAND, PROGRESS_COPY_TYPE};
	const int64 values[] = {PROGRESS_COPY_COMMAND_FROM, PROGRESS_COPY_TYPE_CALLBACK};
	Oid			nspid = get_namespace_oid(fetch->tenant->schema, true);
	char	   *name = wh_slice_name(fetch->tmpl->name, fetch->period);

	pgstat_progress_start_command(PROGRESS_COMMAND_COPY,
								  OidIsValid(nspid) ?
								  get_relname_relid(name, nspid) : InvalidOid);
	pgstat_progress_update_multi_param(lengthof(params), params, values);
}

static void
show_progress(const Fetch *fetch)
{
	const int	params[] = {PROGRESS_COPY_BYTES_PROCESSED, PROGRESS_COPY_TUPLES_PROCESSED};
	const int64 values[] = {fetch->check.bytes, fetch->check.rows};

	pgstat_progress_update_multi_param(lengthof(params), params, values);
}

/*
 * Fill the template's placeholders in for one tenant and period.
 */
char *
wh_fetch_query(const WhTemplate *tmpl, const WhTenant *tenant, const WhPeriod *period)
{
	WhPlaceholders values;

	values.tenant = tenant->name;
	values.period = period;
	values.span = wh_period_span(period, tenant->time_zone);

	return wh_gate_render(tmpl->query, &values);
}

/*
 * Wrap a query so that the tenant sends each column, by name, in the type that
 * the decoder reads.  Casts carry no length: a value that is too long must be
 * refused here, not cut there.  "remote" says which columns there are; NULL:
 * all of them.  The source's planner takes a condition into the query, where an
 * index may serve it.
 */
static char *
copy_sql(const char *query, TupleDesc columns, const WhRemoteColumns *remote,
		 const char *condition)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "COPY (SELECT ");
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(columns, i);

		bool		there = remote == NULL ||
		wh_describe_has(remote, NameStr(att->attname));

		appendStringInfo(&sql, "%s%s%s::%s", i == 0 ? "" : ", ",
						 there ? "q." : "",
						 there ? quote_identifier(NameStr(att->attname)) : "NULL",
						 wh_decode_cast(att->atttypid));
	}
	appendStringInfo(&sql, " FROM (\n%s\n) AS q%s%s) TO STDOUT (FORMAT binary)",
					 query, condition ? " WHERE " : "", condition ? condition : "");

	return sql.data;
}

/*
 * Start the COPY and see that it is what we asked for.
 */
static void
begin_copy(WhConn *conn, const char *sql, int ncolumns)
{
	PGresult   *result = wh_conn_exec(conn, sql, PGRES_COPY_OUT);
	bool		expected = PQbinaryTuples(result) &&
	PQnfields(result) == ncolumns;

	PQclear(result);
	if (!expected)
		wh_remote_error(conn, NULL);
}

/*
 * Receive all messages of the COPY.  Receive functions convert from the
 * session's client encoding, so it is the database's meanwhile: that is what
 * conn made the tenant send.
 */
static void
receive(Fetch *fetch, WhConn *conn, WhDecoder *decoder)
{
	int			client_encoding = pg_get_client_encoding();
	int64		row_cap = Max(fetch->tmpl->max_field_bytes, MIN_ROW_CAP);
	MemoryContext context = MemoryContextSwitchTo(fetch->batch);
	char	   *volatile message = NULL;

	PG_TRY();
	{
		char	   *buffer;
		int			len;

		(void) SetClientEncoding(GetDatabaseEncoding());
		while ((len = wh_conn_copy_data(conn, &buffer, row_cap)) > 0)
		{
			message = buffer;
			CHECK_FOR_INTERRUPTS();
			take_message(fetch, decoder, buffer, len);
			message = NULL;
			PQfreemem(buffer);
		}
	}
	PG_FINALLY();
	{
		(void) SetClientEncoding(client_encoding);
		PQfreemem(message);
		MemoryContextSwitchTo(context);
	}
	PG_END_TRY();
}

/*
 * Hand the rows of one message to the sink.
 */
static void
take_message(Fetch *fetch, WhDecoder *decoder, char *data, int len)
{
	wh_rowcheck_bytes(&fetch->check, len);
	fetch->batch_bytes += len;
	wh_decoder_feed(decoder, data, len);
	while (take_next(fetch, decoder))
	{
		/* By bytes, too: a thousand rows can be a thousand long values. */
		if (++fetch->batch_rows >= BATCH_ROWS ||
			fetch->batch_bytes >= BATCH_BYTES)
		{
			MemoryContextReset(fetch->batch);
			show_progress(fetch);
			fetch->batch_rows = 0;
			fetch->batch_bytes = 0;
		}
	}
}

/*
 * Take the next row of the message; false when no whole one is left.
 */
static bool
take_next(Fetch *fetch, WhDecoder *decoder)
{
	const WhRowSink *sink = fetch->sink;
	TupleTableSlot *stored = sink->stored ? sink->stored(sink->arg) : NULL;

	if (stored != NULL && wh_decoder_skip(decoder, stored))
	{
		wh_rowcheck_row(&fetch->check, stored->tts_values, stored->tts_isnull);
		if (sink->every != NULL)
			sink->every(sink->every_arg, stored->tts_values, stored->tts_isnull);
		sink->met(sink->arg);
		return true;
	}
	if (!wh_decoder_next(decoder, fetch->values, fetch->isnull))
		return false;
	wh_rowcheck_row(&fetch->check, fetch->values, fetch->isnull);
	if (sink->every != NULL)
		sink->every(sink->every_arg, fetch->values, fetch->isnull);
	sink->row(sink->arg, fetch->values, fetch->isnull);

	return true;
}

/*
 * Demand the end mark, the server's word that the COPY is complete, and its
 * count: a stream that just stops must not pass for a small day.
 */
static void
end_copy(const Fetch *fetch, WhConn *conn, const WhDecoder *decoder)
{
	PGresult   *result = wh_conn_result(conn);
	int64		sent;

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		wh_remote_error(conn, result);
	sent = strtoll(PQcmdTuples(result), NULL, 10);
	PQclear(result);
	while ((result = wh_conn_result(conn)) != NULL)
		PQclear(result);

	if (wh_decoder_at_end(decoder) && sent == fetch->check.rows)
		return;

	wh_remote_failed_mark();
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("rows of tenant \"%s\" were truncated", fetch->tenant->name),
			 errdetail("%s\nIt sent %lld rows, of which %lld arrived.",
					   fetch->subject, (long long) sent,
					   (long long) fetch->check.rows)));
}

/*
 * Tell the caller which columns the fetch has adapted to.
 */
static void
tell_drift(const Fetch *fetch, const List *lines, WhFetched *fetched)
{
	MemoryContext context = MemoryContextSwitchTo(fetch->caller);
	ListCell   *lc;

	fetched->drift = NIL;
	foreach(lc, lines)
		fetched->drift = lappend(fetched->drift, pstrdup((const char *) lfirst(lc)));
	MemoryContextSwitchTo(context);
}

/*
 * Count and hash at the source what has just been copied from it.
 */
static void
tally_source(const Fetch *fetch, WhConn *conn, char *query,
			 const WhRemoteColumns *remote, WhFetched *fetched)
{
	wh_tally_source(conn, list_make1(query), fetch->tmpl->columns, remote,
					&fetched->source);
	fetched->source.hash = MemoryContextStrdup(fetch->caller, fetched->source.hash);
}
