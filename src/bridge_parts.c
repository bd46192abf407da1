/*
 * bridge_parts.c
 *		What belongs to a bridge: foreign tables, views and schemas; who may
 *		read them, and their end.
 *
 * Nothing of others is dropped along: what depends on a relation of ours is
 * listed and the whole refused.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "bridge_import.h"
#include "bridge_parts.h"
#include "compat.h"
#include "kept.h"
#include "livetable.h"
#include "lock.h"
#include "spi.h"

static void add_relations(WhBridgeParts *parts, List **oids, const char *server,
						  WhBridgeKind kind);
static char *qualified(Oid relid);
static void drop_all(const List *relids, const char *what);

WhBridgeParts *
wh_bridge_parts(const WhBridge *bridge)
{
	WhBridgeParts *parts = (WhBridgeParts *) palloc0(sizeof(WhBridgeParts));
	ListCell   *lc;

	parts->schemas = list_make1(bridge->local_schema);
	add_relations(parts, &parts->snapshots, bridge->server, WH_BRIDGE_SNAPSHOT);
	add_relations(parts, &parts->shims, bridge->server, WH_BRIDGE_SHIM);
	parts->live = wh_livetables_over(bridge->server);
	foreach(lc, parts->live)
		parts->dropped = lappend(parts->dropped, qualified(lfirst_oid(lc)));
	foreach(lc, wh_bridge_tables(bridge))
	{
		Oid			relid = ((const WhBridgeTable *) lfirst(lc))->relid;

		parts->tables = lappend_oid(parts->tables, relid);
		parts->dropped = lappend(parts->dropped, qualified(relid));
	}

	return parts;
}

/*
 * Grant or revoke SELECT on what is there already; see bridge_parts.h.
 */
void
wh_bridge_parts_admit(const WhBridgeParts *parts, const char *role)
{
	ListCell   *lc;

	foreach(lc, parts->schemas)
		wh_bridge_admit((const char *) lfirst(lc), role);
	foreach(lc, list_concat(list_concat_copy(parts->tables, parts->shims), parts->snapshots))
		wh_ddl(psprintf("GRANT SELECT ON %s TO %s", qualified(lfirst_oid(lc)),
						quote_identifier(role)));
}

void
wh_bridge_parts_expel(const WhBridgeParts *parts, const char *role)
{
	ListCell   *lc;

	foreach(lc, list_concat(list_concat_copy(parts->tables, parts->shims), parts->snapshots))
		wh_ddl(psprintf("REVOKE ALL ON %s FROM %s", qualified(lfirst_oid(lc)),
						quote_identifier(role)));
	foreach(lc, parts->schemas)
		wh_bridge_expel((const char *) lfirst(lc), role);
}

void
wh_bridge_admit(const char *schema, const char *role)
{
	wh_ddl(psprintf("GRANT USAGE ON SCHEMA %s TO %s",
					quote_identifier(schema), quote_identifier(role)));
	wh_ddl(psprintf("ALTER DEFAULT PRIVILEGES IN SCHEMA %s GRANT SELECT ON TABLES TO %s",
					quote_identifier(schema), quote_identifier(role)));
}

void
wh_bridge_expel(const char *schema, const char *role)
{
	wh_ddl(psprintf("ALTER DEFAULT PRIVILEGES IN SCHEMA %s REVOKE SELECT ON TABLES FROM %s",
					quote_identifier(schema), quote_identifier(role)));
	wh_ddl(psprintf("REVOKE USAGE ON SCHEMA %s FROM %s",
					quote_identifier(schema), quote_identifier(role)));
}

/*
 * Refuse to drop rows that nobody asked to drop, or what others built.
 */
void
wh_bridge_parts_check(const WhBridge *bridge, const WhBridgeParts *parts, bool drop_data)
{
	List	   *ours = list_concat(list_concat_copy(parts->snapshots, parts->shims),
								   parts->tables);
	char	   *dependents;

	if (parts->snapshots != NIL && !drop_data)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("bridge \"%s\" has %d materialized views",
						bridge->server, list_length(parts->snapshots)),
				 errdetail("The first is %s.", qualified(linitial_oid(parts->snapshots))),
				 errhint("SELECT _wh.drop_bridge(%s, drop_data => true); what must stay, copy before: CREATE TABLE ... AS TABLE ...;",
						 quote_literal_cstr(bridge->server))));

	dependents = wh_kept_dependents(parts->live, NIL);
	if (dependents != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop bridge \"%s\" because live templates read over it",
						bridge->server),
				 errdetail("Over its tables: %s.", dependents),
				 errhint("First SELECT _wh.drop_template(...), or keep rows here: SELECT _wh.alter_template(..., materialization => 'snapshot'); and a refresh.")));
	dependents = wh_kept_dependents(ours, NIL);
	if (dependents != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop bridge \"%s\" because other objects depend on it",
						bridge->server),
				 errdetail("Dependents: %s.", dependents),
				 errhint("Drop them, or put something else below them, and run this again.")));
}

/*
 * Drop all of it; see bridge_parts.h.
 */
void
wh_bridge_parts_drop(const WhBridge *bridge, WhBridgeParts *parts)
{
	int			nestlevel = wh_lock_bound();
	List	   *live_schemas = NIL;
	ListCell   *lc;
	ListCell   *lr;

	drop_all(parts->snapshots, "MATERIALIZED VIEW");
	drop_all(parts->shims, "VIEW");
	drop_all(parts->tables, "FOREIGN TABLE");
	foreach(lc, parts->live)
		live_schemas = list_append_unique_oid(live_schemas, get_rel_namespace(lfirst_oid(lc)));
	drop_all(parts->live, "FOREIGN TABLE");
	foreach(lc, live_schemas)
	{
		char	   *schema = get_namespace_name(lfirst_oid(lc));

		if (wh_bridge_schema_is_empty(schema))
			wh_ddl(psprintf("DROP SCHEMA %s", quote_identifier(schema)));
	}
	foreach(lc, parts->schemas)
	{
		char	   *schema = (char *) lfirst(lc);

		if (wh_bridge_schema_is_empty(schema))
		{
			wh_ddl(psprintf("DROP SCHEMA %s", quote_identifier(schema)));
			parts->dropped = lappend(parts->dropped, pstrdup(quote_identifier(schema)));
			continue;
		}
		foreach(lr, bridge->app_roles)
			wh_bridge_expel(schema, (const char *) lfirst(lr));
		parts->kept = lappend(parts->kept, pstrdup(quote_identifier(schema)));
	}
	wh_lock_unbound(nestlevel);
}

static void
add_relations(WhBridgeParts *parts, List **oids, const char *server, WhBridgeKind kind)
{
	ListCell   *lc;

	foreach(lc, wh_bridge_relations(server, kind))
	{
		const WhBridgeRelation *relation = (const WhBridgeRelation *) lfirst(lc);
		Oid			relid = get_relname_relid(relation->name,
											  get_namespace_oid(relation->schema, false));

		*oids = lappend_oid(*oids, relid);
		parts->dropped = lappend(parts->dropped, qualified(relid));
		if (!wh_bridge_names_have(parts->schemas, relation->schema))
			parts->schemas = lappend(parts->schemas, relation->schema);
	}
}

static char *
qualified(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

static void
drop_all(const List *relids, const char *what)
{
	ListCell   *lc;

	foreach(lc, relids)
		wh_ddl(psprintf("DROP %s %s", what, qualified(lfirst_oid(lc))));
}

/*
 * Could the schema be dropped; see bridge_parts.h.
 */
bool
wh_bridge_schema_is_empty(const char *schema)
{
	Oid			nspid = get_namespace_oid(schema, true);
	WhArg		arg = wh_name(schema);
	bool		empty;

	if (!OidIsValid(nspid) || !wh_namespace_ownercheck(nspid, GetUserId()))
		return false;

	SPI_connect();
	empty = wh_spi(SPI_OK_SELECT,
				   "SELECT FROM pg_catalog.pg_depend AS d"
				   " JOIN pg_catalog.pg_namespace AS n ON d.refobjid = n.oid"
				   " WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass"
				   " AND d.deptype = 'n' AND n.nspname = $1 LIMIT 1",
				   &arg, 1) == 0;
	SPI_finish();

	return empty;
}
