/*
 * parity.c
 *		How many rows a relation of ours has, and how many the source has.
 *
 * Both ends are asked the same question; no row travels.  What a difference
 * means is the caller's to judge.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "describe.h"
#include "fetch.h"
#include "local.h"
#include "parity.h"
#include "pool.h"
#include "spi.h"
#include "watermark.h"

static List *geometry_columns(const WhTemplate *tmpl);
static void count_at_source(WhParity *parity, const WhTemplate *tmpl,
							const WhTenant *tenant);
static void count_here(const WhParity *parity, const char *from,
					   WhCounts *counts);
static char *counting_sql(const WhParity *parity, const char *from, const char *later);
static char *later_condition(const WhTemplate *tmpl, const WhTenant *tenant);

/*
 * Find the slice that is counted; see parity.h.
 */
const WhSlice *
wh_parity_slice(const WhTemplate *tmpl, const WhTenant *tenant)
{
	const WhSlice *last = NULL;
	bool		last_closed = false;
	ListCell   *lc;

	foreach(lc, wh_slices(tmpl->name, tenant->name))
	{
		const WhSlice *slice = (const WhSlice *) lfirst(lc);
		bool		closed = slice->as_of >=
		wh_period_span(&slice->period, tenant->time_zone).end;

		if (slice->period.kind == WH_MONTH || slice->period.kind == WH_YEAR ||
			!wh_slice_is_populated(slice) || (last_closed && !closed))
			continue;
		last = slice;
		last_closed = closed;
	}

	return last;
}

/*
 * Count at both ends; see parity.h.
 */
void
wh_parity_count(WhParity *parity, const WhTemplate *tmpl, const WhTenant *tenant)
{
	int			n;

	parity->geometries = geometry_columns(tmpl);
	n = list_length(parity->geometries);
	parity->source.nulls = (int64 *) palloc0(sizeof(int64) * (n + 1));
	parity->stored.nulls = (int64 *) palloc0(sizeof(int64) * (n + 1));
	if (wh_template_is_local(tmpl))
		count_here(parity, psprintf("(\n%s\n)", wh_local_body(tmpl, tenant, &parity->slice->period)),
				   &parity->source);
	else
		count_at_source(parity, tmpl, tenant);
	count_here(parity, quote_qualified_identifier(parity->slice->relation_schema,
												  parity->slice->relation_name),
			   &parity->stored);
}

/*
 * List the columns of PostGIS's types, which have no other name than theirs.
 */
static List *
geometry_columns(const WhTemplate *tmpl)
{
	List	   *columns = NIL;

	for (int i = 0; i < tmpl->columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tmpl->columns, i);
		const char *type = format_type_extended(att->atttypid, -1, 0);
		const char *dot = strrchr(type, '.');

		if (dot != NULL)
			type = dot + 1;
		if (strcmp(type, "geometry") == 0 || strcmp(type, "geography") == 0)
			columns = lappend(columns, pstrdup(NameStr(att->attname)));
	}

	return columns;
}

static void
count_at_source(WhParity *parity, const WhTemplate *tmpl, const WhTenant *tenant)
{
	const WhPeriod *period = &parity->slice->period;
	char	   *query = wh_fetch_query(tmpl, tenant, period);
	WhLease    *lease = wh_pool_take(tenant, wh_fetch_subject(tmpl, tenant, period));
	PGresult   *volatile result;

	(void) wh_describe(lease->conn, query);
	result = wh_conn_exec(lease->conn,
						  counting_sql(parity, psprintf("(\n%s\n)", query),
									   later_condition(tmpl, tenant)),
						  PGRES_TUPLES_OK);
	PG_TRY();
	{
		int			n = list_length(parity->geometries);

		if (PQntuples(result) != 1 || PQnfields(result) != n + 2)
			ereport(ERROR,
					(errcode(ERRCODE_PROTOCOL_VIOLATION),
					 errmsg("tenant did not count what it was asked to count"),
					 errdetail("%s", wh_conn_subject(lease->conn))));
		parity->source.rows = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
		parity->source.later = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
		for (int i = 0; i < n; i++)
			parity->source.nulls[i] = strtoll(PQgetvalue(result, 0, i + 2), NULL, 10);
	}
	PG_FINALLY();
	{
		PQclear(result);
	}
	PG_END_TRY();
	while ((result = wh_conn_result(lease->conn)) != NULL)
		PQclear(result);
	wh_pool_give(lease);
}

static void
count_here(const WhParity *parity, const char *from, WhCounts *counts)
{
	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT, counting_sql(parity, from, "false"), NULL, 0);
	counts->rows = wh_col_int8(0, 1, 0);
	for (int i = 0; i < list_length(parity->geometries); i++)
		counts->nulls[i] = wh_col_int8(0, i + 3, 0);
	SPI_finish();
}

/*
 * Write the query that counts; the same for both ends.
 */
static char *
counting_sql(const WhParity *parity, const char *from, const char *later)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE %s)", later);
	foreach(lc, parity->geometries)
		appendStringInfo(&sql, ", pg_catalog.count(*) FILTER (WHERE q.%s IS NULL)",
						 quote_identifier((const char *) lfirst(lc)));
	appendStringInfo(&sql, " FROM %s AS q", from);

	return sql.data;
}

/*
 * Write which rows the source has that no run was to read yet.
 */
static char *
later_condition(const WhTemplate *tmpl, const WhTenant *tenant)
{
	TimestampTz at;
	Oid			type;

	if (!wh_template_is_incremental(tmpl))
		return pstrdup("false");

	at = wh_watermark(tmpl->name, tenant->name)->last_extracted_at;
	if (at == DT_NOBEGIN)
		return pstrdup("true");

	type = TupleDescAttr(tmpl->columns,
						 SPI_fnumber(tmpl->columns, tmpl->watermark_column) - 1)->atttypid;

	return psprintf("q.%s > %s", quote_identifier(tmpl->watermark_column),
					type == TIMESTAMPOID ?
					wh_timestamp_literal(at + wh_wall_clock_offset(at, tenant->time_zone)) :
					wh_timestamptz_literal(at));
}
