/*
 * bridge_catalog.c
 *		What tables and views a bridge's source has, and which of them have a
 *		foreign table here.
 *
 * The source's catalog is read over our own connection (conn.c), so a source
 * that does not answer ends at a deadline.  What follows from a difference is
 * the caller's.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "bridge_catalog.h"
#include "conn.h"
#include "session.h"
#include "settings.h"
#include "spi.h"

static List *tables_here(const char *condition, const WhArg *args, int nargs);
static List *ask_source(const WhBridge *bridge, const char *subject, const char *condition,
						bool *found, TimestampTz *as_of);
static void take_row(const WhBridge *bridge, const PGresult *result, int row, List **tables);
static char *catalog_sql(const char *kinds, const char *condition);
static char *field(const WhBridge *bridge, const PGresult *result, int row, int col);
static WhBridgeTable *table_named(List **tables, const char *schema, const char *name);

List *
wh_bridge_tables(const WhBridge *bridge)
{
	WhArg		args[] = {wh_name(bridge->server), wh_name(bridge->local_schema)};

	return tables_here("s.srvname = $1 AND n.nspname = $2", args, lengthof(args));
}

WhBridgeTable *
wh_bridge_table_here(Oid relid)
{
	WhArg		arg = wh_int8(relid);
	List	   *tables = tables_here("c.oid = $1::pg_catalog.oid", &arg, 1);

	return tables == NIL ? NULL : (WhBridgeTable *) linitial(tables);
}

/*
 * Ask the source what tables and views it has; a partition is part of one.
 */
List *
wh_bridge_remote_tables(const WhBridge *bridge)
{
	bool		found;
	TimestampTz as_of;
	List	   *tables = ask_source(bridge,
									psprintf("Bridge \"%s\", schema \"%s\" at the source.",
											 bridge->server, bridge->remote_schema),
									psprintf("n.nspname = %s",
											 quote_literal_cstr(bridge->remote_schema)),
									&found, &as_of);

	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_SCHEMA_NAME),
				 errmsg("bridge \"%s\": schema \"%s\" does not exist at the source",
						bridge->server, bridge->remote_schema),
				 errhint("Drop the bridge and create it with the right remote_schema.")));

	return tables;
}

List *
wh_bridge_remote_named(const WhBridge *bridge, const List *tables,
					   const char *subject, TimestampTz *as_of)
{
	StringInfoData condition;
	bool		found;
	ListCell   *lc;

	initStringInfo(&condition);
	appendStringInfoString(&condition, "false");
	foreach(lc, tables)
	{
		const WhBridgeTable *table = (const WhBridgeTable *) lfirst(lc);

		appendStringInfo(&condition, " OR (n.nspname, c.relname) = (%s, %s)",
						 quote_literal_cstr(table->schema), quote_literal_cstr(table->name));
	}

	return ask_source(bridge, subject, condition.data, &found, as_of);
}

WhBridgeTable *
wh_bridge_table_find(const List *tables, const char *name)
{
	ListCell   *lc;

	foreach(lc, tables)
	{
		WhBridgeTable *table = (WhBridgeTable *) lfirst(lc);

		if (strcmp(table->name, name) == 0)
			return table;
	}

	return NULL;
}

WhBridgeColumn *
wh_bridge_column_find(const List *columns, const char *name)
{
	ListCell   *lc;

	foreach(lc, columns)
	{
		WhBridgeColumn *column = (WhBridgeColumn *) lfirst(lc);

		if (strcmp(column->name, name) == 0)
			return column;
	}

	return NULL;
}

char *
wh_bridge_column_list(const WhBridgeTable *table)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, table->columns)
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "",
						 quote_identifier(((const WhBridgeColumn *) lfirst(lc))->name));

	return list.data;
}

List *
wh_bridge_unknown_types(const List *tables)
{
	List	   *types = NIL;
	List	   *collations = NIL;
	WhArg		args[2];
	ListCell   *lt;
	ListCell   *lc;

	foreach(lt, tables)
	{
		foreach(lc, ((const WhBridgeTable *) lfirst(lt))->columns)
		{
			const WhBridgeColumn *column = (const WhBridgeColumn *) lfirst(lc);

			if (!wh_bridge_names_have(types, column->type))
				types = lappend(types, column->type);
			if (column->collation != NULL && !wh_bridge_names_have(collations, column->collation))
				collations = lappend(collations, column->collation);
		}
	}
	args[0] = wh_text_array(types);
	args[1] = wh_text_array(collations);

	return wh_spi_strings("SELECT t FROM pg_catalog.unnest($1) t"
						  " WHERE pg_catalog.to_regtype(t) IS NULL"
						  " UNION ALL SELECT t FROM pg_catalog.unnest($2) t"
						  " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_collation l"
						  " JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace"
						  " WHERE pg_catalog.format('%I.%I', n.nspname, l.collname) = t)",
						  args, lengthof(args));
}

bool
wh_bridge_column_is_unknown(const WhBridgeColumn *column, const List *unknown)
{
	return wh_bridge_names_have(unknown, column->type) ||
		(column->collation != NULL && wh_bridge_names_have(unknown, column->collation));
}

/*
 * List foreign tables of this database, by what they show.
 */
static List *
tables_here(const char *condition, const WhArg *args, int nargs)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *tables = NIL;
	uint64		rows;

	SPI_connect();
	rows = wh_spi(SPI_OK_SELECT,
				  psprintf("SELECT coalesce(os.option_value, n.nspname),"
						   " coalesce(o.option_value, c.relname), c.oid, a.attname,"
						   " pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,"
						   " CASE WHEN a.attcollation <> y.typcollation THEN"
						   "   pg_catalog.format('%%I.%%I', ln.nspname, l.collname) END"
						   " FROM pg_catalog.pg_foreign_table f"
						   " JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver"
						   " JOIN pg_catalog.pg_class c ON c.oid = f.ftrelid"
						   " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
						   " LEFT JOIN LATERAL pg_catalog.pg_options_to_table(f.ftoptions) o"
						   "   ON o.option_name = 'table_name'"
						   " LEFT JOIN LATERAL pg_catalog.pg_options_to_table(f.ftoptions) os"
						   "   ON os.option_name = 'schema_name'"
						   " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid"
						   "   AND a.attnum > 0 AND NOT a.attisdropped"
						   " LEFT JOIN pg_catalog.pg_type y ON y.oid = a.atttypid"
						   " LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation"
						   " LEFT JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace"
						   " WHERE %s"
						   " ORDER BY coalesce(o.option_value, c.relname) COLLATE pg_catalog.\"C\","
						   " c.oid, a.attnum", condition),
				  args, nargs);

	/* Copy out while the SPI result is still there. */
	MemoryContextSwitchTo(caller);
	for (uint64 row = 0; row < rows; row++)
	{
		WhBridgeTable *table = table_named(&tables, wh_col_text(row, 1), wh_col_text(row, 2));
		char	   *name = wh_col_text(row, 4);
		bool		isnull;

		table->readable = true;
		table->relid = DatumGetObjectId(wh_col(row, 3, &isnull));
		if (name != NULL)
		{
			WhBridgeColumn *column = (WhBridgeColumn *) palloc0(sizeof(WhBridgeColumn));

			column->name = name;
			column->type = wh_col_text(row, 5);
			column->not_null = wh_col_bool(row, 6, false);
			column->collation = wh_col_text(row, 7);
			table->columns = lappend(table->columns, column);
		}
	}
	SPI_finish();

	return tables;
}

/*
 * Ask the source's catalog; "found" says whether there was a row at all, which
 * of a schema without tables is one without a table.
 */
static List *
ask_source(const WhBridge *bridge, const char *subject, const char *condition,
		   bool *found, TimestampTz *as_of)
{
	PGresult   *volatile result = NULL;
	List	   *tables = NIL;
	WhConn	   *conn;
	char	   *sql;

	conn = wh_connect(wh_bridge_endpoint(bridge), subject);
	wh_session_begin(conn);
	*as_of = wh_conn_session(conn)->as_of;
	PQclear(wh_conn_exec(conn, "SELECT pg_catalog.set_config('search_path', 'pg_catalog', true)",
						 PGRES_TUPLES_OK));
	while ((result = wh_conn_result(conn)) != NULL)
		PQclear(result);
	sql = catalog_sql(wh_conn_server_version(conn) >= 100000 ? " AND NOT c.relispartition" : "",
					  condition);
	result = wh_conn_exec(conn, sql, PGRES_TUPLES_OK);
	PG_TRY();
	{
		PGresult   *more;

		while ((more = wh_conn_result(conn)) != NULL)
			PQclear(more);
		*found = PQntuples(result) > 0;
		for (int row = 0; row < PQntuples(result); row++)
			take_row(bridge, result, row, &tables);
	}
	PG_FINALLY();
	{
		PQclear(result);
	}
	PG_END_TRY();
	wh_disconnect(conn);

	return tables;
}

static void
take_row(const WhBridge *bridge, const PGresult *result, int row, List **tables)
{
	WhBridgeColumn *column;
	WhBridgeTable *table;

	if (PQgetisnull(result, row, 1))
		return;
	table = table_named(tables, field(bridge, result, row, 0), field(bridge, result, row, 1));
	table->readable = PQgetvalue(result, row, 2)[0] == 't';
	if (PQgetisnull(result, row, 3))
		return;

	column = (WhBridgeColumn *) palloc0(sizeof(WhBridgeColumn));
	column->name = field(bridge, result, row, 3);
	column->type = field(bridge, result, row, 4);
	column->not_null = PQgetvalue(result, row, 5)[0] == 't';
	if (!PQgetisnull(result, row, 6))
		column->collation = field(bridge, result, row, 6);
	column->key = atoi(PQgetvalue(result, row, 7));
	table->columns = lappend(table->columns, column);
}

/*
 * Write the query for the source's catalog: one row per column, a row without
 * a table when there is none, and no row when there is no such schema.
 */
static char *
catalog_sql(const char *kinds, const char *condition)
{
	return psprintf("SELECT n.nspname, c.relname, has_any_column_privilege(c.oid, 'SELECT')"
					"   AND has_schema_privilege(n.oid, 'USAGE'), a.attname,"
					" format_type(a.atttypid, a.atttypmod), a.attnotnull,"
					" CASE WHEN a.attcollation <> y.typcollation THEN"
					"   format('%%I.%%I', ln.nspname, l.collname) END,"
					" coalesce((SELECT k.n FROM unnest(i.indkey) WITH ORDINALITY AS k(attnum, n)"
					"   WHERE k.attnum = a.attnum), 0)"
					" FROM pg_namespace n"
					" LEFT JOIN pg_class c ON c.relnamespace = n.oid"
					"   AND c.relkind IN ('r', 'v', 'f', 'm', 'p')%s"
					" LEFT JOIN pg_attribute a ON a.attrelid = c.oid"
					"   AND a.attnum > 0 AND NOT a.attisdropped"
					" LEFT JOIN pg_type y ON y.oid = a.atttypid"
					" LEFT JOIN pg_collation l ON l.oid = a.attcollation"
					" LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace"
					" LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary"
					" WHERE %s"
					" ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\", a.attnum",
					kinds, condition);
}

/*
 * Copy a field of the source's answer.  It may become a name here, so it must
 * be text here; the source checks its own encoding, or none.
 */
static char *
field(const WhBridge *bridge, const PGresult *result, int row, int col)
{
	const char *value = PQgetvalue(result, row, col);

	if (!pg_verify_mbstr(GetDatabaseEncoding(), value, strlen(value), true))
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("bridge \"%s\": a name at the source is not valid in encoding \"%s\"",
						bridge->server, GetDatabaseEncodingName()),
				 errdetail("It is in row %d of what the source has in schema \"%s\".",
						   row + 1, bridge->remote_schema),
				 errhint("Rename it there, or give the bridge a schema without it.")));

	return pstrdup(value);
}

/*
 * Return the last table of the list, or a new one after it when that has
 * another name: rows of a table follow each other.
 */
static WhBridgeTable *
table_named(List **tables, const char *schema, const char *name)
{
	WhBridgeTable *table = *tables == NIL ? NULL : (WhBridgeTable *) llast(*tables);

	if (table == NULL || strcmp(table->name, name) != 0 || strcmp(table->schema, schema) != 0)
	{
		table = (WhBridgeTable *) palloc0(sizeof(WhBridgeTable));
		table->schema = pstrdup(schema);
		table->name = pstrdup(name);
		*tables = lappend(*tables, table);
	}

	return table;
}
