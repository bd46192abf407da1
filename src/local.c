/*
 * local.c
 *		The query of a derived template: written out for one tenant and period,
 *		and run here.
 *
 * Names are resolved once, with the tenant's schema first on the path; what is
 * run, and what becomes a materialized view's body, is the query as PostgreSQL
 * writes it out after that, in which every name has its schema.  So a function
 * that somebody makes later takes nobody's place, and a plain REFRESH by any
 * tool does the same.  It runs as the owner, under the restrictions of
 * wh_become_owner().
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "parser/analyze.h"
#include "portability/instr_time.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "depend.h"
#include "flat.h"
#include "inputlog.h"
#include "kept.h"
#include "local.h"
#include "parse.h"
#include "rowcheck.h"
#include "spi.h"

/* One query of one unit. */
typedef struct Local
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	const WhPeriod *period;
	const char *subject;		/* for DETAIL */
	const char *text;			/* what is being analyzed */
} Local;

/* Its rows on their way. */
typedef struct Stream
{
	WhRowCheck	check;
	const WhRowSink *sink;
	MemoryContext scratch;		/* of one row */
	Datum	   *values;
	bool	   *isnull;
} Stream;

static void begin(Local *local, const WhTemplate *tmpl, const WhTenant *tenant,
				  const WhPeriod *period);
static char *resolved(Local *local, bool bounded, List **drift);
static Query *analyze(Local *local, const char *sql);
static void explain_failure(void *arg);
static char *unloaded_hint(const Local *local);
static char *declared(const Local *local, const char *text, TupleDesc returned,
					  const char *condition);
static void append_column(StringInfo sql, Form_pg_attribute att,
						  Form_pg_attribute returned);
static const char *length_function(Oid typid);
static Form_pg_attribute find_column(TupleDesc desc, const char *name);
static char *day_condition(const Local *local);
static void take_row(void *arg, HeapTuple tuple, TupleDesc desc);
static void check_may_run(void);

char *
wh_local_text(const WhTemplate *tmpl, const WhTenant *tenant,
			  const WhPeriod *period)
{
	return wh_fetch_query(tmpl, tenant, period);
}

char *
wh_local_hash(const WhTemplate *tmpl, const WhTenant *tenant,
			  const WhPeriod *period)
{
	Datum		query = CStringGetTextDatum(wh_local_text(tmpl, tenant, period));

	return TextDatumGetCString(DirectFunctionCall1(md5_text, query));
}

/*
 * Write the body of a materialized view; see local.h.
 */
char *
wh_local_body(const WhTemplate *tmpl, const WhTenant *tenant,
			  const WhPeriod *period)
{
	List	   *drift = NIL;
	Local		local;

	begin(&local, tmpl, tenant, period);

	return resolved(&local, true, &drift);
}

TupleDesc
wh_local_columns(const WhTemplate *tmpl, const WhTenant *tenant,
				 const WhPeriod *period)
{
	Local		local;

	begin(&local, tmpl, tenant, period);

	return ExecCleanTypeFromTL(analyze(&local, wh_local_text(tmpl, tenant, period))->targetList);
}

/*
 * Run the query; see local.h.  What its inputs are as of, and which of their
 * runs have been seen, is read before the snapshot is taken, so that the rows
 * are at least as new.
 */
void
wh_local_rows(const WhTemplate *tmpl, const WhTenant *tenant,
			  const WhPeriod *period, bool prove, const WhRowSink *sink,
			  WhFetched *fetched)
{
	Stream		stream = {.sink = sink};
	MemoryContext caller = CurrentMemoryContext;
	instr_time	begun;
	instr_time	elapsed;
	Local		local;
	char	   *sql;

	check_may_run();
	INSTR_TIME_SET_CURRENT(begun);
	begin(&local, tmpl, tenant, period);
	sql = resolved(&local, false, &fetched->drift);
	wh_rowcheck_begin(&stream.check, tmpl, tenant, period, local.subject);
	stream.values = (Datum *) palloc(sizeof(Datum) * tmpl->columns->natts);
	stream.isnull = (bool *) palloc(sizeof(bool) * tmpl->columns->natts);
	stream.scratch = AllocSetContextCreate(caller, "pg_warehouse row",
										   ALLOCSET_DEFAULT_SIZES);

	fetched->as_of = wh_depend_as_of(tmpl, tenant, period, GetCurrentTimestamp());
	fetched->inputs = tmpl->depends_on == NIL ? NULL :
		wh_inputlog_seen(wh_depend_chain(tmpl), tenant->name);
	wh_spi_snapshot();
	(void) wh_spi_stream(sql, take_row, &stream);
	if (prove)
		wh_tally_query(sql, tmpl->columns, &fetched->source);
	PopActiveSnapshot();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(stream.scratch);

	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, begun);
	fetched->rows = stream.check.rows;
	fetched->bytes = stream.check.bytes;
	fetched->fetch_ms = INSTR_TIME_GET_MILLISEC(elapsed);
}

void
wh_local_tally(const WhTemplate *tmpl, const WhTenant *tenant,
			   const WhPeriod *period, WhTally *tally, TimestampTz *as_of)
{
	List	   *drift = NIL;
	Local		local;
	char	   *sql;

	check_may_run();
	begin(&local, tmpl, tenant, period);
	sql = resolved(&local, false, &drift);
	*as_of = wh_depend_as_of(tmpl, tenant, period, GetCurrentTimestamp());
	wh_spi_snapshot();
	wh_tally_query(sql, tmpl->columns, tally);
	PopActiveSnapshot();
}

static void
begin(Local *local, const WhTemplate *tmpl, const WhTenant *tenant,
	  const WhPeriod *period)
{
	local->tmpl = tmpl;
	local->tenant = tenant;
	local->period = period;
	local->subject = wh_fetch_subject(tmpl, tenant, period);
	local->text = NULL;
}

/*
 * Write the query out with every name qualified and the columns that the
 * template declares; "bounded": with none but the period's rows.  The query
 * stays as it is where it returns just that.
 */
static char *
resolved(Local *local, bool bounded, List **drift)
{
	const WhTemplate *tmpl = local->tmpl;
	char	   *text = wh_local_text(tmpl, local->tenant, local->period);
	char	   *condition = bounded ? day_condition(local) : NULL;
	Query	   *query = analyze(local, text);
	TupleDesc	returned = ExecCleanTypeFromTL(query->targetList);

	*drift = NIL;
	if (!wh_columns_same(returned, tmpl->columns))
		*drift = wh_describe_check(wh_describe_of(returned), tmpl, local->subject);
	if (condition != NULL || !wh_columns_same(returned, tmpl->columns))
		query = analyze(local, declared(local, text, returned, condition));

	return pg_get_querydef(query, false);
}

/*
 * Have PostgreSQL resolve the names of a query, with the tenant's schema first.
 */
static Query *
analyze(Local *local, const char *sql)
{
	WhParsedText text = {sql, 0, "A derived query is exactly one SELECT."};
	int			nestlevel = NewGUCNestLevel();
	ErrorContextCallback callback;
	RawStmt    *raw;
	Query	   *query;

	wh_pin("search_path", psprintf("%s, pg_catalog, pg_temp",
								   quote_identifier(local->tenant->schema)));
	raw = linitial_node(RawStmt, wh_parse(sql, &text));

	local->text = sql;
	callback.callback = explain_failure;
	callback.arg = local;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	query = parse_analyze_fixedparams(raw, sql, NULL, 0, NULL);
	error_context_stack = callback.previous;
	AtEOXact_GUC(true, nestlevel);

	return query;
}

/*
 * Show an error of the analysis in the query's own text, and whose query it is.
 */
static void
explain_failure(void *arg)
{
	const Local *local = (const Local *) arg;
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(local->text);
	}
	errdetail("%s", local->subject);
	if (geterrcode() == ERRCODE_UNDEFINED_TABLE)
		errhint("%s", unloaded_hint(local));
}

/*
 * Say how a relation that is missing may come to be.
 */
static char *
unloaded_hint(const Local *local)
{
	const char *tenant = local->tenant->name;
	StringInfoData hint;
	ListCell   *lc;

	initStringInfo(&hint);
	foreach(lc, local->tmpl->depends_on)
		appendStringInfo(&hint, "%sSELECT * FROM _wh.wh_refresh(%s, %s);",
						 hint.len == 0 ? "Load its inputs first: " : " ",
						 quote_literal_cstr((const char *) lfirst(lc)),
						 quote_literal_cstr(tenant));
	if (hint.len == 0)
		appendStringInfoString(&hint,
							   "Name the templates that the query reads in options, as in {\"depends_on\": [\"...\"]}, and load these first.");
	appendStringInfo(&hint, " A relation that is not in schema \"%s\" needs its own before its name.",
					 local->tenant->schema);

	return hint.data;
}

/*
 * Wrap a query so that it returns the declared columns, by name; "returned" is
 * what it does return.
 */
static char *
declared(const Local *local, const char *text, TupleDesc returned,
		 const char *condition)
{
	TupleDesc	columns = local->tmpl->columns;
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(columns, i);

		appendStringInfoString(&sql, i == 0 ? "SELECT " : ", ");
		append_column(&sql, att, find_column(returned, NameStr(att->attname)));
	}
	appendStringInfo(&sql, " FROM (\n%s\n) AS q%s%s", text,
					 condition ? " WHERE " : "", condition ? condition : "");

	return sql.data;
}

/*
 * Append one declared column; "returned" is what the query has of that name,
 * or NULL.  A cast would cut a string that is too long, so the function behind
 * it comes first, which refuses one.
 */
static void
append_column(StringInfo sql, Form_pg_attribute att, Form_pg_attribute returned)
{
	const char *name = quote_identifier(NameStr(att->attname));
	const char *length = length_function(att->atttypid);
	bool		same_type = returned != NULL && returned->atttypid == att->atttypid &&
	returned->atttypmod == att->atttypmod;
	char	   *type = format_type_extended(att->atttypid, att->atttypmod,
											FORMAT_TYPE_TYPEMOD_GIVEN |
											FORMAT_TYPE_FORCE_QUALIFY);

	if (returned == NULL)
		appendStringInfo(sql, "NULL::%s", type);
	else if (same_type)
		appendStringInfo(sql, "q.%s", name);
	else if (length != NULL && att->atttypmod >= 0)
		appendStringInfo(sql, "pg_catalog.%s(q.%s::%s, %d, false)::%s",
						 quote_identifier(length), name,
						 format_type_extended(att->atttypid, -1,
											  FORMAT_TYPE_TYPEMOD_GIVEN |
											  FORMAT_TYPE_FORCE_QUALIFY),
						 att->atttypmod, type);
	else
		appendStringInfo(sql, "q.%s::%s", name, type);
	if (returned != NULL && OidIsValid(att->attcollation) &&
		returned->attcollation != att->attcollation)
		appendStringInfo(sql, " COLLATE %s", generate_collation_name(att->attcollation));
	appendStringInfo(sql, " AS %s", name);
}

/*
 * Name the function that holds values of a type to a length; NULL for none.
 */
static const char *
length_function(Oid typid)
{
	switch (typid)
	{
		case VARCHAROID:
			return "varchar";
		case BPCHAROID:
			return "bpchar";
		case BITOID:
			return "bit";
		case VARBITOID:
			return "varbit";
		default:
			return NULL;
	}
}

static Form_pg_attribute
find_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return TupleDescAttr(desc, i);
	}

	return NULL;
}

/*
 * Write the condition that keeps a plain REFRESH to the period; NULL where
 * rows are not told apart by it.  Our own loads check each row instead.
 */
static char *
day_condition(const Local *local)
{
	const WhTemplate *tmpl = local->tmpl;
	WhSpan		span;
	WhRange		range;

	if (local->period->kind == WH_WHOLE)
		return NULL;
	span = wh_period_span(local->period, local->tenant->time_zone);
	if (!wh_range_of(tmpl->columns, tmpl->time_column, local->period, &span, &range))
		return NULL;

	return wh_range_condition(&range, psprintf("q.%s", quote_identifier(tmpl->time_column)));
}

/*
 * Take one row.  A value may be stored elsewhere, or compressed: whoever
 * compares rows does so by their bytes.
 */
static void
take_row(void *arg, HeapTuple tuple, TupleDesc desc)
{
	Stream	   *stream = (Stream *) arg;
	MemoryContext context = MemoryContextSwitchTo(stream->scratch);

	CHECK_FOR_INTERRUPTS();
	heap_deform_tuple(wh_flat_row(tuple, desc), desc, stream->values, stream->isnull);
	wh_rowcheck_bytes(&stream->check, tuple->t_len);
	wh_rowcheck_row(&stream->check, stream->values, stream->isnull);
	if (stream->sink->every != NULL)
		stream->sink->every(stream->sink->every_arg, stream->values, stream->isnull);
	stream->sink->row(stream->sink->arg, stream->values, stream->isnull);
	MemoryContextSwitchTo(context);
	MemoryContextReset(stream->scratch);
}

/*
 * Rows go straight into storage, where nobody asks these things any more.
 */
static void
check_may_run(void)
{
	PreventCommandDuringRecovery("refreshing a derived template");
	PreventCommandIfReadOnly("refreshing a derived template");
	PreventCommandIfParallelMode("refreshing a derived template");
}
