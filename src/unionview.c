/*
 * unionview.c
 *		The views that people read, in either layout.
 *
 * This file knows which views there are, and when they change: only when text
 * or what they depend on has changed, all of a template under one lock
 * (wh_published_lock), one tenant's trouble not the others'.  What a view
 * should show is viewtext's, how one is made viewmake's, the foreign table of
 * the layout expand viewtable's.
 */
#include "postgres.h"

#include "utils/lsyscache.h"

#include "kept.h"
#include "lock.h"
#include "published.h"
#include "run.h"
#include "settings.h"
#include "slice.h"
#include "tenant.h"
#include "uniontable.h"
#include "unionview.h"
#include "viewmake.h"
#include "viewtable.h"
#include "viewtext.h"

/* One of the views that wh_unionview_all() sees to. */
typedef struct Member
{
	const WhTemplate *tmpl;
	const char *tenant;			/* or WH_PUBLIC_VIEW */
	const char *schema;
	const WhPublished *row;		/* NULL: not made yet */
	bool		stale;			/* it has to change */
	Oid			busy;			/* the view, when it could not be locked */
} Member;

static List *views_naming(const WhTemplate *tmpl, const WhTenant *tenant);
static Oid	relation_of(const WhTemplate *tmpl, const WhTenant *tenant);
static void lock_stale(const WhTemplate *tmpl, List *members);
static bool update_tenant(const WhTemplate *tmpl, const char *tenant,
						  const char *schema);
static void update_member(WhRun *run, void *arg);
static bool update_table(const WhTemplate *tmpl);
static void update_table_of(WhRun *run, void *arg);
static bool contained(WhRun *run, void (*work) (WhRun *run, void *arg),
					  void *arg);
static List *members_of(const WhTemplate *tmpl);
static bool is_member(List *members, const char *tenant);
static Member *make_member(const WhTemplate *tmpl, const char *tenant,
						   const char *schema, const WhPublished *row);
static bool ensure_table(const WhTemplate *tmpl);
static TupleDesc table_columns(const WhTemplate *tmpl);
static TupleDesc with_columns(TupleDesc columns, TupleDesc others);
static List *views_on_table(const WhTemplate *tmpl);

/*
 * Bring one tenant's view up to date; see unionview.h.
 */
bool
wh_unionview_tenant(const WhTemplate *tmpl, const WhTenant *tenant)
{
	bool		changed;

	/* There the one relation has the name that the view would have. */
	if (!wh_template_is_daily(tmpl))
		return false;
	changed = ensure_table(tmpl);

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
		wh_view_drop(row);
		return true;
	}

	changed = ensure_table(tmpl);
	if (wh_view_is_current(wh_view_of_all(tmpl, NULL),
						   wh_published_find(tmpl->name, WH_PUBLIC_VIEW)))
		return changed;

	/* Whoever held the lock may have changed what there is to show. */
	wh_published_lock(tmpl->name);
	(void) wh_view_publish(wh_view_of_all(tmpl, NULL));

	return true;
}

/*
 * Bring all views of a template up to date; see unionview.h.
 */
bool
wh_unionview_all(const WhTemplate *tmpl)
{
	List	   *members;
	bool		ok = true;
	ListCell   *lc;

	if (!update_table(tmpl))
		return false;

	members = members_of(tmpl);
	lock_stale(tmpl, members);
	foreach(lc, members)
	{
		Member	   *member = (Member *) lfirst(lc);
		bool		is_public = strcmp(member->tenant, WH_PUBLIC_VIEW) == 0;
		WhRun		run = {0};

		if (!member->stale)
			continue;
		run.template_name = tmpl->name;
		run.tenant_name = is_public ? NULL : member->tenant;
		run.table_name = is_public ? tmpl->name
			: psprintf("%s.%s", member->schema, tmpl->name);
		ok &= contained(&run, update_member, member);
	}

	/* What only the views of before needed can go. */
	return update_table(tmpl) && ok;
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
	{
		Oid			relid = relation_of(tmpl, tenant);

		/* A public view may wait for its change of layout. */
		if (wh_view_shows(wh_view_relid(tmpl, WH_PUBLIC_VIEW), relid))
			(void) ensure_table(tmpl);
		(void) wh_view_take_out_of_public(tmpl, tenant->name, relid);
	}

	/* The public view comes first: it depends on the others. */
	foreach(lc, wh_published(tmpl->name, tenant ? tenant->name : NULL))
		wh_view_drop((const WhPublished *) lfirst(lc));
	if (tenant == NULL)
		wh_viewtable_drop(tmpl);
}

/*
 * Let views stand on the slices themselves; see unionview.h.
 */
void
wh_unionview_plain(const WhTemplate *tmpl)
{
	WhTemplate	plain = *tmpl;
	ListCell   *lc;

	plain.layout = WH_LAYOUT_UNION;
	foreach(lc, members_of(&plain))
	{
		const Member *member = (const Member *) lfirst(lc);

		if (strcmp(member->tenant, WH_PUBLIC_VIEW) == 0)
			(void) wh_unionview_public(&plain);
		else
			(void) update_tenant(&plain, member->tenant, member->schema);
	}
	wh_viewtable_drop(&plain);
}

/*
 * Lock views before a tenant is renamed; see unionview.h.
 */
void
wh_unionview_lock(List *templates, const WhTenant *tenant)
{
	List	   *relids = NIL;
	List	   *busy;
	ListCell   *lc;

	foreach(lc, templates)
	{
		const WhTemplate *tmpl = (const WhTemplate *) lfirst(lc);

		wh_published_lock(tmpl->name);
		relids = list_concat(relids, views_naming(tmpl, tenant));
	}

	busy = wh_lock_at_once(relids);
	if (busy != NIL)
	{
		Oid			relid = linitial_oid(busy);

		wh_lock_missed(relid,
					   wh_view_what(get_namespace_name(get_rel_namespace(relid)),
									get_rel_name(relid)));
	}
}

/*
 * Write views anew after a tenant was renamed; see unionview.h.
 */
void
wh_unionview_renamed(const WhTemplate *tmpl, const WhTenant *tenant)
{
	int			nestlevel = wh_lock_bound();
	ListCell   *lc;

	if (!OidIsValid(wh_viewtable_relid(tmpl)))
		(void) ensure_table(tmpl);
	foreach(lc, views_naming(tmpl, tenant))
	{
		Oid			relid = lfirst_oid(lc);
		WhView	   *view = relid == wh_view_relid(tmpl, WH_PUBLIC_VIEW)
		? wh_view_of_all(tmpl, NULL)
		: wh_view_of_tenant(tmpl, tenant->name, tenant->schema);

		wh_view_rewrite(view, relid,
						wh_kept(relid, view->columns)->view_options);
	}
	wh_lock_unbound(nestlevel);
}

/*
 * List the views whose text names the tenant: its own, and the public one
 * where that shows it.
 */
static List *
views_naming(const WhTemplate *tmpl, const WhTenant *tenant)
{
	Oid			own = relation_of(tmpl, tenant);
	Oid			public = wh_view_relid(tmpl, WH_PUBLIC_VIEW);
	List	   *views = NIL;

	if (!OidIsValid(own))
		return NIL;
	if (wh_template_is_daily(tmpl))
		views = lappend_oid(views, own);

	return wh_view_shows(public, own) ? lappend_oid(views, public) : views;
}

/*
 * Find what people read of a tenant: its view, or the one relation that has
 * the view's name.
 */
static Oid
relation_of(const WhTemplate *tmpl, const WhTenant *tenant)
{
	WhPeriod	whole = wh_period_whole();
	const WhSlice *slice;

	if (wh_template_is_daily(tmpl))
		return wh_view_relid(tmpl, tenant->name);
	slice = wh_slice_find(tmpl->name, tenant->name, &whole);

	return slice ? wh_slice_relid(slice) : InvalidOid;
}

/*
 * Write the view anew that shows the relation, if one does; see unionview.h.
 */
void
wh_unionview_let_go(const WhTemplate *tmpl, const WhTenant *tenant, Oid relid)
{
	if (wh_view_shows(wh_unionview_over(tmpl, tenant), relid))
		(void) (wh_template_is_daily(tmpl) ? wh_unionview_tenant(tmpl, tenant)
				: wh_unionview_public(tmpl));
}

/*
 * Find the view over a tenant's slices; see unionview.h.
 */
Oid
wh_unionview_over(const WhTemplate *tmpl, const WhTenant *tenant)
{
	return wh_view_relid(tmpl, wh_template_is_daily(tmpl) ? tenant->name
						 : WH_PUBLIC_VIEW);
}

/*
 * Find the views that have to change, and lock them at one moment: one that
 * we hold while we wait for another would keep its readers as long.  Those
 * that cannot be had are left for another time, and the others changed.
 */
static void
lock_stale(const WhTemplate *tmpl, List *members)
{
	List	   *relids = NIL;
	List	   *busy;
	bool		first = false;
	ListCell   *lc;

	foreach(lc, members)
	{
		Member	   *member = (Member *) lfirst(lc);
		const WhPublished *row = member->row;
		Oid			relid = row ? wh_published_relid(row) : InvalidOid;

		if (strcmp(member->tenant, WH_PUBLIC_VIEW) != 0)
			member->stale = !wh_view_is_current(wh_view_of_tenant(tmpl, member->tenant,
																  member->schema), row);
		else if (!tmpl->public_view)
			member->stale = row != NULL;
		else
			member->stale = first ||
				!wh_view_is_current(wh_view_of_all(tmpl, NULL), row);

		/* The public view may be to show a tenant's that is to come. */
		first |= member->stale && !OidIsValid(relid);
		if (member->stale && OidIsValid(relid))
			relids = lappend_oid(relids, relid);
	}
	if (relids == NIL)
		return;

	wh_published_lock(tmpl->name);
	busy = wh_lock_at_once(relids);
	foreach(lc, members)
	{
		Member	   *member = (Member *) lfirst(lc);
		Oid			relid = member->row ? wh_published_relid(member->row)
		: InvalidOid;

		if (list_member_oid(busy, relid))
			member->busy = relid;
	}
}

static bool
update_tenant(const WhTemplate *tmpl, const char *tenant, const char *schema)
{
	if (wh_view_is_current(wh_view_of_tenant(tmpl, tenant, schema),
						   wh_published_find(tmpl->name, tenant)))
		return false;

	/* Whoever held the lock may have changed what there is to show. */
	wh_published_lock(tmpl->name);

	/* The public view may have let go of it; see recreate(). */
	if (wh_view_publish(wh_view_of_tenant(tmpl, tenant, schema)))
		(void) wh_unionview_public(tmpl);

	return true;
}

/*
 * The work on one view.  A tenant that was dropped or renamed while we waited
 * for the lock took its view along.
 */
static void
update_member(WhRun *run, void *arg)
{
	const Member *member = (const Member *) arg;

	run->status = "loaded";
	if (strcmp(member->tenant, WH_PUBLIC_VIEW) != 0 &&
		wh_tenant_find(member->tenant) == NULL)
		return;

	if (OidIsValid(member->busy))
		wh_lock_missed(member->busy,
					   wh_view_what(member->schema, member->tmpl->name));

	if (strcmp(member->tenant, WH_PUBLIC_VIEW) == 0)
		(void) wh_unionview_public(member->tmpl);
	else
		(void) update_tenant(member->tmpl, member->tenant, member->schema);
}

/*
 * Bring the foreign table up to date, or drop one that the layout union has
 * no use for, contained.
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
	const WhTemplate *tmpl = (const WhTemplate *) arg;

	if (tmpl->layout == WH_LAYOUT_EXPAND)
		(void) ensure_table(tmpl);
	else
		wh_viewtable_drop_unused(tmpl);
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
 * List the views that there are or should be, the public one last.  For the
 * tenants the ledger is asked, not their list: data of one that was disabled,
 * or is no longer named by the template, stays readable.
 */
static List *
members_of(const WhTemplate *tmpl)
{
	List	   *members = NIL;
	Member	   *public = make_member(tmpl, WH_PUBLIC_VIEW,
									 wh_settings()->public_schema, NULL);
	ListCell   *lc;

	foreach(lc, wh_published(tmpl->name, NULL))
	{
		const WhPublished *row = (const WhPublished *) lfirst(lc);

		if (strcmp(row->tenant_name, WH_PUBLIC_VIEW) == 0)
			public->row = row;
		else
			members = lappend(members, make_member(tmpl, row->tenant_name,
												   row->view_schema, row));
	}

	foreach(lc, wh_slice_tenants(tmpl->name))
	{
		const WhSliceTenant *tenant = (const WhSliceTenant *) lfirst(lc);

		if (wh_template_is_daily(tmpl) && !is_member(members, tenant->name))
			members = lappend(members, make_member(tmpl, tenant->name,
												   tenant->schema, NULL));
	}

	return lappend(members, public);
}

static bool
is_member(List *members, const char *tenant)
{
	ListCell   *lc;

	foreach(lc, members)
	{
		if (strcmp(((const Member *) lfirst(lc))->tenant, tenant) == 0)
			return true;
	}

	return false;
}

static Member *
make_member(const WhTemplate *tmpl, const char *tenant, const char *schema,
			const WhPublished *row)
{
	Member	   *member = (Member *) palloc0(sizeof(Member));

	member->tmpl = tmpl;
	member->tenant = tenant;
	member->schema = schema;
	member->row = row;

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
	List	   *options = NIL;	/* of theirs, in the same order */
	List	   *arms;
	ListCell   *lc;
	ListCell   *lo;
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
		Oid			relid = wh_view_relid(tmpl, view->tenant);

		/* What shows no table cannot have every option of one that does. */
		options = lappend(options, wh_kept(relid, view->columns)->view_options);
		view->arms = NIL;
		wh_view_rewrite(view, relid, NULL);
	}
	wh_viewtable_make(tmpl, table_columns(tmpl));
	arms = wh_view_of_all(tmpl, NULL)->arms;
	forboth(lc, views, lo, options)
	{
		WhView	   *view = (WhView *) lfirst(lc);

		view->arms = arms;
		wh_view_rewrite(view, wh_view_relid(tmpl, view->tenant),
						(const char *) lfirst(lo));
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

		if (!wh_view_shows(wh_published_relid(row), table))
			continue;
		if (strcmp(row->tenant_name, WH_PUBLIC_VIEW) == 0)
			of_all = wh_view_of_all(tmpl, NULL);
		else
			views = lappend(views, wh_view_of_tenant(tmpl, row->tenant_name,
													 row->view_schema));
	}

	return of_all == NULL ? views : lappend(views, of_all);
}
