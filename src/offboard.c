/*
 * offboard.c
 *		_wh.drop_tenant(), rename_tenant(): a tenant goes, or goes on under
 *		another name, with all that hangs on it.
 *
 * The rule kept here: row, schema, ledger, log and views change in one
 * transaction or not at all, and views stay valid throughout.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "archive.h"
#include "audit.h"
#include "breaker.h"
#include "budget.h"
#include "compat.h"
#include "guc.h"
#include "json.h"
#include "kept.h"
#include "live.h"
#include "livetable.h"
#include "matview.h"
#include "names.h"
#include "pause.h"
#include "plain.h"
#include "published.h"
#include "retired.h"
#include "run.h"
#include "schedule.h"
#include "settings.h"
#include "slice.h"
#include "spi.h"
#include "template.h"
#include "tenant.h"
#include "unionview.h"
#include "watermark.h"

/* Objects of the archive that one call removes. */
#define ERASED_AT_ONCE 10000

/* What drop_tenant() finds, and reports as jsonb. */
typedef struct Leftovers
{
	List	   *slices;			/* of WhSlice *, whose relations to drop */
	List	   *retired;		/* of WhRetired *, which always go */
	bool		with_schema;	/* nothing else is in the schema */
	List	   *dropped;		/* of char *, qualified names */
	List	   *kept;
	int64		rows;			/* in all of them, as the ledger says */
	int64		locks;			/* what dropping takes so far */
	int64		runs;			/* rows of the log that go, too */
	int			archived;		/* objects of the archive likewise, */
	bool		more_archived;	/* but not all of them at once */
	bool		erase;			/* data and every trace */
	int			left;			/* relations that a further call drops */
	List	   *templates;		/* of char *, those for this tenant alone */
} Leftovers;

PG_FUNCTION_INFO_V1(wh_rename_tenant);
PG_FUNCTION_INFO_V1(wh_drop_tenant);

static List *templates_of(const WhTenant *tenant);
static List *shown_templates(const WhTenant *tenant);
static void lock_pairs(const WhTenant *tenant);
static void rename_schema(const char *old_schema, const char *new_schema);
static void rename_rows(const WhTenant *tenant, const char *new_name,
						const char *new_schema);
static void find_leftovers(const WhTenant *tenant, bool drop_data,
						   Leftovers *leftovers);
static bool schema_holds_only(const char *schema, List *relations);
static void list_live_tables(const WhTenant *tenant, Leftovers *leftovers);
static void drop_leftovers(const WhTenant *tenant, Leftovers *leftovers);
static bool has_room(Leftovers *leftovers, const char *template_name);
static void erase_traces(const WhTenant *tenant);
static char *leftovers_json(const WhTenant *tenant, bool dry_run,
							const Leftovers *leftovers);

/*
 * _wh.rename_tenant(tenant text, new_name text, rename_schema boolean)
 */
Datum
wh_rename_tenant(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *new_name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	bool		with_schema = PG_GETARG_BOOL(2);
	const char *new_schema;
	List	   *templates = NIL;
	WhTenant   *tenant;
	StringInfoData detail;
	WhRole		caller;
	ListCell   *lc;

	wh_become_owner(&caller);
	tenant = wh_tenant(name);
	new_schema = with_schema ? new_name : tenant->schema;
	wh_check_tenant_name(new_name);
	wh_check_schema_name(new_schema);
	wh_tenant_check_free(new_name, new_schema, tenant);
	lock_pairs(tenant);
	foreach(lc, shown_templates(tenant))
		templates = lappend(templates, wh_template(strVal(lfirst(lc))));
	wh_unionview_lock(templates, tenant);

	if (strcmp(new_schema, tenant->schema) != 0)
	{
		rename_schema(tenant->schema, new_schema);
		rename_schema(wh_live_schema(tenant->schema), wh_live_schema(new_schema));
	}
	rename_rows(tenant, new_name, new_schema);

	wh_schedule_rename(name, new_name);

	/* The views go by the new name. */
	tenant = wh_tenant(new_name);
	foreach(lc, templates)
	{
		const WhTemplate *tmpl = (const WhTemplate *) lfirst(lc);

		wh_unionview_renamed(tmpl, tenant);
		if (wh_template_is_live(tmpl))
			wh_live_renamed(tmpl, tenant);
	}
	wh_role_leave(&caller);

	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"new_name\": ");
	escape_json(&detail, new_name);
	appendStringInfoString(&detail, ", \"schema_name\": ");
	escape_json(&detail, new_schema);
	appendStringInfoChar(&detail, '}');
	wh_audit("rename_tenant", name, detail.data);

	PG_RETURN_VOID();
}

/*
 * _wh.drop_tenant(tenant text, drop_data boolean, dry_run boolean)
 */
Datum
wh_drop_tenant(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool		drop_data = PG_GETARG_BOOL(1);
	bool		dry_run = PG_GETARG_BOOL(2);
	Leftovers	leftovers = {0};
	WhTenant   *tenant;
	char	   *report;
	WhRole		caller;

	wh_become_owner(&caller);
	tenant = wh_tenant(name);
	if (!dry_run)
		lock_pairs(tenant);

	find_leftovers(tenant, drop_data, &leftovers);
	if (!dry_run)
		drop_leftovers(tenant, &leftovers);
	else if (drop_data)
		list_live_tables(tenant, &leftovers);
	report = leftovers_json(tenant, dry_run, &leftovers);
	wh_role_leave(&caller);

	if (!dry_run)
		wh_audit("drop_tenant", name, report);
	if (leftovers.left > 0)
		ereport(NOTICE,
				(errmsg("%d relations of tenant \"%s\" are not dropped yet", leftovers.left, name),
				 errdetail("The lock table has no room for more in one transaction. They are shown nowhere."),
				 errhint("SELECT _wh.drop_tenant(%s, drop_data => true);",
						 quote_literal_cstr(name))));

	if (leftovers.more_archived)
		ereport(NOTICE,
				(errmsg("the archive may have more of tenant \"%s\"", name),
				 errdetail("A call removes %d files.", ERASED_AT_ONCE),
				 errhint("SELECT _wh.drop_tenant(%s, drop_data => true);",
						 quote_literal_cstr(name))));

	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(report)));
}

/*
 * List the names of the templates that have, or may at any moment get, a
 * relation or view for the tenant; as String nodes.
 */
static List *
templates_of(const WhTenant *tenant)
{
	List	   *names = shown_templates(tenant);
	ListCell   *lc;

	foreach(lc, wh_slices(NULL, tenant->name))
		names = list_append_unique(names,
								   makeString(((WhSlice *) lfirst(lc))->template_name));
	foreach(lc, wh_templates_enabled())
	{
		WhTemplate *tmpl = (WhTemplate *) lfirst(lc);

		if (wh_template_applies(tmpl, tenant))
			names = list_append_unique(names, makeString(tmpl->name));
	}

	return names;
}

/*
 * List the names of the templates whose views show the tenant: its own view,
 * or its one relation in the public view.
 */
static List *
shown_templates(const WhTenant *tenant)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, wh_published(NULL, tenant->name))
		names = list_append_unique(names,
								   makeString(((WhPublished *) lfirst(lc))->template_name));
	foreach(lc, wh_slices(NULL, tenant->name))
	{
		const WhSlice *slice = (const WhSlice *) lfirst(lc);

		if (slice->period.kind == WH_WHOLE)
			names = list_append_unique(names, makeString(slice->template_name));
	}

	return names;
}

/*
 * Keep refreshes of the tenant out until the end of the transaction.
 */
static void
lock_pairs(const WhTenant *tenant)
{
	ListCell   *lc;

	foreach(lc, templates_of(tenant))
	{
		const char *template_name = strVal(lfirst(lc));

		if (!wh_slice_try_lock(template_name, tenant->name))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("tenant \"%s\" is being refreshed", tenant->name),
					 errdetail("Tenant \"%s\", template \"%s\".",
							   tenant->name, template_name),
					 errhint("Call again when that run is over: SELECT * FROM _wh.extract_runs WHERE status = 'extracting';")));
	}
}

static void
rename_schema(const char *old_schema, const char *new_schema)
{
	if (OidIsValid(get_namespace_oid(new_schema, true)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("schema \"%s\" already exists", new_schema),
				 errhint("Choose another name, or leave the schema as it is.")));
	if (!OidIsValid(get_namespace_oid(old_schema, true)))
		return;

	wh_ddl(psprintf("ALTER SCHEMA %s RENAME TO %s",
					quote_identifier(old_schema), quote_identifier(new_schema)));
}

/*
 * Write the new names wherever the old ones are.  These statements stand
 * together, not with their tables, so that none is forgotten.
 */
static void
rename_rows(const WhTenant *tenant, const char *new_name, const char *new_schema)
{
	static const char *const statements[] = {
		"UPDATE _wh.slices SET tenant_name = $2,"
		" relation_schema = CASE relation_schema WHEN $3 THEN $4 ELSE relation_schema END"
		" WHERE tenant_name = $1",

		"UPDATE _wh.retired_relations SET tenant_name = $2,"
		" relation_schema = CASE relation_schema WHEN $3 THEN $4 ELSE relation_schema END"
		" WHERE tenant_name = $1",

		"UPDATE _wh.published_views SET tenant_name = $2,"
		" view_schema = CASE view_schema WHEN $3 THEN $4 ELSE view_schema END"
		" WHERE tenant_name = $1",

		"UPDATE _wh.extract_runs SET tenant_name = $2,"
		" table_name = CASE table_name WHEN $3 || '.' || template_name"
		" THEN $4 || '.' || template_name ELSE table_name END"
		" WHERE tenant_name = $1",

		"UPDATE _wh.extract_watermarks SET tenant_name = $2,"
		" table_name = CASE table_name WHEN $3 || '.' || template_name"
		" THEN $4 || '.' || template_name ELSE table_name END"
		" WHERE tenant_name = $1",

		"UPDATE _wh.breakers SET tenant_name = $2 WHERE tenant_name = $1",

		"UPDATE _wh.pauses SET tenant_name = $2 WHERE tenant_name = $1",

		"UPDATE _wh.mv_templates SET tenants = array_replace(tenants, $1, $2)"
		" WHERE $1 = ANY (tenants)"
	};
	WhArg		args[] = {
		wh_text(tenant->name), wh_text(new_name),
		wh_name(tenant->schema), wh_name(new_schema)
	};

	wh_tenant_rename(tenant, new_name, new_schema);
	for (Size i = 0; i < lengthof(statements); i++)
		(void) wh_ledger(statements[i], args, lengthof(args));
}

/*
 * Find what the tenant has, and what becomes of it.  Views always go; a
 * relation that is not ours always stays.
 */
static void
find_leftovers(const WhTenant *tenant, bool drop_data, Leftovers *leftovers)
{
	List	   *names = NIL;	/* those in the tenant's schema that go */
	List	   *seen = NIL;
	Oid			nspid = get_namespace_oid(tenant->schema, true);
	ListCell   *lc;

	foreach(lc, wh_published(NULL, tenant->name))
	{
		WhPublished *view = (WhPublished *) lfirst(lc);

		leftovers->dropped =
			lappend(leftovers->dropped,
					quote_qualified_identifier(view->view_schema, view->view_name));
		names = lappend(names, view->view_name);
	}

	foreach(lc, wh_slices(NULL, tenant->name))
	{
		WhSlice    *slice = (WhSlice *) lfirst(lc);
		Oid			relid = wh_slice_relid(slice);
		char	   *name = quote_qualified_identifier(slice->relation_schema,
													  slice->relation_name);

		leftovers->rows += Max(slice->row_count, 0);
		if (!OidIsValid(relid) || list_member_oid(seen, relid))
			continue;
		seen = lappend_oid(seen, relid);

		if (drop_data &&
			(get_rel_relkind(relid) == RELKIND_MATVIEW ||
			 get_rel_relkind(relid) == RELKIND_RELATION ||
			 get_rel_relkind(relid) == RELKIND_VIEW) &&
			wh_class_ownercheck(relid, GetUserId()))
		{
			leftovers->slices = lappend(leftovers->slices, slice);
			leftovers->dropped = lappend(leftovers->dropped, name);
			names = lappend(names, slice->relation_name);
		}
		else
			leftovers->kept = lappend(leftovers->kept, name);
	}

	leftovers->erase = drop_data;
	foreach(lc, drop_data ? wh_templates_all() : NIL)
	{
		const WhTemplate *tmpl = (const WhTemplate *) lfirst(lc);

		if (list_length(tmpl->tenants) == 1 && wh_template_applies(tmpl, tenant))
			leftovers->templates = lappend(leftovers->templates, tmpl->name);
	}
	leftovers->runs = drop_data ? wh_runs_count(tenant->name) : 0;
	leftovers->archived = drop_data ? wh_archive_count(tenant, ERASED_AT_ONCE) : 0;
	leftovers->retired = wh_retired(NULL, tenant->name);
	foreach(lc, leftovers->retired)
	{
		const WhRetired *retired = (const WhRetired *) lfirst(lc);

		leftovers->dropped =
			lappend(leftovers->dropped,
					quote_qualified_identifier(retired->relation_schema,
											   retired->relation_name));
		names = lappend(names, retired->relation_name);
	}

	if (!OidIsValid(nspid))
		return;
	leftovers->with_schema = drop_data &&
		wh_namespace_ownercheck(nspid, GetUserId()) &&
		schema_holds_only(tenant->schema, names);
	if (leftovers->with_schema)
		leftovers->dropped = lappend(leftovers->dropped,
									 unconstify(char *, quote_identifier(tenant->schema)));
	else
		leftovers->kept = lappend(leftovers->kept,
								  unconstify(char *, quote_identifier(tenant->schema)));
}

/*
 * Would the schema be empty without these relations?  What depends on a schema
 * says what is in it, be it a relation, a type or a function.
 */
static bool
schema_holds_only(const char *schema, List *relations)
{
	WhArg		args[] = {wh_text(schema), wh_text_array(relations)};
	uint64		others;

	SPI_connect();
	others = wh_spi(SPI_OK_SELECT,
					"SELECT FROM pg_catalog.pg_depend AS d"
					" JOIN pg_catalog.pg_namespace AS n"
					"   ON d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass"
					"  AND d.refobjid = n.oid AND d.deptype = 'n'"
					" LEFT JOIN pg_catalog.pg_class AS c"
					"   ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
					"  AND d.objid = c.oid"
					" WHERE n.nspname = $1"
					" AND (c.relname = ANY ($2)) IS NOT TRUE LIMIT 1",
					args, lengthof(args));
	SPI_finish();

	return others == 0;
}

/*
 * List what drop_leftovers() will find that nobody reads any more.
 */
static void
list_live_tables(const WhTenant *tenant, Leftovers *leftovers)
{
	const char *schema = wh_live_schema(tenant->schema);
	ListCell   *lc;

	foreach(lc, wh_livetables_in(schema))
		leftovers->dropped = lappend(leftovers->dropped,
									 quote_qualified_identifier(schema, get_rel_name(lfirst_oid(lc))));
	if (OidIsValid(get_namespace_oid(schema, true)))
		leftovers->dropped = lappend(leftovers->dropped,
									 unconstify(char *, quote_identifier(schema)));
}

/*
 * Take the tenant out of the views, then out of everything else.  Relations
 * that are to stay do; those that are to go and do not fit into one
 * transaction are noted for the next.
 */
static void
drop_leftovers(const WhTenant *tenant, Leftovers *leftovers)
{
	List	   *now = NIL;
	List	   *gone = NIL;
	WhTenant	closed = *tenant;
	ListCell   *lc;

	/* What derived templates made stands by itself when their inputs go. */
	wh_plain_tables(wh_plain_derived(NULL, tenant->name));
	foreach(lc, shown_templates(tenant))
		wh_unionview_detach(wh_template(strVal(lfirst(lc))), tenant);

	/* What there is no room for goes out of use, as it does in a roll-up. */
	foreach(lc, leftovers->slices)
	{
		const WhSlice *slice = (const WhSlice *) lfirst(lc);

		if (!OidIsValid(wh_slice_relid(slice)))
			continue;
		if (has_room(leftovers, slice->template_name))
			now = lappend_oid(now, wh_slice_relid(slice));
		else
			wh_retired_put(slice->template_name, tenant->name,
						   list_make1(slice->relation_schema),
						   list_make1(slice->relation_name));
	}
	foreach(lc, leftovers->retired)
	{
		const WhRetired *retired = (const WhRetired *) lfirst(lc);
		Oid			relid = wh_retired_relid(retired);

		if (OidIsValid(relid) && !has_room(leftovers, retired->template_name))
			continue;
		gone = lappend(gone, lfirst(lc));
		if (OidIsValid(relid))
			now = lappend_oid(now, relid);
	}

	/* A reader that still holds one of them must not be waited for for ever. */
	(void) set_config_option("lock_timeout", psprintf("%d", Max(wh_lock_deadline, 1)),
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	foreach(lc, wh_kept_readers_first(now))
		wh_relation_drop(lfirst_oid(lc));
	wh_retired_forget(gone);
	if (leftovers->erase)
		leftovers->dropped = list_concat(leftovers->dropped,
										 wh_livetables_tidy(wh_live_schema(tenant->schema)));

	wh_schedule_remove(NULL, tenant->name);
	(void) wh_pauses_end(NULL, tenant->name);
	(void) wh_breaker_close(tenant->name);
	(void) wh_slices_forget(NULL, tenant->name);
	(void) wh_watermarks_forget(NULL, tenant->name);
	wh_published_forget(NULL, tenant->name);
	if (leftovers->erase)
	{
		erase_traces(tenant);
		leftovers->more_archived = wh_archive_erase(tenant, ERASED_AT_ONCE) == ERASED_AT_ONCE;
	}

	/* The tenant itself goes with the last of its relations and files. */
	if (leftovers->left > 0 || leftovers->more_archived)
	{
		closed.enabled = false;
		wh_tenant_update(&closed);
		return;
	}
	if (leftovers->with_schema)
		wh_ddl(psprintf("DROP SCHEMA %s", quote_identifier(tenant->schema)));
	wh_tenant_delete(tenant);
}

/*
 * Take the locks for dropping one more relation off what this transaction may
 * have; when they are used up, the relation is left to a further call.
 */
static bool
has_room(Leftovers *leftovers, const char *template_name)
{
	int64		locks = leftovers->locks + wh_relation_locks(wh_template(template_name));

	if (leftovers->locks > 0 && !wh_locks_fit(locks))
	{
		leftovers->left++;
		return false;
	}
	leftovers->locks = locks;

	return true;
}

/*
 * Leave nothing that names the tenant but the audit log, and templates that
 * are for this tenant alone, which the report names: an empty list would mean
 * all tenants, and definitions are their author's to drop.
 */
static void
erase_traces(const WhTenant *tenant)
{
	WhArg		arg = wh_text(tenant->name);

	wh_runs_forget(tenant->name);
	wh_schedule_erase(tenant->name);
	(void) wh_ledger("UPDATE _wh.mv_templates SET tenants = array_remove(tenants, $1)"
					 " WHERE $1 = ANY (tenants) AND cardinality(tenants) > 1",
					 &arg, 1);
}

static char *
leftovers_json(const WhTenant *tenant, bool dry_run, const Leftovers *leftovers)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"tenant\": ");
	escape_json(&json, tenant->name);
	appendStringInfo(&json, ", \"dry_run\": %s, \"dropped\": ", dry_run ? "true" : "false");
	wh_json_strings(&json, leftovers->dropped);
	appendStringInfoString(&json, ", \"kept\": ");
	wh_json_strings(&json, leftovers->kept);
	appendStringInfo(&json, ", \"rows\": " INT64_FORMAT, leftovers->rows);
	if (leftovers->erase)
		appendStringInfo(&json, ", \"runs\": " INT64_FORMAT ", \"left\": %d",
						 leftovers->runs, leftovers->left);
	if (leftovers->archived > 0)
		appendStringInfo(&json, ", \"archived\": %d", leftovers->archived);
	if (leftovers->templates != NIL)
	{
		appendStringInfoString(&json, ", \"templates\": ");
		wh_json_strings(&json, leftovers->templates);
	}
	appendStringInfoChar(&json, '}');

	return json.data;
}
