/*
 * unionview.c
 *		The views that people read, in either layout.
 *
 * What a view should show is viewtext's, the foreign table of the layout
 * expand viewtable's; this file brings views into being.  A view is written
 * only when its text or what it depends on has changed, replaced in place
 * where PostgreSQL can, and else made anew with all that people gave it
 * (kept).  Nothing is dropped by CASCADE.  All views of a template change
 * under one lock (wh_published_lock), and a view that people may be reading is
 * locked by trying, never by waiting.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "budget.h"
#include "kept.h"
#include "lock.h"
#include "names.h"
#include "published.h"
#include "run.h"
#include "settings.h"
#include "slice.h"
#include "spi.h"
#include "uniontable.h"
#include "unionview.h"
#include "viewtable.h"
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
static bool update_table(const WhTemplate *tmpl);
static void update_table_of(WhRun *run, void *arg);
static bool contained(WhRun *run, void (*work) (WhRun *run, void *arg),
					  void *arg);
static List *members(const WhTemplate *tmpl);
static Member *make_member(const WhTemplate *tmpl, char *tenant, char *schema);
static bool ensure_table(const WhTemplate *tmpl);
static TupleDesc table_columns(const WhTemplate *tmpl);
static TupleDesc with_columns(TupleDesc columns, TupleDesc others);
static List *views_on_table(const WhTemplate *tmpl);
static bool is_current(const WhView *view);
static bool shows(Oid view, Oid relid);
static List *shown_by(Oid relid);
static bool publish(const WhView *view);
static void note(const WhView *view);
static void create(const WhView *view);
static bool recreate(const WhView *view, Oid relid, const WhKept *kept);
static void rewrite(WhView *view, Oid relid);
static void write_view(const WhView *view, const char *verb,
					   const char *options);
static bool take_out_of_public(const WhTemplate *tmpl, const char *tenant,
							   Oid relid);
static void drop_view(const WhPublished *row);
static Oid	find_ours(const WhView *view);
static Oid	published_relid(const WhTemplate *tmpl, const char *tenant);
static char *what(const char *schema, const char *name);

/*
 * Bring one tenant's view up to date; see unionview.h.
 */
bool
wh_unionview_tenant(const WhTemplate *tmpl, const WhTenant *tenant)
{
	bool		changed = ensure_table(tmpl);

	return update_tenant(tmpl, tenant->name, tenant->schema) || changed;
}

/*
 * Bring the public view up to date, or take it away where the template wants
 * none.
 */
bool
wh_unionview_public(const WhTemplate *tmpl)
{
	bool		changed;

	if (!tmpl->public_view)
	{
		const WhPublished *row = wh_published_find(tmpl->name, WH_PUBLIC_VIEW);

		if (row == NULL)
			return false;
		wh_published_lock(tmpl->name);
		drop_view(row);
		return true;
	}

	changed = ensure_table(tmpl);
	if (is_current(wh_view_of_all(tmpl, NULL)))
		return changed;

	/* Whoever held the lock may have changed what there is to show. */
	wh_published_lock(tmpl->name);
	(void) publish(wh_view_of_all(tmpl, NULL));

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

	if (!update_table(tmpl))
		return false;

	foreach(lc, members(tmpl))
	{
		Member	   *member = (Member *) lfirst(lc);
		WhRun		run = {0};

		run.template_name = tmpl->name;
		run.tenant_name = member->tenant;
		run.table_name = psprintf("%s.%s", member->schema, tmpl->name);
		ok &= contained(&run, update_member, member);
	}

	(void) wh_unionview_public(tmpl);

	/* What only the views of before needed can go. */
	if (tmpl->layout != WH_LAYOUT_EXPAND)
		wh_viewtable_drop_unused(tmpl);
	else
		ok &= update_table(tmpl);

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
		(void) take_out_of_public(tmpl, tenant->name,
								  published_relid(tmpl, tenant->name));

	/* The public view comes first: it depends on the others. */
	foreach(lc, wh_published(tmpl->name, tenant ? tenant->name : NULL))
		drop_view((const WhPublished *) lfirst(lc));
	if (tenant == NULL)
		wh_viewtable_drop(tmpl);
}

/*
 * Write a tenant's view anew if it shows the relation; see unionview.h.
 */
void
wh_unionview_let_go(const WhTemplate *tmpl, const WhTenant *tenant, Oid relid)
{
	if (shows(published_relid(tmpl, tenant->name), relid))
		(void) wh_unionview_tenant(tmpl, tenant);
}

static bool
update_tenant(const WhTemplate *tmpl, const char *tenant, const char *schema)
{
	if (is_current(wh_view_of_tenant(tmpl, tenant, schema)))
		return false;

	/* Whoever held the lock may have changed what there is to show. */
	wh_published_lock(tmpl->name);

	/* The public view may have let go of it; see recreate(). */
	if (publish(wh_view_of_tenant(tmpl, tenant, schema)))
		(void) wh_unionview_public(tmpl);

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
 * Bring the foreign table up to date, contained.
 */
static bool
update_table(const WhTemplate *tmpl)
{
	WhRun		run = {0};

	run.template_name = tmpl->name;
	run.table_name = psprintf("%s.%s", WH_UNION_SCHEMA, tmpl->name);

	return contained(&run, update_table_of, unconstify(WhTemplate *, tmpl));
}

static void
update_table_of(WhRun *run, void *arg)
{
	(void) ensure_table((const WhTemplate *) arg);
	run->status = "loaded";
}

/*
 * Do a piece of the work contained: when it fails, log and warn of it.
 */
static bool
contained(WhRun *run, void (*work) (WhRun *run, void *arg), void *arg)
{
	wh_run_contained(run, work, arg);
	if (run->error == NULL)
		return true;

	wh_run_start(run, "refresh");
	wh_run_finish(run);
	wh_run_warn(run);

	return false;
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
	ListCell   *lc;

	foreach(lc, wh_published(tmpl->name, NULL))
	{
		const WhPublished *row = (const WhPublished *) lfirst(lc);

		if (strcmp(row->tenant_name, WH_PUBLIC_VIEW) != 0)
			members = lappend(members, make_member(tmpl, row->tenant_name,
												   row->view_schema));
	}

	foreach(lc, wh_slice_tenants(tmpl->name))
	{
		const WhSliceTenant *tenant = (const WhSliceTenant *) lfirst(lc);

		if (wh_published_find(tmpl->name, tenant->name) == NULL)
			members = lappend(members, make_member(tmpl, tenant->name,
												   tenant->schema));
	}

	return members;
}

static Member *
make_member(const WhTemplate *tmpl, char *tenant, char *schema)
{
	Member	   *member = (Member *) palloc(sizeof(Member));

	member->tmpl = tmpl;
	member->tenant = tenant;
	member->schema = schema;

	return member;
}

/*
 * See to it that the layout's foreign table is there and fits.  One that does
 * not is locked before the views on it, since whoever reads one of them holds
 * it longest.  They keep their columns and all that depends on them: one whose
 * type has changed is cast until its view is brought up to date.
 */
static bool
ensure_table(const WhTemplate *tmpl)
{
	List	   *views;
	List	   *arms;
	ListCell   *lc;
	int			nestlevel;

	if (tmpl->layout != WH_LAYOUT_EXPAND ||
		wh_viewtable_fits(tmpl, table_columns(tmpl)))
		return false;

	wh_published_lock(tmpl->name);
	if (wh_viewtable_fits(tmpl, table_columns(tmpl)))
		return true;

	nestlevel = wh_lock_bound();
	wh_viewtable_begin(tmpl);
	views = views_on_table(tmpl);
	foreach(lc, views)
	{
		WhView	   *view = (WhView *) lfirst(lc);

		view->arms = NIL;
		rewrite(view, published_relid(tmpl, view->tenant));
	}
	wh_viewtable_make(tmpl, table_columns(tmpl));
	arms = wh_view_of_all(tmpl, NULL)->arms;
	foreach(lc, views)
	{
		WhView	   *view = (WhView *) lfirst(lc);

		view->arms = arms;
		rewrite(view, published_relid(tmpl, view->tenant));
	}
	wh_lock_unbound(nestlevel);

	return true;
}

/*
 * List the columns that the foreign table needs: the template's, and those
 * that a view of ours shows yet, since something of people's keeps it from
 * being made anew: older slices still have them.
 */
static TupleDesc
table_columns(const WhTemplate *tmpl)
{
	TupleDesc	columns = tmpl->columns;
	ListCell   *lc;

	foreach(lc, wh_published(tmpl->name, NULL))
	{
		Oid			relid = wh_published_relid((const WhPublished *) lfirst(lc));

		if (OidIsValid(relid))
			columns = with_columns(columns, wh_columns_of(relid));
	}

	return wh_with_schema_name(columns);
}

/*
 * Add those of other columns that have another name, but for schema_name.
 */
static TupleDesc
with_columns(TupleDesc columns, TupleDesc others)
{
	for (int i = 1; i <= others->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(others, i - 1)->attname);
		TupleDesc	more;
		int			n = 0;

		while (n < columns->natts &&
			   strcmp(NameStr(TupleDescAttr(columns, n)->attname), name) != 0)
			n++;
		if (n < columns->natts || strcmp(name, WH_SCHEMA_COLUMN) == 0)
			continue;

		more = CreateTemplateTupleDesc(n + 1);
		for (int j = 1; j <= n; j++)
			TupleDescCopyEntry(more, j, columns, j);
		TupleDescCopyEntry(more, n + 1, others, i);
		columns = more;
	}

	return columns;
}

/*
 * Describe our views that show the foreign table, the public one last.
 */
static List *
views_on_table(const WhTemplate *tmpl)
{
	Oid			table = wh_viewtable_relid(tmpl);
	WhView	   *of_all = NULL;
	List	   *views = NIL;
	ListCell   *lc;

	foreach(lc, wh_published(tmpl->name, NULL))
	{
		const WhPublished *row = (const WhPublished *) lfirst(lc);

		if (!shows(wh_published_relid(row), table))
			continue;
		if (strcmp(row->tenant_name, WH_PUBLIC_VIEW) == 0)
			of_all = wh_view_of_all(tmpl, NULL);
		else
			views = lappend(views, wh_view_of_tenant(tmpl, row->tenant_name,
													 row->view_schema));
	}

	return of_all == NULL ? views : lappend(views, of_all);
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
	List	   *wanted = NIL;
	ListCell   *lc;

	if (!OidIsValid(relid) ||
		strcmp(row->view_schema, view->schema) != 0 ||
		strcmp(row->definition, view->definition) != 0)
		return false;

	foreach(lc, view->arms)
		wanted = lappend_oid(wanted, ((const WhViewArm *) lfirst(lc))->relid);
	list_sort(wanted, list_oid_cmp);

	return equal(wanted, shown_by(relid));
}

/*
 * Does the view show that very relation?
 */
static bool
shows(Oid view, Oid relid)
{
	return OidIsValid(view) && list_member_oid(shown_by(view), relid);
}

/*
 * List the relations that a view shows, by OID.
 */
static List *
shown_by(Oid relid)
{
	MemoryContext caller = CurrentMemoryContext;
	WhArg		arg = wh_int8(relid);
	List	   *shown = NIL;
	uint64		rows;

	SPI_connect();
	rows = wh_spi(SPI_OK_SELECT,
				  "SELECT DISTINCT d.refobjid::pg_catalog.int8"
				  " FROM pg_catalog.pg_rewrite r"
				  " JOIN pg_catalog.pg_depend d ON d.objid = r.oid"
				  " AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
				  " WHERE r.ev_class = $1::pg_catalog.oid"
				  " AND r.rulename = '_RETURN'"
				  " AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
				  " AND d.refobjid <> r.ev_class ORDER BY 1",
				  &arg, 1);

	/* Copy out while the SPI result is still there. */
	MemoryContextSwitchTo(caller);
	for (uint64 row = 0; row < rows; row++)
		shown = lappend_oid(shown, (Oid) wh_col_int8(row, 1, 0));
	SPI_finish();

	return shown;
}

/*
 * Bring the view into being as described, and note it.  The caller holds the
 * template's lock.  True when the public view had to let go of it.
 */
static bool
publish(const WhView *view)
{
	int			nestlevel = wh_lock_bound();
	Oid			relid = find_ours(view);
	bool		let_go = false;

	if (view->tmpl->layout == WH_LAYOUT_UNION)
		wh_check_union_view(view->tmpl, view->tenant, view->schema);

	if (!OidIsValid(relid))
		create(view);
	else
	{
		const WhKept *kept;

		(void) wh_lock_relation(relid, what(view->schema, view->tmpl->name));
		kept = wh_kept(relid, view->columns);
		if (wh_columns_extend(wh_columns_of(relid), view->columns))
			write_view(view, "CREATE OR REPLACE VIEW", kept->view_options);
		else
			let_go = recreate(view, relid, kept);
	}
	note(view);
	wh_lock_unbound(nestlevel);

	return let_go;
}

/*
 * Note that the view is ours and what it shows.
 */
static void
note(const WhView *view)
{
	WhPublished row;

	row.template_name = view->tmpl->name;
	row.tenant_name = unconstify(char *, view->tenant);
	row.view_schema = unconstify(char *, view->schema);
	row.view_name = view->tmpl->name;
	row.definition = view->definition;
	wh_published_put(&row);
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
 * The public view, where it shows a tenant's, lets go of it meanwhile, and
 * keeps its identity and whatever depends on it unless its own columns change
 * too.
 */
static bool
recreate(const WhView *view, Oid relid, const WhKept *kept)
{
	Oid			public = published_relid(view->tmpl, WH_PUBLIC_VIEW);
	bool		let_go;

	wh_kept_check_dependents(relid, public,
							 what(view->schema, view->tmpl->name));

	let_go = take_out_of_public(view->tmpl, view->tenant, relid);
	wh_ddl(psprintf("DROP VIEW %s RESTRICT",
					quote_qualified_identifier(view->schema,
											   view->tmpl->name)));
	write_view(view, "CREATE VIEW", kept->view_options);
	wh_kept_restore(kept,
					get_relname_relid(view->tmpl->name,
									  get_namespace_oid(view->schema, false)));

	return let_go;
}

/*
 * Write a view that is there over view->arms, with the columns that it has,
 * and note that.
 */
static void
rewrite(WhView *view, Oid relid)
{
	(void) wh_lock_relation(relid, what(view->schema, view->tmpl->name));
	view->columns = wh_columns_of(relid);
	view->definition = wh_view_select(view);
	write_view(view, "CREATE OR REPLACE VIEW",
			   wh_kept(relid, view->columns)->view_options);
	note(view);
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
 * Rewrite the public view without a tenant whose view it shows; false when it
 * does not.
 */
static bool
take_out_of_public(const WhTemplate *tmpl, const char *tenant, Oid relid)
{
	Oid			public = published_relid(tmpl, WH_PUBLIC_VIEW);
	int			nestlevel;

	if (!shows(public, relid))
		return false;

	(void) ensure_table(tmpl);
	nestlevel = wh_lock_bound();
	rewrite(wh_view_of_all(tmpl, tenant), public);
	wh_lock_unbound(nestlevel);

	return true;
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
			 errhint("Move it out of the way: %s",
					 wh_rename_aside(view->schema, name))));
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
