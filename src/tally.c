/*
 * tally.c
 *		Rows counted and hashed by SQL that means the same at the source and
 *		here.
 *
 * A row is written as text: its values, quoted, or the word NULL, so that no
 * two rows are written alike.  Its md5, as two numbers, is summed up over the
 * rows: no order, no sort, and what a month holds is the
 * sum of its days.  The text is UTF-8 whatever the databases are encoded in,
 * and that of a value must not depend on versions and settings: floats,
 * geometric types and money are written by their binary form, all else as
 * text under settings that are pinned at both ends.  The source casts as it
 * does for a fetch, and rounds as the receive functions do.
 *
 * Only what sources as old as 9.6 have is used.  It tells accident, not
 * somebody who makes rows to collide.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "decode.h"
#include "spi.h"
#include "tally.h"

/* One query here. */
typedef struct Reading
{
	StringInfoData sql;
	WhTally    *tally;			/* or an array, where there are groups */
	int			ngroups;
	MemoryContext caller;
} Reading;

static void read_tally(void *arg);
static void stream_tally(void *arg);
static void take_tally(void *arg, HeapTuple tuple, TupleDesc desc);
static void read_groups(void *arg);
static void take_groups(WhConn *conn, const PGresult *result, int ngroups,
						WhTally *tallies);
static void clear_groups(WhTally *tallies, int ngroups);
static void append_groups(StringInfo sql, const WhTallyGroups *groups,
						  const char *row, const char *from);
static void append_tally(StringInfo sql, const char *number, const char *row,
						 const char *from);
static char *source_row(TupleDesc declared, const WhRemoteColumns *remote);
static char *stored_row(TupleDesc declared, TupleDesc stored);
static void append_value(StringInfo row, const char *value, Oid typid);
static char *text_of(const char *value, Oid typid);
static const char *send_function(Oid typid);
static char *rounded(const char *value, Form_pg_attribute att);
static char *join_sums(const char *first, const char *second);

/*
 * Tally at the source; see tally.h.
 */
void
wh_tally_source(WhConn *conn, const List *queries, TupleDesc declared,
				const WhRemoteColumns *remote, WhTally *tallies)
{
	char	   *row = source_row(declared, remote);
	PGresult   *volatile result = NULL;
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < list_length(queries); i++)
	{
		appendStringInfo(&sql, "%sSELECT %d, ", i == 0 ? "" : "\nUNION ALL\n", i);
		append_tally(&sql, NULL, row, psprintf("(\n%s\n) AS q",
											   (const char *) list_nth(queries, i)));
	}
	appendStringInfoString(&sql, "\nORDER BY 1");

	result = wh_conn_exec(conn, sql.data, PGRES_TUPLES_OK);
	PG_TRY();
	{
		if (PQntuples(result) != list_length(queries) || PQnfields(result) != 4)
			ereport(ERROR,
					(errcode(ERRCODE_PROTOCOL_VIOLATION),
					 errmsg("tenant did not count what it was asked to count"),
					 errdetail("%s", wh_conn_subject(conn))));
		for (int i = 0; i < list_length(queries); i++)
		{
			tallies[i].rows = strtoll(PQgetvalue(result, i, 1), NULL, 10);
			tallies[i].hash = join_sums(PQgetvalue(result, i, 2),
										PQgetvalue(result, i, 3));
		}
	}
	PG_FINALLY();
	{
		PQclear(result);
	}
	PG_END_TRY();

	while ((result = wh_conn_result(conn)) != NULL)
		PQclear(result);
}

/*
 * Tally here; see tally.h.  It only reads, and its subtransaction is undone:
 * that gives the settings back, and the locks on the relation and its indexes,
 * which would add up over the days of years.
 */
void
wh_tally_stored(const char *relation, TupleDesc stored, const char *condition,
				TupleDesc declared, WhTally *tally)
{
	Reading		reading = {.tally = tally};

	initStringInfo(&reading.sql);
	appendStringInfoString(&reading.sql, "SELECT ");
	append_tally(&reading.sql, NULL, stored_row(declared, stored),
				 psprintf("%s AS q%s%s", relation, condition ? " WHERE " : "",
						  condition ? condition : ""));

	wh_subtransaction(read_tally, &reading, false);
}

static void
read_tally(void *arg)
{
	Reading    *reading = (Reading *) arg;
	WhTally    *tally = reading->tally;
	MemoryContext caller = CurrentMemoryContext;

	wh_tally_pin_settings();
	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT, reading->sql.data, NULL, 0);

	/* Copy out while the SPI result is still there. */
	MemoryContextSwitchTo(caller);
	tally->rows = wh_col_int8(0, 1, 0);
	tally->hash = join_sums(wh_col_text(0, 2), wh_col_text(0, 3));
	SPI_finish();
}

/*
 * Tally what a query returns; see tally.h.  As above, but under the snapshot
 * that others read under, too.
 */
void
wh_tally_query(const char *query, TupleDesc declared, WhTally *tally)
{
	Reading		reading = {.tally = tally,.caller = CurrentMemoryContext};

	initStringInfo(&reading.sql);
	appendStringInfoString(&reading.sql, "SELECT ");
	append_tally(&reading.sql, NULL, stored_row(declared, declared),
				 psprintf("(\n%s\n) AS q", query));

	wh_subtransaction(stream_tally, &reading, false);
}

static void
stream_tally(void *arg)
{
	wh_tally_pin_settings();
	(void) wh_spi_stream(((Reading *) arg)->sql.data, take_tally, arg);
}

static void
take_tally(void *arg, HeapTuple tuple, TupleDesc desc)
{
	Reading    *reading = (Reading *) arg;
	MemoryContext context = MemoryContextSwitchTo(reading->caller);
	bool		isnull;

	reading->tally->rows = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
	reading->tally->hash = join_sums(SPI_getvalue(tuple, desc, 2),
									 SPI_getvalue(tuple, desc, 3));
	MemoryContextSwitchTo(context);
}

/*
 * Tally groups at the source; see tally.h.
 */
void
wh_tally_source_groups(WhConn *conn, const char *query,
					   const WhTallyGroups *groups, TupleDesc declared,
					   const WhRemoteColumns *remote, WhTally *tallies)
{
	PGresult   *volatile result = NULL;
	StringInfoData sql;

	initStringInfo(&sql);
	append_groups(&sql, groups, source_row(declared, remote),
				  psprintf("(\n%s\n)", query));

	result = wh_conn_exec(conn, sql.data, PGRES_TUPLES_OK);
	PG_TRY();
	{
		take_groups(conn, result, groups->n, tallies);
	}
	PG_FINALLY();
	{
		PQclear(result);
	}
	PG_END_TRY();

	while ((result = wh_conn_result(conn)) != NULL)
		PQclear(result);
}

static void
take_groups(WhConn *conn, const PGresult *result, int ngroups, WhTally *tallies)
{
	clear_groups(tallies, ngroups);
	for (int i = 0; i < PQntuples(result); i++)
	{
		int			group = atoi(PQgetvalue(result, i, 0));

		if (PQnfields(result) != 4 || group < 1 || group > ngroups)
			ereport(ERROR,
					(errcode(ERRCODE_PROTOCOL_VIOLATION),
					 errmsg("tenant did not count what it was asked to count"),
					 errdetail("%s", wh_conn_subject(conn))));
		tallies[group - 1].rows = strtoll(PQgetvalue(result, i, 1), NULL, 10);
		tallies[group - 1].hash = join_sums(PQgetvalue(result, i, 2),
											PQgetvalue(result, i, 3));
	}
}

/*
 * Tally groups here; see tally.h.
 */
void
wh_tally_stored_groups(const char *relation, TupleDesc stored,
					   const WhTallyGroups *groups, TupleDesc declared,
					   WhTally *tallies)
{
	Reading		reading = {.tally = tallies,.ngroups = groups->n};

	initStringInfo(&reading.sql);
	append_groups(&reading.sql, groups, stored_row(declared, stored), relation);

	wh_subtransaction(read_groups, &reading, false);
}

static void
read_groups(void *arg)
{
	Reading    *reading = (Reading *) arg;
	MemoryContext caller = CurrentMemoryContext;
	uint64		n;

	wh_tally_pin_settings();
	SPI_connect();
	n = wh_spi(SPI_OK_SELECT, reading->sql.data, NULL, 0);

	/* Copy out while the SPI result is still there. */
	MemoryContextSwitchTo(caller);
	clear_groups(reading->tally, reading->ngroups);
	for (uint64 row = 0; row < n; row++)
	{
		WhTally    *tally = &reading->tally[wh_col_int4(row, 1, 0) - 1];

		tally->rows = wh_col_int8(row, 2, 0);
		tally->hash = join_sums(wh_col_text(row, 3), wh_col_text(row, 4));
	}
	SPI_finish();
}

/*
 * A group without rows is in no answer.
 */
static void
clear_groups(WhTally *tallies, int ngroups)
{
	for (int i = 0; i < ngroups; i++)
	{
		tallies[i].rows = 0;
		tallies[i].hash = join_sums("0", "0");
	}
}

bool
wh_tally_equal(const WhTally *a, const WhTally *b)
{
	return a->rows == b->rows && strcmp(a->hash, b->hash) == 0;
}

/*
 * Write the query that counts and hashes the groups of the rows of "from".
 */
static void
append_groups(StringInfo sql, const WhTallyGroups *groups, const char *row,
			  const char *from)
{
	appendStringInfoString(sql, "SELECT r.number, ");
	append_tally(sql, groups->number, row,
				 psprintf("%s AS q WHERE %s", from, groups->condition));
	appendStringInfoString(sql, " GROUP BY r.number");
}

/*
 * Write what counts and hashes the rows of "from", each of which is the text
 * "row", and has a number of its group where that is not NULL.  OFFSET keeps
 * the planner from computing the md5 twice.
 */
static void
append_tally(StringInfo sql, const char *number, const char *row, const char *from)
{
	const char *group = number ? psprintf("%s AS number, ", number) : "";

	appendStringInfo(sql,
					 "pg_catalog.count(*),"
					 " COALESCE(pg_catalog.sum(('x' OPERATOR(pg_catalog.||)"
					 " pg_catalog.substr(r.hash, 1, 16))::pg_catalog.bit(64)::pg_catalog.int8), 0)::pg_catalog.text,"
					 " COALESCE(pg_catalog.sum(('x' OPERATOR(pg_catalog.||)"
					 " pg_catalog.substr(r.hash, 17, 16))::pg_catalog.bit(64)::pg_catalog.int8), 0)::pg_catalog.text"
					 " FROM (SELECT %spg_catalog.md5(pg_catalog.convert_to(%s, 'UTF8')) AS hash"
					 " FROM %s OFFSET 0) AS r", group, row, from);
}

/*
 * Write a row of the source's as text.  A column that it lacks is null, as a
 * fetch would have it.
 */
static char *
source_row(TupleDesc declared, const WhRemoteColumns *remote)
{
	StringInfoData row;

	initStringInfo(&row);
	for (int i = 0; i < declared->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(declared, i);
		const char *value = NULL;

		if (wh_describe_has(remote, NameStr(att->attname)))
			value = rounded(psprintf("q.%s::%s",
									 quote_identifier(NameStr(att->attname)),
									 wh_decode_cast(att->atttypid)), att);
		append_value(&row, value, att->atttypid);
	}

	return row.data;
}

/*
 * Write a stored row as text.  A column of another type than the declared one
 * stays as it is: such a row was made by an older version of the template.
 */
static char *
stored_row(TupleDesc declared, TupleDesc stored)
{
	StringInfoData row;

	initStringInfo(&row);
	for (int i = 0; i < declared->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(declared, i)->attname);
		int			attnum = SPI_fnumber(stored, name);

		if (attnum > 0)
			append_value(&row, psprintf("q.%s", quote_identifier(name)),
						 TupleDescAttr(stored, attnum - 1)->atttypid);
		else
			append_value(&row, NULL, InvalidOid);
	}

	return row.data;
}

/*
 * Append one value to a row; NULL: a column that is not there.
 */
static void
append_value(StringInfo row, const char *value, Oid typid)
{
	if (row->len > 0)
		appendStringInfoString(row, " OPERATOR(pg_catalog.||) ',' OPERATOR(pg_catalog.||) ");
	if (value == NULL)
		appendStringInfoString(row, "'NULL'::pg_catalog.text");
	else
		appendStringInfo(row, "pg_catalog.quote_nullable(%s)", text_of(value, typid));
}

/*
 * Write a value as text that is the same everywhere.
 */
static char *
text_of(const char *value, Oid typid)
{
	const char *send = send_function(typid);

	if (send != NULL)
		return psprintf("pg_catalog.encode(pg_catalog.%s(%s), 'hex')", send, value);

	return psprintf("(%s)::pg_catalog.text", value);
}

/*
 * Name the function that writes a type's binary form, where its text depends
 * on the version (floats, before 12) or the locale (money).
 */
static const char *
send_function(Oid typid)
{
	switch (typid)
	{
		case FLOAT4OID:
			return "float4send";
		case FLOAT8OID:
			return "float8send";
		case POINTOID:
			return "point_send";
		case LSEGOID:
			return "lseg_send";
		case LINEOID:
			return "line_send";
		case BOXOID:
			return "box_send";
		case PATHOID:
			return "path_send";
		case POLYGONOID:
			return "poly_send";
		case CIRCLEOID:
			return "circle_send";
		case MONEYOID:
			return "cash_send";
		default:
			return OidIsValid(get_element_type(typid)) &&
				send_function(get_element_type(typid)) != NULL ? "array_send" : NULL;
	}
}

/*
 * Cast to the declared scale or precision where receiving a value rounds to
 * it.  Where a value that is too long is refused, a cast would cut it.
 */
static char *
rounded(const char *value, Form_pg_attribute att)
{
	Oid			element = get_element_type(att->atttypid);

	switch (OidIsValid(element) ? element : att->atttypid)
	{
		case NUMERICOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
			return psprintf("%s::%s", value,
							format_type_with_typemod(att->atttypid, att->atttypmod));
		default:
			return pstrdup(value);
	}
}

/*
 * Have values written here as they are there; see tally.h.
 */
void
wh_tally_pin_settings(void)
{
	static const char *const pinned[][2] = {
		{"timezone", "UTC"},
		{"datestyle", "ISO, MDY"},
		{"intervalstyle", "postgres"},
		{"extra_float_digits", "3"},
		{"bytea_output", "hex"}
	};

	for (int i = 0; i < (int) lengthof(pinned); i++)
		(void) set_config_option(pinned[i][0], pinned[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

static char *
join_sums(const char *first, const char *second)
{
	return psprintf("%.64s/%.64s", first, second);
}
