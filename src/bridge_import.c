/*
 * bridge_import.c
 *		The foreign tables of a bridge: sync_bridge().
 *
 * The source's catalog is read over our own connection (conn.c), so a source
 * that does not answer ends at a deadline.  Each table is judged by itself:
 * one that cannot be had leaves the others alone, where IMPORT FOREIGN SCHEMA
 * takes all or nothing.  Nothing of others is dropped along: a table that they
 * depend on stays as it is and is listed as blocked.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "audit.h"
#include "bridge_import.h"
#include "conn.h"
#include "kept.h"
#include "lock.h"
#include "session.h"
#include "settings.h"
#include "shim.h"
#include "spi.h"

/* One call of wh_bridge_sync(). */
typedef struct Sync
{
	const WhBridge *bridge;
	bool		dry_run;
	WhOnChange	on_change;
	void	   *arg;
	List	   *unknown_types;	/* of char *: not to be had here */
} Sync;

/* How a foreign table becomes like the source's table. */
typedef struct Change
{
	StringInfoData clauses;		/* of ALTER FOREIGN TABLE */
	StringInfoData detail;
	bool		takes_away;		/* a column goes or changes its type */
} Change;

PG_FUNCTION_INFO_V1(wh_sync_bridge);

static void put_change(void *arg, const char *action, const char *object,
					   const char *detail);
static char *catalog_sql(int version, const char *schema);
static char *field(const WhBridge *bridge, const PGresult *result, int row, int col);
static WhBridgeTable *table_named(List **tables, const char *name);
static WhBridgeColumn *find_column(const List *columns, const char *name);
static List *unknown_types(const List *tables);
static bool wanted(const WhBridge *bridge, const char *name);
static void sync_table(const Sync *sync, const WhBridgeTable *source,
					   const WhBridgeTable *here);
static const char *obstacle(const Sync *sync, const WhBridgeTable *source);
static void create_table(const Sync *sync, const WhBridgeTable *source);
static void append_column(StringInfo sql, const WhBridgeColumn *column);
static void find_change(Change *change, const WhBridgeTable *source,
						const WhBridgeTable *here);
static void note(Change *change, const char *what, const char *name, const char *clause);
static void alter_table(const Sync *sync, const WhBridgeTable *source,
						const WhBridgeTable *here, const Change *change);
static void drop_table(const Sync *sync, const WhBridgeTable *here);
static char *blockers(const WhBridge *bridge, const WhBridgeTable *here);
static char *table_name(const WhBridge *bridge, const char *name);
static void tell(const Sync *sync, const char *action, const char *name,
				 const char *detail);

/*
 * _wh.sync_bridge(server name, dry_run boolean)
 *		returns table (action, object, detail)
 */
Datum
wh_sync_bridge(PG_FUNCTION_ARGS)
{
	const char *server = NameStr(*PG_GETARG_NAME(0));
	bool		dry_run = PG_GETARG_BOOL(1);
	WhRole		caller;

	InitMaterializedSRF(fcinfo, 0);

	wh_become_owner(&caller);
	wh_bridge_sync(dry_run ? wh_bridge(server) : wh_bridge_to_change(server), dry_run,
				   put_change, fcinfo->resultinfo);
	wh_role_leave(&caller);
	if (!dry_run)
		wh_audit("sync_bridge", server, NULL);

	return (Datum) 0;
}

List *
wh_bridge_tables(const WhBridge *bridge)
{
	MemoryContext caller = CurrentMemoryContext;
	WhArg		args[] = {wh_name(bridge->server), wh_name(bridge->local_schema)};
	List	   *tables = NIL;
	uint64		rows;

	SPI_connect();
	rows = wh_spi(SPI_OK_SELECT,
				  "SELECT coalesce(o.option_value, c.relname), c.oid, a.attname,"
				  " pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,"
				  " CASE WHEN a.attcollation <> y.typcollation THEN"
				  "   pg_catalog.format('%I.%I', ln.nspname, l.collname) END"
				  " FROM pg_catalog.pg_foreign_table f"
				  " JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver"
				  " JOIN pg_catalog.pg_class c ON c.oid = f.ftrelid"
				  " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
				  " LEFT JOIN LATERAL pg_catalog.pg_options_to_table(f.ftoptions) o"
				  "   ON o.option_name = 'table_name'"
				  " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid"
				  "   AND a.attnum > 0 AND NOT a.attisdropped"
				  " LEFT JOIN pg_catalog.pg_type y ON y.oid = a.atttypid"
				  " LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation"
				  " LEFT JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace"
				  " WHERE s.srvname = $1 AND n.nspname = $2"
				  " ORDER BY coalesce(o.option_value, c.relname) COLLATE pg_catalog.\"C\", a.attnum",
				  args, lengthof(args));

	/* Copy out while the SPI result is still there. */
	MemoryContextSwitchTo(caller);
	for (uint64 row = 0; row < rows; row++)
	{
		WhBridgeTable *table = table_named(&tables, wh_col_text(row, 1));
		char	   *name = wh_col_text(row, 3);
		bool		isnull;

		table->readable = true;
		table->relid = DatumGetObjectId(wh_col(row, 2, &isnull));
		if (name != NULL)
		{
			WhBridgeColumn *column = (WhBridgeColumn *) palloc0(sizeof(WhBridgeColumn));

			column->name = name;
			column->type = wh_col_text(row, 4);
			column->not_null = wh_col_bool(row, 5, false);
			column->collation = wh_col_text(row, 6);
			table->columns = lappend(table->columns, column);
		}
	}
	SPI_finish();

	return tables;
}

/*
 * Ask the source what tables and views it has.
 */
List *
wh_bridge_remote_tables(const WhBridge *bridge)
{
	PGresult   *volatile result = NULL;
	List	   *tables = NIL;
	volatile bool no_schema = false;
	WhConn	   *conn;

	conn = wh_connect(wh_bridge_endpoint(bridge),
					  psprintf("Bridge \"%s\", schema \"%s\" at the source.",
							   bridge->server, bridge->remote_schema));
	wh_session_begin(conn);
	PQclear(wh_conn_exec(conn, "SELECT pg_catalog.set_config('search_path', 'pg_catalog', true)",
						 PGRES_TUPLES_OK));
	while ((result = wh_conn_result(conn)) != NULL)
		PQclear(result);
	result = wh_conn_exec(conn, catalog_sql(wh_conn_server_version(conn), bridge->remote_schema),
						  PGRES_TUPLES_OK);
	PG_TRY();
	{
		PGresult   *more;

		while ((more = wh_conn_result(conn)) != NULL)
			PQclear(more);
		no_schema = PQntuples(result) == 0;
		for (int row = 0; row < PQntuples(result); row++)
		{
			WhBridgeColumn *column;
			WhBridgeTable *table;

			if (PQgetisnull(result, row, 0))
				continue;
			table = table_named(&tables, field(bridge, result, row, 0));
			table->readable = PQgetvalue(result, row, 1)[0] == 't';
			if (PQgetisnull(result, row, 2))
				continue;
			column = (WhBridgeColumn *) palloc0(sizeof(WhBridgeColumn));
			column->name = field(bridge, result, row, 2);
			column->type = field(bridge, result, row, 3);
			column->not_null = PQgetvalue(result, row, 4)[0] == 't';
			if (!PQgetisnull(result, row, 5))
				column->collation = field(bridge, result, row, 5);
			column->key = atoi(PQgetvalue(result, row, 6));
			table->columns = lappend(table->columns, column);
		}
	}
	PG_FINALLY();
	{
		PQclear(result);
	}
	PG_END_TRY();
	wh_disconnect(conn);

	if (no_schema)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_SCHEMA_NAME),
				 errmsg("bridge \"%s\": schema \"%s\" does not exist at the source",
						bridge->server, bridge->remote_schema),
				 errhint("Drop the bridge and create it with the right remote_schema.")));

	return tables;
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

/*
 * Make the foreign tables like the source's; see bridge_import.h.
 */
void
wh_bridge_sync(const WhBridge *bridge, bool dry_run, WhOnChange on_change, void *arg)
{
	Sync		sync = {bridge, dry_run, on_change, arg, NIL};
	List	   *source = wh_bridge_remote_tables(bridge);
	List	   *here = wh_bridge_tables(bridge);
	int			nestlevel = wh_lock_bound();
	ListCell   *lc;

	sync.unknown_types = unknown_types(source);
	foreach(lc, source)
	{
		const WhBridgeTable *table = (const WhBridgeTable *) lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (wanted(bridge, table->name))
			sync_table(&sync, table, wh_bridge_table_find(here, table->name));
	}
	foreach(lc, here)
	{
		const WhBridgeTable *table = (const WhBridgeTable *) lfirst(lc);

		if (!wanted(bridge, table->name) || wh_bridge_table_find(source, table->name) == NULL)
			drop_table(&sync, table);
	}
	foreach(lc, bridge->tables)
	{
		const char *name = (const char *) lfirst(lc);

		if (wh_bridge_table_find(source, name) == NULL && wh_bridge_table_find(here, name) == NULL)
			tell(&sync, "skipped", name, "the source has no table of that name");
	}
	wh_lock_unbound(nestlevel);
}

static void
put_change(void *arg, const char *action, const char *object, const char *detail)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) arg;
	Datum		values[3];
	bool		nulls[3] = {false, false, detail == NULL};

	values[0] = CStringGetTextDatum(action);
	values[1] = CStringGetTextDatum(object);
	values[2] = detail == NULL ? (Datum) 0 : CStringGetTextDatum(detail);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * Write the query for the source's catalog: one row per column, a row without
 * a table when there is none, and no row when there is no such schema.
 */
static char *
catalog_sql(int version, const char *schema)
{
	return psprintf("SELECT c.relname, has_any_column_privilege(c.oid, 'SELECT')"
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
					" WHERE n.nspname = %s"
					" ORDER BY c.relname COLLATE \"C\", a.attnum",
					version >= 100000 ? " AND NOT c.relispartition" : "",
					quote_literal_cstr(schema));
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
table_named(List **tables, const char *name)
{
	WhBridgeTable *table = *tables == NIL ? NULL : (WhBridgeTable *) llast(*tables);

	if (table == NULL || strcmp(table->name, name) != 0)
	{
		table = (WhBridgeTable *) palloc0(sizeof(WhBridgeTable));
		table->name = pstrdup(name);
		*tables = lappend(*tables, table);
	}

	return table;
}

static WhBridgeColumn *
find_column(const List *columns, const char *name)
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

/*
 * List the types and collations of the source's columns that this database
 * does not have.
 */
static List *
unknown_types(const List *tables)
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

static bool
wanted(const WhBridge *bridge, const char *name)
{
	return bridge->tables == NIL || wh_bridge_names_have(bridge->tables, name);
}

/*
 * Compare one table of the source with the foreign table, NULL for none.
 */
static void
sync_table(const Sync *sync, const WhBridgeTable *source, const WhBridgeTable *here)
{
	const WhBridge *bridge = sync->bridge;
	const char *problem = obstacle(sync, source);
	char	   *blocking = NULL;
	Change		change;

	if (problem != NULL)
	{
		tell(sync, "skipped", source->name, problem);
		return;
	}
	if (here == NULL)
	{
		if (OidIsValid(get_relname_relid(source->name,
										 get_namespace_oid(bridge->local_schema, false))))
			tell(sync, "blocked", source->name, "another relation has that name here");
		else
		{
			if (!sync->dry_run)
				create_table(sync, source);
			tell(sync, "new", source->name, psprintf("columns: %d", list_length(source->columns)));
		}
		return;
	}

	find_change(&change, source, here);
	if (change.clauses.len == 0)
		return;
	if (change.takes_away)
		blocking = blockers(bridge, here);
	if (blocking != NULL)
	{
		tell(sync, "blocked", source->name,
			 psprintf("%s; depending on it: %s", change.detail.data, blocking));
		return;
	}
	if (!sync->dry_run)
		alter_table(sync, source, here, &change);
	tell(sync, "changed", source->name, change.detail.data);
}

/*
 * Say why a table of the source cannot be had; NULL when it can.
 */
static const char *
obstacle(const Sync *sync, const WhBridgeTable *source)
{
	const WhBridge *bridge = sync->bridge;
	ListCell   *lc;

	if (!source->readable)
		return psprintf("at the source: GRANT SELECT ON %s TO %s;",
						quote_qualified_identifier(bridge->remote_schema, source->name),
						quote_identifier(bridge->username));
	foreach(lc, source->columns)
	{
		const WhBridgeColumn *column = (const WhBridgeColumn *) lfirst(lc);

		if (wh_bridge_names_have(sync->unknown_types, column->type))
			return psprintf("column %s has type %s, which is not in this database",
							quote_identifier(column->name), column->type);
		if (column->collation != NULL &&
			wh_bridge_names_have(sync->unknown_types, column->collation))
			return psprintf("column %s has collation %s, which is not in this database",
							quote_identifier(column->name), column->collation);
	}

	return NULL;
}

static void
create_table(const Sync *sync, const WhBridgeTable *source)
{
	const WhBridge *bridge = sync->bridge;
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE %s (", table_name(bridge, source->name));
	foreach(lc, source->columns)
	{
		if (lc != list_head(source->columns))
			appendStringInfoString(&sql, ", ");
		append_column(&sql, (const WhBridgeColumn *) lfirst(lc));
	}
	appendStringInfo(&sql, ") SERVER %s OPTIONS (schema_name %s, table_name %s)",
					 quote_identifier(bridge->server),
					 quote_literal_cstr(bridge->remote_schema),
					 quote_literal_cstr(source->name));
	wh_ddl(sql.data);
}

static void
append_column(StringInfo sql, const WhBridgeColumn *column)
{
	appendStringInfo(sql, "%s %s%s%s%s", quote_identifier(column->name), column->type,
					 column->collation ? " COLLATE " : "",
					 column->collation ? column->collation : "",
					 column->not_null ? " NOT NULL" : "");
}

/*
 * Find what ALTER FOREIGN TABLE has to do.  The order of columns means
 * nothing: postgres_fdw goes by their names.
 */
static void
find_change(Change *change, const WhBridgeTable *source, const WhBridgeTable *here)
{
	ListCell   *lc;

	initStringInfo(&change->clauses);
	initStringInfo(&change->detail);
	change->takes_away = false;

	foreach(lc, source->columns)
	{
		const WhBridgeColumn *now = (const WhBridgeColumn *) lfirst(lc);
		const WhBridgeColumn *old = find_column(here->columns, now->name);
		const char *name = quote_identifier(now->name);
		StringInfoData column;

		if (old == NULL)
		{
			initStringInfo(&column);
			append_column(&column, now);
			note(change, psprintf("new %s", now->type), name,
				 psprintf("ADD COLUMN %s", column.data));
			continue;
		}
		if (strcmp(old->type, now->type) != 0 ||
			strcmp(old->collation ? old->collation : "", now->collation ? now->collation : "") != 0)
		{
			note(change, psprintf("%s becomes %s", old->type, now->type), name,
				 psprintf("ALTER COLUMN %s TYPE %s%s%s", name, now->type,
						  now->collation ? " COLLATE " : "",
						  now->collation ? now->collation : ""));
			change->takes_away = true;
		}
		if (old->not_null != now->not_null)
			note(change, now->not_null ? "not null" : "null allowed", name,
				 psprintf("ALTER COLUMN %s %s NOT NULL", name, now->not_null ? "SET" : "DROP"));
	}
	foreach(lc, here->columns)
	{
		const char *old = ((const WhBridgeColumn *) lfirst(lc))->name;

		if (find_column(source->columns, old) != NULL)
			continue;
		note(change, "gone", quote_identifier(old),
			 psprintf("DROP COLUMN %s", quote_identifier(old)));
		change->takes_away = true;
	}
}

static void
note(Change *change, const char *what, const char *name, const char *clause)
{
	appendStringInfo(&change->clauses, "%s%s", change->clauses.len > 0 ? ", " : "", clause);
	appendStringInfo(&change->detail, "%s%s: %s", change->detail.len > 0 ? ", " : "",
					 name, what);
}

/*
 * Alter the table; a shim view over it is put aside meanwhile, and shows new
 * columns afterwards.
 */
static void
alter_table(const Sync *sync, const WhBridgeTable *source,
			const WhBridgeTable *here, const Change *change)
{
	WhShim	   *shim = wh_shim_of(sync->bridge, here->name);

	if (shim != NULL)
		wh_shim_put_aside(shim, source);
	wh_ddl(psprintf("ALTER FOREIGN TABLE %s %s", table_name(sync->bridge, here->name),
					change->clauses.data));
	if (shim != NULL)
		wh_shim_put_back(shim, source);
}

/*
 * Drop a foreign table whose source is gone, with our shim view over it.
 */
static void
drop_table(const Sync *sync, const WhBridgeTable *here)
{
	char	   *blocking = blockers(sync->bridge, here);
	WhShim	   *shim = wh_shim_of(sync->bridge, here->name);

	if (blocking != NULL)
	{
		tell(sync, "blocked", here->name,
			 psprintf("gone at the source; depending on it: %s", blocking));
		return;
	}
	if (!sync->dry_run)
	{
		if (shim != NULL)
			wh_shim_drop(shim);
		wh_ddl(psprintf("DROP FOREIGN TABLE %s", table_name(sync->bridge, here->name)));
	}
	tell(sync, "gone", here->name,
		 shim != NULL ? psprintf("with view %s", wh_shim_name(shim)) : NULL);
}

/*
 * List what depends on a foreign table besides our shim view over it, or on
 * that; NULL when nothing does.
 */
static char *
blockers(const WhBridge *bridge, const WhBridgeTable *here)
{
	WhShim	   *shim = wh_shim_of(bridge, here->name);
	char	   *list = wh_kept_dependents(list_make1_oid(here->relid),
										  shim != NULL ? list_make1_oid(wh_shim_relid(shim)) : NIL);

	if (list == NULL && shim != NULL)
		list = wh_kept_dependents(list_make1_oid(wh_shim_relid(shim)), NIL);

	return list;
}

static char *
table_name(const WhBridge *bridge, const char *name)
{
	return quote_qualified_identifier(bridge->local_schema, name);
}

static void
tell(const Sync *sync, const char *action, const char *name, const char *detail)
{
	sync->on_change(sync->arg, action, table_name(sync->bridge, name), detail);
}
