/*
 * shim.c
 *		Views with plain names over a bridge's tables, and materialized views
 *		of their rows: create_shim_views(), create_snapshot_mvs().
 *
 * Which relations are ours is in bridge_relations; another one of a wanted
 * name is never replaced.  All names are settled before the first is made: two
 * tables that would get one name, or a name that is taken, are listed together
 * and nothing is made.
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"

#include "bridge.h"
#include "kept.h"
#include "names.h"
#include "settings.h"
#include "shim.h"
#include "spi.h"

struct WhShim
{
	const WhBridge *bridge;
	WhBridgeRelation *relation;
	WhKept	   *kept;
};

/* A relation that is wanted over a foreign table. */
typedef struct Wanted
{
	const WhBridgeTable *table;
	char	   *name;
	char	   *problem;		/* NULL: it can be made */
	bool		exists;			/* and is ours */
} Wanted;

PG_FUNCTION_INFO_V1(wh_create_shim_views);
PG_FUNCTION_INFO_V1(wh_create_snapshot_mvs);

static List *plan_shims(const WhBridge *bridge, const char *prefix);
static List *plan_snapshots(const WhBridge *bridge, const List *names, const char *suffix);
static Wanted *make_plan(const WhBridgeTable *table, const char *name);
static char *lower_case(const char *name);
static void find_problems(const WhBridge *bridge, WhBridgeKind kind,
						  const char *schema, List *plans);
static bool is_ours(const List *relations, const char *schema, const Wanted *plan);
static void refuse_problems(const WhBridge *bridge, const char *schema, const List *plans);
static void create_view(const WhBridge *bridge, const char *schema, const char *name,
						const WhBridgeTable *table, const char *options);
static void create_matview(const WhBridge *bridge, const char *schema, const Wanted *plan,
						   const WhBridgeTable *source);
static char *key_of(const WhBridgeTable *source);
static void note_ours(const WhBridge *bridge, WhBridgeKind kind, const char *schema,
					  const Wanted *plan);
static void put_plan(ReturnSetInfo *rsinfo, const char *schema, const Wanted *plan,
					 bool dry_run);

/*
 * _wh.create_shim_views(server name, strip_prefix text, dry_run boolean)
 *		returns table (view_name, remote_name, action)
 */
Datum
wh_create_shim_views(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		dry_run = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	const WhBridge *bridge;
	WhRole		caller;
	List	   *plans;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;

	wh_become_owner(&caller);
	bridge = wh_bridge_to_change(NameStr(*PG_GETARG_NAME(0)));
	plans = plan_shims(bridge, PG_ARGISNULL(1) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(1)));
	find_problems(bridge, WH_BRIDGE_SHIM, bridge->local_schema, plans);
	if (!dry_run)
		refuse_problems(bridge, bridge->local_schema, plans);
	foreach(lc, plans)
	{
		const Wanted *plan = (const Wanted *) lfirst(lc);

		if (!dry_run && !plan->exists)
		{
			create_view(bridge, bridge->local_schema, plan->name, plan->table, NULL);
			note_ours(bridge, WH_BRIDGE_SHIM, bridge->local_schema, plan);
		}
		put_plan(rsinfo, bridge->local_schema, plan, dry_run);
	}
	wh_role_leave(&caller);

	return (Datum) 0;
}

/*
 * _wh.create_snapshot_mvs(server name, target_schema name, tables name[],
 * suffix text, dry_run boolean)
 *		returns table (mv_name, source_name, action)
 */
Datum
wh_create_snapshot_mvs(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		dry_run = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	const WhBridge *bridge;
	const char *schema;
	WhRole		caller;
	List	   *source;
	List	   *plans;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return (Datum) 0;
	schema = NameStr(*PG_GETARG_NAME(1));

	wh_become_owner(&caller);
	bridge = wh_bridge_to_change(NameStr(*PG_GETARG_NAME(0)));
	plans = plan_snapshots(bridge,
						   PG_ARGISNULL(2) ? NIL : wh_bridge_names(PG_GETARG_ARRAYTYPE_P(2)),
						   PG_ARGISNULL(3) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(3)));
	find_problems(bridge, WH_BRIDGE_SNAPSHOT, schema, plans);
	if (!dry_run)
	{
		refuse_problems(bridge, schema, plans);
		wh_bridge_open_schema(bridge, schema);
	}

	/* Only the source knows its keys. */
	source = dry_run ? NIL : wh_bridge_remote_tables(bridge);
	foreach(lc, plans)
	{
		const Wanted *plan = (const Wanted *) lfirst(lc);

		if (!dry_run && !plan->exists)
		{
			create_matview(bridge, schema, plan, wh_bridge_table_find(source, plan->table->name));
			note_ours(bridge, WH_BRIDGE_SNAPSHOT, schema, plan);
		}
		put_plan(rsinfo, schema, plan, dry_run);
	}
	wh_role_leave(&caller);

	return (Datum) 0;
}

WhShim *
wh_shim_of(const WhBridge *bridge, const char *source)
{
	WhBridgeRelation *relation =
	wh_bridge_relation_over(wh_bridge_relations(bridge->server, WH_BRIDGE_SHIM), source);
	WhShim	   *shim;

	if (relation == NULL)
		return NULL;

	shim = (WhShim *) palloc0(sizeof(WhShim));
	shim->bridge = bridge;
	shim->relation = relation;

	return shim;
}

Oid
wh_shim_relid(const WhShim *shim)
{
	return get_relname_relid(shim->relation->name,
							 get_namespace_oid(shim->relation->schema, false));
}

char *
wh_shim_name(const WhShim *shim)
{
	return quote_qualified_identifier(shim->relation->schema, shim->relation->name);
}

/*
 * Note what the view has, as far as the source still has columns for it, and
 * drop it.
 */
void
wh_shim_put_aside(WhShim *shim, const WhBridgeTable *source)
{
	TupleDesc	successor = CreateTemplateTupleDesc(list_length(source->columns));
	ListCell   *lc;

	foreach(lc, source->columns)
		TupleDescInitEntry(successor, foreach_current_index(lc) + 1,
						   ((const WhBridgeColumn *) lfirst(lc))->name, TEXTOID, -1, 0);
	shim->kept = wh_kept(wh_shim_relid(shim), successor);
	wh_ddl(psprintf("DROP VIEW %s", wh_shim_name(shim)));
}

void
wh_shim_put_back(WhShim *shim, const WhBridgeTable *source)
{
	create_view(shim->bridge, shim->relation->schema, shim->relation->name, source,
				shim->kept->view_options);
	wh_kept_restore(shim->kept, wh_shim_relid(shim));
}

void
wh_shim_drop(const WhShim *shim)
{
	wh_ddl(psprintf("DROP VIEW %s", wh_shim_name(shim)));
	wh_bridge_relation_forget(shim->relation);
}

/*
 * Wanted a view for each table whose name needs quotes, or begins with the
 * prefix.
 */
static List *
plan_shims(const WhBridge *bridge, const char *prefix)
{
	List	   *plans = NIL;
	ListCell   *lc;

	foreach(lc, wh_bridge_tables(bridge))
	{
		const WhBridgeTable *table = (const WhBridgeTable *) lfirst(lc);
		const char *rest = table->name;
		char	   *name;

		if (strncmp(rest, prefix, strlen(prefix)) == 0)
			rest += strlen(prefix);
		name = lower_case(rest);
		if (strcmp(name, table->name) != 0)
			plans = lappend(plans, make_plan(table, name));
	}

	return plans;
}

/*
 * Wanted a materialized view for each table, or each of those named, called
 * after its shim view, else itself in lower case without leading underscores.
 */
static List *
plan_snapshots(const WhBridge *bridge, const List *names, const char *suffix)
{
	List	   *tables = wh_bridge_tables(bridge);
	List	   *shims = wh_bridge_relations(bridge->server, WH_BRIDGE_SHIM);
	List	   *plans = NIL;
	ListCell   *lc;

	foreach(lc, names)
	{
		if (wh_bridge_table_find(tables, (const char *) lfirst(lc)) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("bridge \"%s\" has no table \"%s\"", bridge->server,
							(const char *) lfirst(lc)),
					 errhint("Name tables as at the source: SELECT * FROM _wh.sync_bridge(%s);",
							 quote_literal_cstr(bridge->server))));
	}
	foreach(lc, tables)
	{
		const WhBridgeTable *table = (const WhBridgeTable *) lfirst(lc);
		const WhBridgeRelation *shim;
		char	   *name;

		if (names != NIL && !wh_bridge_names_have(names, table->name))
			continue;
		shim = wh_bridge_relation_over(shims, table->name);
		name = shim != NULL ? shim->name : lower_case(table->name);
		name += strspn(name, "_");
		plans = lappend(plans, make_plan(table, psprintf("%s%s", name, suffix)));
	}

	return plans;
}

static Wanted *
make_plan(const WhBridgeTable *table, const char *name)
{
	Wanted	   *plan = (Wanted *) palloc0(sizeof(Wanted));

	plan->table = table;
	plan->name = pstrdup(name);

	return plan;
}

static char *
lower_case(const char *name)
{
	return str_tolower(name, strlen(name), DEFAULT_COLLATION_OID);
}

/*
 * Note in each plan what is in its way, or that it is done already.
 */
static void
find_problems(const WhBridge *bridge, WhBridgeKind kind, const char *schema, List *plans)
{
	List	   *ours = wh_bridge_relations(bridge->server, kind);
	Oid			nspid = get_namespace_oid(schema, true);
	ListCell   *lc;
	ListCell   *lo;

	foreach(lc, plans)
	{
		Wanted	   *plan = (Wanted *) lfirst(lc);

		if (plan->name[0] == '\0')
			plan->problem = "nothing is left of the name";
		else if (strlen(plan->name) >= NAMEDATALEN)
			plan->problem = "the name is longer than 63 bytes";
		else if (is_ours(ours, schema, plan))
			plan->exists = true;
		else if (OidIsValid(nspid) && OidIsValid(get_relname_relid(plan->name, nspid)))
			plan->problem = "another relation has that name";

		foreach(lo, plans)
		{
			const Wanted *other = (const Wanted *) lfirst(lo);

			if (other != plan && strcmp(other->name, plan->name) == 0)
				plan->problem = psprintf("table %s would get the same name",
										 quote_identifier(other->table->name));
		}
	}
}

static bool
is_ours(const List *relations, const char *schema, const Wanted *plan)
{
	ListCell   *lc;

	foreach(lc, relations)
	{
		const WhBridgeRelation *relation = (const WhBridgeRelation *) lfirst(lc);

		if (strcmp(relation->schema, schema) == 0 &&
			strcmp(relation->name, plan->name) == 0 &&
			strcmp(relation->source, plan->table->name) == 0)
			return true;
	}

	return false;
}

/*
 * Throw 42710 listing every collision.
 */
static void
refuse_problems(const WhBridge *bridge, const char *schema, const List *plans)
{
	StringInfoData list;
	int			n = 0;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, plans)
	{
		const Wanted *plan = (const Wanted *) lfirst(lc);

		if (plan->problem == NULL)
			continue;
		n++;
		appendStringInfo(&list, "%s%s for table %s: %s.", list.len > 0 ? "\n" : "",
						 quote_qualified_identifier(schema, plan->name),
						 quote_identifier(plan->table->name), plan->problem);
	}
	if (n == 0)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("names over the tables of bridge \"%s\" collide: %d", bridge->server, n),
			 errdetail("%s", list.data),
			 errhint("Nothing was made. See it with dry_run => true; choose another prefix, suffix or schema, or CREATE VIEW by hand for those.")));
}

static void
create_view(const WhBridge *bridge, const char *schema, const char *name,
			const WhBridgeTable *table, const char *options)
{
	wh_ddl(psprintf("CREATE VIEW %s%s%s%s AS SELECT %s FROM %s",
					quote_qualified_identifier(schema, name),
					options ? " WITH (" : "", options ? options : "", options ? ")" : "",
					wh_bridge_column_list(table),
					quote_qualified_identifier(bridge->local_schema, table->name)));
}

/*
 * Create a materialized view without rows; a unique index on what is the key
 * at the source lets it be refreshed concurrently.
 */
static void
create_matview(const WhBridge *bridge, const char *schema, const Wanted *plan,
			   const WhBridgeTable *source)
{
	char	   *key = source != NULL ? key_of(source) : NULL;

	wh_ddl(psprintf("CREATE MATERIALIZED VIEW %s AS SELECT %s FROM %s WITH NO DATA",
					quote_qualified_identifier(schema, plan->name),
					wh_bridge_column_list(plan->table),
					quote_qualified_identifier(bridge->local_schema, plan->table->name)));
	if (key != NULL)
		wh_ddl(psprintf("CREATE UNIQUE INDEX %s ON %s (%s)",
						quote_identifier(wh_bounded_name(psprintf("%s_key", plan->name))),
						quote_qualified_identifier(schema, plan->name), key));
}

/*
 * List the columns of the primary key in its order; NULL when there is none.
 */
static char *
key_of(const WhBridgeTable *source)
{
	StringInfoData key;
	ListCell   *lc;

	initStringInfo(&key);
	for (int position = 1; position <= list_length(source->columns); position++)
	{
		foreach(lc, source->columns)
		{
			const WhBridgeColumn *column = (const WhBridgeColumn *) lfirst(lc);

			if (column->key == position)
				appendStringInfo(&key, "%s%s", key.len > 0 ? ", " : "",
								 quote_identifier(column->name));
		}
	}

	return key.len > 0 ? key.data : NULL;
}

static void
note_ours(const WhBridge *bridge, WhBridgeKind kind, const char *schema, const Wanted *plan)
{
	WhBridgeRelation relation;

	relation.schema = unconstify(char *, schema);
	relation.name = plan->name;
	relation.source = plan->table->name;
	wh_bridge_relation_put(bridge, kind, &relation);
}

static void
put_plan(ReturnSetInfo *rsinfo, const char *schema, const Wanted *plan, bool dry_run)
{
	const char *action = plan->exists ? "exists" : dry_run ? "create" : "created";
	Datum		values[3];
	bool		nulls[3] = {false};

	if (plan->problem != NULL)
		action = psprintf("collision: %s", plan->problem);
	values[0] = CStringGetTextDatum(quote_qualified_identifier(schema, plan->name));
	values[1] = CStringGetTextDatum(plan->table->name);
	values[2] = CStringGetTextDatum(action);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}
