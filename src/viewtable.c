/*
 * viewtable.c
 *		The foreign table on which a template's views stand in the layout
 *		expand.
 *
 * It has the template's columns, whatever else our views show, and
 * schema_name; its options say what it shows.  Which slices those are, and how they are read, is the wrapper's: no
 * statement here is needed when a slice comes or goes.  The table is ours when
 * it is a foreign table of the owner's on our server; whatever else has its
 * name is never touched.  One that does not fit, since the template changed
 * or somebody altered it, is made anew and keeps its grants and comments.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "gate.h"
#include "kept.h"
#include "lock.h"
#include "names.h"
#include "spi.h"
#include "uniontable.h"
#include "viewtable.h"

static Oid	at_place(const WhTemplate *tmpl);
static bool is_on_server(Oid relid);
static Oid	owner_of(Oid relid);
static HeapTuple class_of(Oid relid);
static bool has_columns(Oid relid, TupleDesc columns);
static bool has_checks(Oid relid);
static bool has_options(Oid relid, const WhTemplate *tmpl);
static void check_place(const WhTemplate *tmpl);
static char *definition(const WhTemplate *tmpl, TupleDesc columns);
static void drop(const WhTemplate *tmpl);
static char *qualified(const WhTemplate *tmpl);
static char *what(const WhTemplate *tmpl);

/*
 * Make the schema of these tables; see viewtable.h.
 */
void
wh_viewtable_schema(const char *owner)
{
	Oid			nspid = get_namespace_oid(WH_UNION_SCHEMA, true);

	if (!OidIsValid(nspid))
		wh_ddl(psprintf("CREATE SCHEMA %s AUTHORIZATION %s",
						WH_UNION_SCHEMA, quote_identifier(owner)));
	else if (!wh_namespace_ownercheck(nspid, get_role_oid(owner, false)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("schema \"%s\" is not the owner's", WH_UNION_SCHEMA),
				 errhint("ALTER SCHEMA %s OWNER TO %s;",
						 WH_UNION_SCHEMA, quote_identifier(owner))));
}

/*
 * Return columns with schema_name after them.
 */
TupleDesc
wh_with_schema_name(TupleDesc columns)
{
	int			natts = columns->natts;
	TupleDesc	with = CreateTemplateTupleDesc(natts + 1);

	for (int i = 1; i <= natts; i++)
		TupleDescCopyEntry(with, i, columns, i);
	TupleDescInitEntry(with, natts + 1, WH_SCHEMA_COLUMN, TEXTOID, -1, 0);

	return with;
}

/*
 * Look the table up; see viewtable.h.
 */
Oid
wh_viewtable_relid(const WhTemplate *tmpl)
{
	Oid			relid = at_place(tmpl);

	return OidIsValid(relid) && is_on_server(relid) &&
		owner_of(relid) == GetUserId() ? relid : InvalidOid;
}

/*
 * Compare the table with the template; see viewtable.h.
 */
bool
wh_viewtable_fits(const WhTemplate *tmpl, TupleDesc columns)
{
	Oid			relid = at_place(tmpl);
	bool		fits;

	/* Whoever changes it, we do not wait for him. */
	if (!OidIsValid(relid) || !ConditionalLockRelationOid(relid, AccessShareLock))
		return false;
	fits = wh_viewtable_relid(tmpl) == relid &&
		has_options(relid, tmpl) && has_columns(relid, columns);
	UnlockRelationOid(relid, AccessShareLock);

	return fits;
}

/*
 * Make the table, or make it anew; see viewtable.h.
 */
void
wh_viewtable_make(const WhTemplate *tmpl, TupleDesc columns)
{
	Oid			relid = at_place(tmpl);
	WhKept	   *kept = NULL;

	if (OidIsValid(relid))
	{
		kept = wh_kept(relid, columns);
		drop(tmpl);
	}

	wh_ddl(definition(tmpl, columns));
	if (kept != NULL)
		wh_kept_restore(kept, at_place(tmpl));
	else
		wh_ddl(psprintf("COMMENT ON FOREIGN TABLE %s IS %s", qualified(tmpl),
						quote_literal_cstr(psprintf("Template \"%s\", all slices; kept by pg_warehouse",
													tmpl->name))));
}

/*
 * See to the table's place before any work; see viewtable.h.
 */
void
wh_viewtable_begin(const WhTemplate *tmpl)
{
	wh_viewtable_schema(GetUserNameFromId(GetUserId(), false));
	check_place(tmpl);
	if (OidIsValid(at_place(tmpl)))
		(void) wh_lock_relation(at_place(tmpl), what(tmpl));
}

/*
 * Drop the table; see viewtable.h.
 */
void
wh_viewtable_drop(const WhTemplate *tmpl)
{
	int			nestlevel;

	if (!OidIsValid(wh_viewtable_relid(tmpl)))
		return;

	nestlevel = wh_lock_bound();
	wh_viewtable_begin(tmpl);
	drop(tmpl);
	wh_lock_unbound(nestlevel);
}

/*
 * Drop the table unless something stands on it.
 */
void
wh_viewtable_drop_unused(const WhTemplate *tmpl)
{
	Oid			relid = wh_viewtable_relid(tmpl);

	if (OidIsValid(relid) && wh_kept_dependents(list_make1_oid(relid), NIL) == NULL)
		wh_viewtable_drop(tmpl);
}

/*
 * Return whatever relation has the table's name.
 */
static Oid
at_place(const WhTemplate *tmpl)
{
	Oid			nspid = get_namespace_oid(WH_UNION_SCHEMA, true);

	return OidIsValid(nspid) ? get_relname_relid(tmpl->name, nspid)
		: InvalidOid;
}

static bool
is_on_server(Oid relid)
{
	return get_rel_relkind(relid) == RELKIND_FOREIGN_TABLE &&
		wh_union_is_ours(relid);
}

static Oid
owner_of(Oid relid)
{
	HeapTuple	tuple = class_of(relid);
	Oid			owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;

	ReleaseSysCache(tuple);

	return owner;
}

static HeapTuple
class_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);

	return tuple;
}

/*
 * Does the table have exactly the columns that it should?  A constraint that
 * somebody added is believed by the planner, and the slices do not keep it.
 */
static bool
has_columns(Oid relid, TupleDesc columns)
{
	TupleDesc	there = wh_columns_of(relid);

	for (int i = 0; i < there->natts; i++)
	{
		if (TupleDescAttr(there, i)->attnotnull)
			return false;
	}

	return there->natts == columns->natts && !has_checks(relid) &&
		wh_columns_extend(there, columns);
}

static bool
has_checks(Oid relid)
{
	HeapTuple	tuple = class_of(relid);
	bool		has = ((Form_pg_class) GETSTRUCT(tuple))->relchecks > 0;

	ReleaseSysCache(tuple);

	return has;
}

static bool
has_options(Oid relid, const WhTemplate *tmpl)
{
	List	   *options = GetForeignTable(relid)->options;
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = (DefElem *) lfirst(lc);
		const char *wanted = strcmp(option->defname, "template") == 0
		? tmpl->name : tmpl->time_column;

		if (wanted == NULL || strcmp(defGetString(option), wanted) != 0)
			return false;
	}

	return list_length(options) == (tmpl->time_column != NULL ? 2 : 1);
}

/*
 * Throw 42710 when the table's place has something that is not ours.
 */
static void
check_place(const WhTemplate *tmpl)
{
	Oid			relid = at_place(tmpl);

	if (!OidIsValid(relid) || OidIsValid(wh_viewtable_relid(tmpl)))
		return;

	if (is_on_server(relid))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("%s belongs to role \"%s\"", what(tmpl),
						GetUserNameFromId(owner_of(relid), false)),
				 errdetail("Views of template \"%s\" read as its owner.",
						   tmpl->name),
				 errhint("ALTER FOREIGN TABLE %s OWNER TO %s;",
						 qualified(tmpl),
						 quote_identifier(GetUserNameFromId(GetUserId(),
															false)))));
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("relation \"%s.%s\" already exists and is not a table of this warehouse",
					WH_UNION_SCHEMA, tmpl->name),
			 errhint("Move it out of the way: %s",
					 wh_rename_aside(WH_UNION_SCHEMA, tmpl->name))));
}

static char *
definition(const WhTemplate *tmpl, TupleDesc columns)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "CREATE FOREIGN TABLE %s (%s) SERVER %s OPTIONS (template %s",
					 qualified(tmpl),
					 wh_columns_sql(columns),
					 WH_UNION_SERVER, quote_literal_cstr(tmpl->name));
	if (tmpl->time_column != NULL)
		appendStringInfo(&sql, ", time_column %s",
						 quote_literal_cstr(tmpl->time_column));
	appendStringInfoChar(&sql, ')');

	return sql.data;
}

static void
drop(const WhTemplate *tmpl)
{
	wh_kept_check_dependents(at_place(tmpl), InvalidOid, what(tmpl));
	wh_ddl(psprintf("DROP FOREIGN TABLE %s RESTRICT", qualified(tmpl)));
}

static char *
qualified(const WhTemplate *tmpl)
{
	return quote_qualified_identifier(WH_UNION_SCHEMA, tmpl->name);
}

static char *
what(const WhTemplate *tmpl)
{
	return psprintf("foreign table \"%s.%s\"", WH_UNION_SCHEMA, tmpl->name);
}
