/*
 * bridge_import.c
 *		The foreign tables of a bridge: sync_bridge().
 *
 * What the source has is bridge_catalog's to ask.  Each table is judged by
 * itself: one that cannot be had leaves the others alone, where IMPORT FOREIGN
 * SCHEMA takes all or nothing.  Nothing of others is dropped along: a table that they
 * depend on stays as it is and is listed as blocked.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "audit.h"
#include "bridge_import.h"
#include "kept.h"
#include "lock.h"
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
static bool wanted(const WhBridge *bridge, const char *name);
static void sync_table(const Sync *sync, const WhBridgeTable *source,
					   const WhBridgeTable *here);
static const char *obstacle(const Sync *sync, const WhBridgeTable *source);
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

	sync.unknown_types = wh_bridge_unknown_types(source);
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

char *
wh_bridge_table_sql(const WhBridge *bridge, const char *schema, const char *name,
					const WhBridgeTable *source)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE %s (", quote_qualified_identifier(schema, name));
	foreach(lc, source->columns)
	{
		if (lc != list_head(source->columns))
			appendStringInfoString(&sql, ", ");
		append_column(&sql, (const WhBridgeColumn *) lfirst(lc));
	}
	appendStringInfo(&sql, ") SERVER %s OPTIONS (schema_name %s, table_name %s)",
					 quote_identifier(bridge->server),
					 quote_literal_cstr(source->schema),
					 quote_literal_cstr(source->name));

	return sql.data;
}

bool
wh_bridge_table_fits(const WhBridgeTable *source, const WhBridgeTable *here)
{
	Change		change;

	find_change(&change, source, here);

	return change.clauses.len == 0;
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
				wh_ddl(wh_bridge_table_sql(bridge, bridge->local_schema, source->name, source));
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
		const WhBridgeColumn *old = wh_bridge_column_find(here->columns, now->name);
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

		if (wh_bridge_column_find(source->columns, old) != NULL)
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
