/*
 * livetable.c
 *		The foreign tables that live templates of a tenant read.
 *
 * They are shared: two templates that name one relation of the source read one
 * foreign table.  So none is ever altered under a view.  One that has to
 * change is renamed, by which views on it lose nothing, and another takes its
 * name; the last view that lets go of it leaves it to be dropped.  The schema
 * is ours alone: its name is reserved, and what people build on a table there
 * keeps that from being dropped, nothing else.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
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
#include "names.h"
#include "spi.h"

static List *unread_tables(const char *live_schema);
static bool is_live_schema(const char *schema);
static void ensure_schema(const char *live_schema);
static void move_aside(const char *live_schema, const char *name, Oid relid);
static List *foreign_tables(const char *condition, const char *name);
static void *read_oid(uint64 row);

char *
wh_live_schema(const char *tenant_schema)
{
	return wh_bounded_name(psprintf("%s" WH_LIVE_SUFFIX, tenant_schema));
}

char *
wh_livetable_name(const WhBridge *bridge, const char *schema, const char *name)
{
	if (strcmp(schema, bridge->remote_schema) == 0)
		return pstrdup(name);

	return wh_bounded_name(psprintf("%s.%s", schema, name));
}

Oid
wh_livetable_relid(const char *live_schema, const char *name)
{
	Oid			nspid = get_namespace_oid(live_schema, true);

	return OidIsValid(nspid) ? get_relname_relid(name, nspid) : InvalidOid;
}

bool
wh_livetable_fits(const char *live_schema, const WhBridge *bridge,
				  const WhBridgeTable *source)
{
	Oid			relid = wh_livetable_relid(live_schema,
										   wh_livetable_name(bridge, source->schema, source->name));
	const WhBridgeTable *here;

	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE ||
		GetForeignServerIdByRelId(relid) != get_foreign_server_oid(bridge->server, false))
		return false;
	here = wh_bridge_table_here(relid);

	return here != NULL && strcmp(here->schema, source->schema) == 0 &&
		strcmp(here->name, source->name) == 0 && wh_bridge_table_fits(source, here);
}

double
wh_livetables_lock(const char *live_schema)
{
	return wh_lock_key("slices", live_schema,
					   psprintf("foreign tables of schema \"%s\"", live_schema));
}

void
wh_livetable_make(const char *live_schema, const WhBridge *bridge,
				  const WhBridgeTable *source)
{
	const char *name = wh_livetable_name(bridge, source->schema, source->name);
	Oid			relid;

	ensure_schema(live_schema);
	relid = wh_livetable_relid(live_schema, name);
	if (OidIsValid(relid))
		move_aside(live_schema, name, relid);
	wh_ddl(wh_bridge_table_sql(bridge, live_schema, name, source));
}

/*
 * Drop what nobody needs; see livetable.h.  That mostly is nothing, which is
 * found out before anybody is kept out.
 */
List *
wh_livetables_tidy(const char *live_schema)
{
	List	   *dropped = NIL;
	List	   *unread;
	ListCell   *lc;

	if (!OidIsValid(get_namespace_oid(live_schema, true)))
		return NIL;
	unread = unread_tables(live_schema);
	if ((unread == NIL && !wh_bridge_schema_is_empty(live_schema)) ||
		!wh_lock_key_try("slices", live_schema))
		return NIL;

	foreach(lc, unread_tables(live_schema))
	{
		Oid			relid = lfirst_oid(lc);
		char	   *name = quote_qualified_identifier(live_schema, get_rel_name(relid));

		if (!wh_lock_relation_try(relid))
			continue;
		wh_ddl(psprintf("DROP FOREIGN TABLE %s RESTRICT", name));
		dropped = lappend(dropped, name);
	}
	if (wh_bridge_schema_is_empty(live_schema))
	{
		wh_ddl(psprintf("DROP SCHEMA %s RESTRICT", quote_identifier(live_schema)));
		dropped = lappend(dropped, pstrdup(quote_identifier(live_schema)));
	}

	return dropped;
}

List *
wh_livetables_in(const char *live_schema)
{
	return foreign_tables("n.nspname = $1", live_schema);
}

/*
 * List those over a server: in schemas that nobody else can have.
 */
List *
wh_livetables_over(const char *server)
{
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, foreign_tables("s.srvname = $1", server))
	{
		if (is_live_schema(get_namespace_name(get_rel_namespace(lfirst_oid(lc)))))
			tables = lappend_oid(tables, lfirst_oid(lc));
	}

	return tables;
}

/*
 * List those of a schema that nothing depends on.
 */
static List *
unread_tables(const char *live_schema)
{
	List	   *unread = NIL;
	ListCell   *lc;

	foreach(lc, wh_livetables_in(live_schema))
	{
		if (wh_kept_dependents(list_make1_oid(lfirst_oid(lc)), NIL) == NULL)
			unread = lappend_oid(unread, lfirst_oid(lc));
	}

	return unread;
}

/*
 * Is it the live schema of a tenant, also of one that was dropped?  A name that
 * had to be cut has lost the suffix, so tenants are asked, too.
 */
static bool
is_live_schema(const char *schema)
{
	Size		len = strlen(schema);
	Size		suffix = strlen(WH_LIVE_SUFFIX);
	ListCell   *lc;

	if (len > suffix && strcmp(schema + len - suffix, WH_LIVE_SUFFIX) == 0)
		return true;

	foreach(lc, wh_tenants_all())
	{
		if (strcmp(wh_live_schema(((const WhTenant *) lfirst(lc))->schema), schema) == 0)
			return true;
	}

	return false;
}

/*
 * Make the schema, or see that it is the owner's.
 */
static void
ensure_schema(const char *live_schema)
{
	Oid			nspid = get_namespace_oid(live_schema, true);

	if (!OidIsValid(nspid))
		wh_ddl(psprintf("CREATE SCHEMA %s", quote_identifier(live_schema)));
	else if (!wh_namespace_ownercheck(nspid, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("schema \"%s\" is not the owner's", live_schema),
				 errdetail("Foreign tables of live templates belong there."),
				 errhint("ALTER SCHEMA %s RENAME TO %s;", quote_identifier(live_schema),
						 quote_identifier(wh_bounded_name(psprintf("%s_old", live_schema))))));
}

/*
 * Take the name from a foreign table that does not fit.  Readers notice
 * nothing, but the lock is a strong one, so it is tried.
 */
static void
move_aside(const char *live_schema, const char *name, Oid relid)
{
	if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE ||
		!wh_class_ownercheck(relid, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("relation \"%s.%s\" already exists and is not a foreign table of this warehouse",
						live_schema, name),
				 errhint("Move it out of the way: %s", wh_rename_aside(live_schema, name))));

	(void) wh_lock_relation(relid, psprintf("foreign table \"%s.%s\"", live_schema, name));
	wh_ddl(psprintf("ALTER FOREIGN TABLE %s RENAME TO %s",
					quote_qualified_identifier(live_schema, name),
					quote_identifier(wh_bounded_name(psprintf("%s.%u", name, relid)))));
}

static List *
foreign_tables(const char *condition, const char *name)
{
	WhArg		arg = wh_name(name);
	List	   *oids = NIL;
	ListCell   *lc;

	foreach(lc, wh_spi_list(psprintf("SELECT c.oid::pg_catalog.int8"
									 " FROM pg_catalog.pg_foreign_table f"
									 " JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver"
									 " JOIN pg_catalog.pg_class c ON c.oid = f.ftrelid"
									 " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
									 " WHERE %s AND pg_catalog.pg_get_userbyid(c.relowner) = CURRENT_USER"
									 " ORDER BY n.nspname, c.relname", condition),
							&arg, 1, read_oid))
		oids = lappend_oid(oids, *(const Oid *) lfirst(lc));

	return oids;
}

static void *
read_oid(uint64 row)
{
	Oid		   *oid = (Oid *) palloc(sizeof(Oid));

	*oid = (Oid) wh_col_int8(row, 1, 0);

	return oid;
}
