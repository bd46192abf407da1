/*
 * keyed.c
 *		Whether a source can be read by what changed: proof of key and
 *		watermark, before the first row.
 *
 * The source's catalog proves it where the columns are a table's own: a
 * constraint will hold tomorrow, too.  Where a query computes them, or reads
 * them from a view, the rows themselves are asked, once.  A watermark that the
 * query makes up when it runs (CURRENT_TIMESTAMP AS updated_at) would call
 * every row new and lose each change that comes late; the source's planner
 * shows it, through however many views.
 *
 * All that is missing is said at once, so that it is mended at once.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "keyed.h"
#include "remote.h"

/* A column of the query that has a part to play. */
typedef struct Column
{
	const char *role;			/* key column, watermark column */
	const char *name;
	const WhRemoteColumn *remote;	/* NULL: the query does not return it */
	char	   *table;			/* whose it is, as people write it; or NULL */
	bool		stored;			/* in a table, with constraints */
	bool		not_null;
} Column;

typedef struct Check
{
	WhConn	   *conn;
	const WhTemplate *tmpl;
	const char *query;
	List	   *keys;			/* of Column * */
	Column	   *watermark;
	StringInfoData missing;
} Check;

static Column *find_column(Check *check, const char *role, const char *name,
						   const WhRemoteColumns *remote);
static void ask_catalog(Check *check, Column *column);
static void check_key(Check *check);
static bool one_table(const List *keys);
static bool has_unique_index(Check *check);
static void check_watermark(Check *check);
static bool is_made_up(Check *check);
static void check_rows(Check *check);
static char *key_list(const List *keys);
static char *ask(WhConn *conn, const char *sql);
static void miss(Check *check, const char *format,...) pg_attribute_printf(2, 3);

/*
 * Check key and watermark; see keyed.h.
 */
void
wh_keyed_check(WhConn *conn, const WhTemplate *tmpl, const char *query,
			   const WhRemoteColumns *remote)
{
	Check		check = {.conn = conn,.tmpl = tmpl,.query = query};
	ListCell   *lc;

	initStringInfo(&check.missing);
	foreach(lc, tmpl->key_columns)
		check.keys = lappend(check.keys, find_column(&check, "key column",
													 (const char *) lfirst(lc), remote));
	check.watermark = find_column(&check, "watermark column",
								  tmpl->watermark_column, remote);

	check_key(&check);
	check_watermark(&check);
	if (check.missing.len == 0)
		check_rows(&check);
	if (check.missing.len == 0)
		return;

	wh_remote_failed_mark();
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the source of template \"%s\" cannot be read by what changed",
					tmpl->name),
			 errdetail("%s%s", wh_conn_subject(conn), check.missing.data),
			 errhint("Mend the source or the query, or read all of it each time: SELECT _wh.alter_template(%s, materialization => 'snapshot');",
					 quote_literal_cstr(tmpl->name))));
}

static Column *
find_column(Check *check, const char *role, const char *name,
			const WhRemoteColumns *remote)
{
	Column	   *column = (Column *) palloc0(sizeof(Column));

	column->role = role;
	column->name = name;
	for (int i = 0; i < remote->n && column->remote == NULL; i++)
	{
		if (strcmp(remote->columns[i].name, name) == 0)
			column->remote = &remote->columns[i];
	}
	if (column->remote == NULL)
		miss(check, "%s \"%s\": the query does not return it", role, name);
	else if (OidIsValid(column->remote->relid))
		ask_catalog(check, column);

	return column;
}

/*
 * Ask what the source's catalog says of a column that is a relation's own.
 */
static void
ask_catalog(Check *check, Column *column)
{
	const WhRemoteColumn *remote = column->remote;
	char	   *answer = ask(check->conn,
							 psprintf("SELECT c.relkind::text || a.attnotnull::text || ' ' || c.oid::regclass::text"
									  " FROM pg_catalog.pg_class AS c"
									  " JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid"
									  " WHERE c.oid = %u AND a.attnum = %d",
									  remote->relid, remote->attnum));
	char	   *space = answer ? strchr(answer, ' ') : NULL;

	if (space == NULL)
		return;

	column->stored = answer[0] == RELKIND_RELATION ||
		answer[0] == RELKIND_PARTITIONED_TABLE;
	column->not_null = answer[1] == 't';
	column->table = space + 1;
}

static void
check_key(Check *check)
{
	ListCell   *lc;

	foreach(lc, check->keys)
	{
		const Column *key = (const Column *) lfirst(lc);

		if (key->stored && !key->not_null)
			miss(check, "key column \"%s\": nullable in %s", key->name, key->table);
	}

	if (one_table(check->keys) && !has_unique_index(check))
		miss(check, "key (%s): not unique in %s, which has no primary key or unique constraint on it",
			 key_list(check->keys), ((const Column *) linitial(check->keys))->table);
}

/*
 * Are all columns of the key one table's own?
 */
static bool
one_table(const List *keys)
{
	ListCell   *lc;

	foreach(lc, keys)
	{
		const Column *key = (const Column *) lfirst(lc);
		const Column *first = (const Column *) linitial(keys);

		if (!key->stored || key->remote->relid != first->remote->relid)
			return false;
	}

	return true;
}

/*
 * Is there a unique index on these columns or some of them, that holds for
 * all rows at all times?
 */
static bool
has_unique_index(Check *check)
{
	bool		includes = wh_conn_server_version(check->conn) >= 110000;
	StringInfoData attnums;
	ListCell   *lc;
	char	   *answer;

	initStringInfo(&attnums);
	foreach(lc, check->keys)
		appendStringInfo(&attnums, "%s%d", attnums.len > 0 ? "," : "",
						 ((const Column *) lfirst(lc))->remote->attnum);

	answer = ask(check->conn,
				 psprintf("SELECT EXISTS (SELECT FROM pg_catalog.pg_index AS i"
						  " WHERE i.indrelid = %u AND i.indisunique AND i.indisvalid"
						  " AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL"
						  " AND (i.indkey::int2[])[0:i.%s - 1] <@ '{%s}'::int2[])",
						  ((const Column *) linitial(check->keys))->remote->relid,
						  includes ? "indnkeyatts" : "indnatts", attnums.data));

	return answer != NULL && answer[0] == 't';
}

static void
check_watermark(Check *check)
{
	const Column *watermark = check->watermark;
	Oid			type;

	if (watermark->remote == NULL)
		return;

	type = watermark->remote->typid;
	if (type != TIMESTAMPTZOID && type != TIMESTAMPOID)
		miss(check, "watermark column \"%s\": of type %s, not a timestamp",
			 watermark->name, watermark->remote->type_name);
	if (watermark->stored && !watermark->not_null)
		miss(check, "watermark column \"%s\": nullable in %s",
			 watermark->name, watermark->table);
	if (!watermark->stored && is_made_up(check))
		miss(check, "watermark column \"%s\": made up when the query runs, so it does not say when the row was written",
			 watermark->name);
}

/*
 * Does the source compute the watermark from its clock?  EXPLAIN shows what
 * each step of the plan puts out, with views and subqueries taken apart.
 */
static bool
is_made_up(Check *check)
{
	static const char *const clocks[] = {
		"CURRENT_TIMESTAMP", "LOCALTIMESTAMP", "CURRENT_DATE", "CURRENT_TIME",
		"now()", "clock_timestamp()", "statement_timestamp()",
		"transaction_timestamp()"
	};
	PGresult   *volatile result;
	volatile bool made_up = false;

	result = wh_conn_exec(check->conn,
						  psprintf("EXPLAIN (VERBOSE, COSTS OFF) SELECT q.%s FROM (\n%s\n) AS q",
								   quote_identifier(check->watermark->name), check->query),
						  PGRES_TUPLES_OK);
	PG_TRY();
	{
		for (int row = 0; row < PQntuples(result); row++)
		{
			const char *output = strstr(PQgetvalue(result, row, 0), "Output: ");

			for (int i = 0; output != NULL && i < (int) lengthof(clocks); i++)
				made_up |= strstr(output, clocks[i]) != NULL;
		}
	}
	PG_FINALLY();
	{
		PQclear(result);
	}
	PG_END_TRY();
	while ((result = wh_conn_result(check->conn)) != NULL)
		PQclear(result);

	return made_up;
}

/*
 * Ask the rows for what no constraint says.
 */
static void
check_rows(Check *check)
{
	const char *from = psprintf(" FROM (\n%s\n) AS q", check->query);
	StringInfoData nulls;
	ListCell   *lc;
	char	   *answer;

	initStringInfo(&nulls);
	foreach(lc, check->keys)
	{
		const Column *key = (const Column *) lfirst(lc);

		if (!key->not_null)
			appendStringInfo(&nulls, "%sq.%s IS NULL", nulls.len > 0 ? " OR " : "",
							 quote_identifier(key->name));
	}
	if (nulls.len > 0)
	{
		answer = ask(check->conn, psprintf("SELECT EXISTS (SELECT%s WHERE %s)", from, nulls.data));
		if (answer != NULL && answer[0] == 't')
			miss(check, "key (%s): null in some rows", key_list(check->keys));
	}

	if (!check->watermark->not_null)
	{
		answer = ask(check->conn, psprintf("SELECT EXISTS (SELECT%s WHERE q.%s IS NULL)", from,
										   quote_identifier(check->watermark->name)));
		if (answer != NULL && answer[0] == 't')
			miss(check, "watermark column \"%s\": null in some rows", check->watermark->name);
	}

	if (!one_table(check->keys))
	{
		answer = ask(check->conn, psprintf("SELECT EXISTS (SELECT%s GROUP BY %s HAVING pg_catalog.count(*) > 1)",
										   from, key_list(check->keys)));
		if (answer != NULL && answer[0] == 't')
			miss(check, "key (%s): the same in several rows", key_list(check->keys));
	}
}

static char *
key_list(const List *keys)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, keys)
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "",
						 quote_identifier(((const Column *) lfirst(lc))->name));

	return list.data;
}

/*
 * Return the one value that a question is answered with; NULL for none.
 */
static char *
ask(WhConn *conn, const char *sql)
{
	PGresult   *result = wh_conn_exec(conn, sql, PGRES_TUPLES_OK);
	char	   *answer = NULL;

	if (PQntuples(result) == 1 && PQnfields(result) == 1)
		answer = wh_clean_text(PQgetvalue(result, 0, 0));
	PQclear(result);
	while ((result = wh_conn_result(conn)) != NULL)
		PQclear(result);

	return answer;
}

/*
 * Add a line to what is missing.
 */
static void
miss(Check *check, const char *format,...)
{
	appendStringInfoString(&check->missing, "\n- ");
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&check->missing, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&check->missing, needed);
	}
}
