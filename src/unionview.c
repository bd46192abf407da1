/*
 * unionview.c
 *		The views that people read, in the layout union: literal UNION ALL.
 *
 * What a view should show is viewtext's; this file brings it into being.  A
 * view is written only when its text or what it depends on has changed,
 * replaced in place where PostgreSQL can, and else made anew with all that
 * people gave it (kept).  Nothing is dropped by CASCADE.  All views of a
 * template change under one lock (wh_published_lock), and a view that people
 * may be reading is locked by trying, never by waiting.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "kept.h"
#include "lock.h"
#include "names.h"
#include "published.h"
#include "run.h"
#include "settings.h"
#include "slice.h"
#include "spi.h"
#include "unionview.h"
#include "viewtext.h"

/* Which tenant's view wh_unionview_all() is at. */
typedef struct Member
{
	const WhTemplate *tmpl;
	char	   *tenant;
	char	   *schema;
} Member;

static bool update_tenant(const WhTemplate *tmpl, const char *tenant,
						  const char *schema);
static void update_member(WhRun *run, void *arg);
static List *members(const WhTemplate *tmpl);
static void report_failure(WhRun *run);
static bool is_current(const WhView *view);
static bool shows_arms(Oid relid, List *arms);
static void publish(const WhView *view);
static void create(const WhView *view);
static void recreate(const WhView *view, Oid relid, const WhKept *kept);
static void write_view(const WhView *view, const char *verb,
					   const char *options);
static void take_out_of_public(const WhTemplate *tmpl, const char *tenant);
static void drop_view(const WhPublished *row);
static TupleDesc columns_of(Oid relid);
static Oid	find_ours(const WhView *view);
static Oid	published_relid(const WhTemplate *tmpl, const char *tenant);
static char *what(const char *schema, const char *name);

/*
 * Bring one tenant's view up to date; see unionview.h.
 */
bool
wh_unionview_tenant(const WhTemplate *tmpl, const WhTenant *tenant)
{
	/* There the one relation has the name that the view would have. */
	if (!wh_template_is_daily(tmpl))
		return false;

	return update_tenant(tmpl, tenant->name, tenant->schema);
}

/*
 * Bring the public view up to date, or take it away where the template wants
 * none.
 */
bool
wh_unionview_public(const WhTemplate *tmpl)
{
	if (!tmpl->public_view)
	{
		const WhPublished *row = wh_published_find(tmpl->name, WH_PUBLIC_VIEW);

		if (row == NULL)
			return false;
		wh_published_lock(tmpl->name);
		drop_view(row);
		return true;
	}

	if (is_current(wh_view_of_all(tmpl, NULL)))
		return false;

	/* Whoever held the lock may have changed what there is to show. */
	wh_published_lock(tmpl->name);
	publish(wh_view_of_all(tmpl, NULL));

	return true;
}

/*
 * Bring all views of a template up to date; see unionview.h.
 */
bool
wh_unionview_all(const WhTemplate *tmpl)
{
	bool		ok = true;
	ListCell   *lc;

	foreach(lc, members(tmpl))
	{
		Member	   *member = (Member *) lfirst(lc);
		WhRun		run = {0};

		run.template_name = tmpl->name;
		run.tenant_name = member->tenant;
		run.table_name = psprintf("%s.%s", member->schema, tmpl->name);
		wh_run_contained(&run, update_member, member);
		if (run.error == NULL)
			continue;
		report_failure(&run);
		ok = false;
	}

	(void) wh_unionview_public(tmpl);

	return ok;
}

/*
 * Take a tenant, or the template, out of the views; see unionview.h.
 */
void
wh_unionview_detach(const WhTemplate *tmpl, const WhTenant *tenant)
{
	ListCell   *lc;

	wh_published_lock(tmpl->name);
	if (tenant != NULL)
		take_out_of_public(tmpl, tenant->name);

	/* The public view comes first: it depends on the others. */
	foreach(lc, wh_published(tmpl->name, tenant ? tenant->name : NULL))
		drop_view((const WhPublished *) lfirst(lc));
}

static bool
update_tenant(const WhTemplate *tmpl, const char *tenant, const char *schema)
{
	if (is_current(wh_view_of_tenant(tmpl, tenant, schema)))
		return false;

	/* Whoever held the lock may have changed what there is to show. */
	wh_published_lock(tmpl->name);
	publish(wh_view_of_tenant(tmpl, tenant, schema));

	return true;
}

static void
update_member(WhRun *run, void *arg)
{
	const Member *member = (const Member *) arg;

	(void) update_tenant(member->tmpl, member->tenant, member->schema);
	run->status = "loaded";
}

/*
 * List the tenants that have slices or a view of the template.  The ledger is
 * asked, not the list of tenants: data of a tenant that was disabled, or is
 * no longer named by the template, stays readable.
 */
static List *
members(const WhTemplate *tmpl)
{
	List	   *members = NIL;
	Member	   *latest = NULL;
	ListCell   *lc;

	if (!wh_template_is_daily(tmpl))
		return NIL;

	foreach(lc, wh_published(tmpl->name, NULL))
	{
		const WhPublished *row = (const WhPublished *) lfirst(lc);

		if (strcmp(row->tenant_name, WH_PUBLIC_VIEW) == 0)
			continue;
		latest = (Member *) palloc(sizeof(Member));
		latest->tmpl = tmpl;
		latest->tenant = row->tenant_name;
		latest->schema = row->view_schema;
		members = lappend(members, latest);
	}

	latest = NULL;
	foreach(lc, wh_slices(tmpl->name, NULL))
	{
		const WhSlice *slice = (const WhSlice *) lfirst(lc);

		/* Slices come in order of tenant. */
		if (latest != NULL && strcmp(latest->tenant, slice->tenant_name) == 0)
			continue;
		latest = (Member *) palloc(sizeof(Member));
		latest->tmpl = tmpl;
		latest->tenant = slice->tenant_name;
		latest->schema = slice->relation_schema;
		if (wh_published_find(tmpl->name, latest->tenant) == NULL)
			members = lappend(members, latest);
	}

	return members;
}

/*
 * Log and warn of a view that could not be brought up to date.
 */
static void
report_failure(WhRun *run)
{
	wh_run_start(run, "refresh");
	wh_run_finish(run);
	wh_run_warn(run);
}

/*
 * Is the view there, with this text, over these very relations?  The text
 * alone cannot tell a relation from another that took its name.
 */
static bool
is_current(const WhView *view)
{
	const WhPublished *row = wh_published_find(view->tmpl->name, view->tenant);
	Oid			relid = row ? wh_published_relid(row) : InvalidOid;

	return OidIsValid(relid) &&
		strcmp(row->view_schema, view->schema) == 0 &&
		strcmp(row->definition, view->definition) == 0 &&
		shows_arms(relid, view->arms);
}

/*
 * Does the view depend on exactly these relations?
 */
static bool
shows_arms(Oid relid, List *arms)
{
	List	   *oids = NIL;
	int64		shown;
	int64		wanted;
	WhArg		args[2];
	ListCell   *lc;

	foreach(lc, arms)
		oids = lappend(oids,
					   psprintf("%u", ((const WhViewArm *) lfirst(lc))->relid));
	args[0] = wh_int8(relid);
	args[1] = wh_text_array(oids);

	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT,
				  "SELECT pg_catalog.count(DISTINCT d.refobjid),"
				  " pg_catalog.count(DISTINCT d.refobjid)"
				  " FILTER (WHERE d.refobjid = ANY ($2::pg_catalog.oid[]))"
				  " FROM pg_catalog.pg_rewrite r"
				  " JOIN pg_catalog.pg_depend d ON d.objid = r.oid"
				  " AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
				  " WHERE r.ev_class = $1::pg_catalog.oid"
				  " AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
				  " AND d.refobjid <> r.ev_class",
				  args, lengthof(args));
	shown = wh_col_int8(0, 1, 0);
	wanted = wh_col_int8(0, 2, 0);
	SPI_finish();

	return shown == wanted && wanted == list_length(arms);
}

/*
 * Bring the view into being as described, and note it.  The caller holds the
 * template's lock.
 */
static void
publish(const WhView *view)
{
	int			nestlevel = wh_lock_bound();
	Oid			relid = find_ours(view);
	bool		remade = false;
	WhPublished row;

	if (!OidIsValid(relid))
		create(view);
	else
	{
		const WhKept *kept;

		(void) wh_lock_relation(relid, what(view->schema, view->tmpl->name));
		kept = wh_kept(relid, view->columns);
		if (wh_columns_extend(columns_of(relid), view->columns))
			write_view(view, "CREATE OR REPLACE VIEW", kept->view_options);
		else
		{
			recreate(view, relid, kept);
			remade = true;
		}
	}

	row.template_name = view->tmpl->name;
	row.tenant_name = unconstify(char *, view->tenant);
	row.view_schema = unconstify(char *, view->schema);
	row.view_name = view->tmpl->name;
	row.definition = view->definition;
	wh_published_put(&row);
	wh_lock_unbound(nestlevel);

	/* The public view let go of it; see recreate(). */
	if (remade && strcmp(view->tenant, WH_PUBLIC_VIEW) != 0 &&
		OidIsValid(published_relid(view->tmpl, WH_PUBLIC_VIEW)))
		(void) wh_unionview_public(view->tmpl);
}

/*
 * Make a view for the first time; what it is given here is people's to change
 * later.
 */
static void
create(const WhView *view)
{
	const char *name = quote_qualified_identifier(view->schema,
												  view->tmpl->name);
	char	   *comment;

	if (strcmp(view->tenant, WH_PUBLIC_VIEW) == 0)
		comment = psprintf("Template \"%s\" of all tenants; kept by pg_warehouse",
						   view->tmpl->name);
	else
		comment = psprintf("Template \"%s\" of tenant \"%s\", all loaded slices; kept by pg_warehouse",
						   view->tmpl->name, view->tenant);

	write_view(view, "CREATE VIEW", NULL);
	wh_ddl(psprintf("GRANT SELECT ON TABLE %s TO %s", name,
					quote_identifier(wh_settings()->reader_role)));
	wh_ddl(psprintf("COMMENT ON VIEW %s IS %s", name,
					quote_literal_cstr(comment)));
}

/*
 * Make a view anew whose columns changed beyond what PostgreSQL replaces.
 * The public view, which shows a tenant's, lets go of it meanwhile, and keeps
 * its identity and whatever depends on it unless its own columns change too.
 */
static void
recreate(const WhView *view, Oid relid, const WhKept *kept)
{
	bool		is_public = strcmp(view->tenant, WH_PUBLIC_VIEW) == 0;

	wh_kept_check_dependents(relid,
							 is_public ? InvalidOid :
							 published_relid(view->tmpl, WH_PUBLIC_VIEW),
							 what(view->schema, view->tmpl->name));

	if (!is_public)
		take_out_of_public(view->tmpl, view->tenant);
	wh_ddl(psprintf("DROP VIEW %s RESTRICT",
					quote_qualified_identifier(view->schema,
											   view->tmpl->name)));
	write_view(view, "CREATE VIEW", kept->view_options);
	wh_kept_restore(kept,
					get_relname_relid(view->tmpl->name,
									  get_namespace_oid(view->schema, false)));
}

static void
write_view(const WhView *view, const char *verb, const char *options)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "%s %s", verb,
					 quote_qualified_identifier(view->schema,
												view->tmpl->name));
	if (options != NULL)
		appendStringInfo(&sql, " WITH (%s)", options);
	appendStringInfo(&sql, " AS\n%s", view->definition);
	wh_ddl(sql.data);
}

/*
 * Rewrite the public view, with the columns that it has, without a tenant.
 */
static void
take_out_of_public(const WhTemplate *tmpl, const char *tenant)
{
	WhPublished *row = wh_published_find(tmpl->name, WH_PUBLIC_VIEW);
	Oid			relid = row ? wh_published_relid(row) : InvalidOid;
	WhView	   *view;
	int			nestlevel;

	if (!OidIsValid(relid))
		return;

	nestlevel = wh_lock_bound();
	view = wh_view_of_all(tmpl, tenant);
	(void) wh_lock_relation(relid, what(view->schema, tmpl->name));
	view->columns = columns_of(relid);
	view->definition = wh_view_select(view);
	write_view(view, "CREATE OR REPLACE VIEW",
			   wh_kept(relid, view->columns)->view_options);

	row->definition = view->definition;
	wh_published_put(row);
	wh_lock_unbound(nestlevel);
}

/*
 * Drop a view of ours and forget it; 2BP01 when people built on it.
 */
static void
drop_view(const WhPublished *row)
{
	Oid			relid = wh_published_relid(row);

	if (OidIsValid(relid))
	{
		char	   *name = what(row->view_schema, row->view_name);
		int			nestlevel = wh_lock_bound();

		(void) wh_lock_relation(relid, name);
		wh_kept_check_dependents(relid, InvalidOid, name);
		wh_ddl(psprintf("DROP VIEW %s RESTRICT",
						quote_qualified_identifier(row->view_schema,
												   row->view_name)));
		wh_lock_unbound(nestlevel);
	}
	wh_published_forget(row->template_name, row->tenant_name);
}

static TupleDesc
columns_of(Oid relid)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	TupleDesc	columns = CreateTupleDescCopy(RelationGetDescr(rel));

	relation_close(rel, AccessShareLock);

	return columns;
}

/*
 * Find the view at its place: InvalidOid when the place is free, 42710 when
 * something else has it.
 */
static Oid
find_ours(const WhView *view)
{
	const char *name = view->tmpl->name;
	Oid			relid = get_relname_relid(name,
										  get_namespace_oid(view->schema,
															false));
	WhPublished place = {0};

	if (!OidIsValid(relid) ||
		relid == published_relid(view->tmpl, view->tenant))
		return relid;

	/* Its row can be newer than this transaction's only snapshot. */
	place.view_schema = unconstify(char *, view->schema);
	place.view_name = view->tmpl->name;
	if (IsolationUsesXactSnapshot() && OidIsValid(wh_published_relid(&place)))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access to %s",
						what(view->schema, name)),
				 errdetail("It was created after this transaction began."),
				 errhint("Run it again in a new transaction.")));

	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("relation \"%s.%s\" already exists and is not a view of this warehouse",
					view->schema, name),
			 errhint("Move it out of the way: ALTER TABLE %s RENAME TO %s;",
					 quote_qualified_identifier(view->schema, name),
					 quote_identifier(wh_bounded_name(psprintf("%s_old",
															   name))))));
}

static Oid
published_relid(const WhTemplate *tmpl, const char *tenant)
{
	const WhPublished *row = wh_published_find(tmpl->name, tenant);

	return row ? wh_published_relid(row) : InvalidOid;
}

static char *
what(const char *schema, const char *name)
{
	return psprintf("view \"%s.%s\"", schema, name);
}
