/*
 * viewmake.c
 *		Bring ONE view into being, or away.
 *
 * A view is replaced in place where PostgreSQL can, and else made anew with
 * all that people gave it (kept).  Nothing is dropped by CASCADE, and a view
 * that people may be reading is locked by trying, never by waiting.  What it
 * should show is viewtext's, which views there are unionview's.
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
#include "plain.h"
#include "settings.h"
#include "spi.h"
#include "viewmake.h"

static List *shown_by(Oid relid);
static Oid	find_ours(const WhView *view);
static void create(const WhView *view);
static bool recreate(const WhView *view, Oid relid, const WhKept *kept);
static void release_derived(const char *template_name, const char *tenant,
							Oid relid);
static void write_view(const WhView *view, const char *verb,
					   const char *options);
static void note(const WhView *view);

/*
 * Compare a view with its description; see viewmake.h.  The text alone cannot
 * tell a relation from another that took its name.
 */
bool
wh_view_is_current(const WhView *view, const WhPublished *row)
{
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

bool
wh_view_shows(Oid view, Oid relid)
{
	return OidIsValid(view) && list_member_oid(shown_by(view), relid);
}

/*
 * Bring the view into being; see viewmake.h.
 */
bool
wh_view_publish(const WhView *view)
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

		(void) wh_lock_relation(relid, wh_view_what(view->schema, view->tmpl->name));
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
 * Rewrite a view with the columns that it has; see viewmake.h.
 */
void
wh_view_rewrite(WhView *view, Oid relid, const char *options)
{
	(void) wh_lock_relation(relid, wh_view_what(view->schema, view->tmpl->name));
	view->columns = wh_columns_of(relid);
	view->definition = wh_view_select(view);
	write_view(view, "CREATE OR REPLACE VIEW", options);
	note(view);
}

/*
 * Take a tenant out of the public view; see viewmake.h.
 */
bool
wh_view_take_out_of_public(const WhTemplate *tmpl, const char *tenant, Oid relid)
{
	Oid			public = wh_view_relid(tmpl, WH_PUBLIC_VIEW);
	WhView	   *view;
	int			nestlevel;

	if (!wh_view_shows(public, relid))
		return false;

	nestlevel = wh_lock_bound();
	view = wh_view_of_all(tmpl, tenant);
	wh_view_rewrite(view, public, wh_kept(public, view->columns)->view_options);
	wh_lock_unbound(nestlevel);

	return true;
}

/*
 * Drop a view; see viewmake.h.
 */
void
wh_view_drop(const WhPublished *row)
{
	Oid			relid = wh_published_relid(row);

	if (OidIsValid(relid))
	{
		char	   *name = wh_view_what(row->view_schema, row->view_name);
		int			nestlevel = wh_lock_bound();

		(void) wh_lock_relation(relid, name);
		release_derived(row->template_name, row->tenant_name, relid);
		wh_kept_check_dependents(relid, InvalidOid, name);
		wh_ddl(psprintf("DROP VIEW %s RESTRICT",
						quote_qualified_identifier(row->view_schema,
												   row->view_name)));
		wh_lock_unbound(nestlevel);
	}
	wh_published_forget(row->template_name, row->tenant_name);
}

Oid
wh_view_relid(const WhTemplate *tmpl, const char *tenant)
{
	const WhPublished *row = wh_published_find(tmpl->name, tenant);

	return row ? wh_published_relid(row) : InvalidOid;
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
		relid == wh_view_relid(view->tmpl, view->tenant))
		return relid;

	/* Its row can be newer than this transaction's only snapshot. */
	place.view_schema = unconstify(char *, view->schema);
	place.view_name = view->tmpl->name;
	if (IsolationUsesXactSnapshot() && OidIsValid(wh_published_relid(&place)))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access to %s",
						wh_view_what(view->schema, name)),
				 errdetail("It was created after this transaction began."),
				 errhint("Run it again in a new transaction.")));

	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("relation \"%s.%s\" already exists and is not a view of this warehouse",
					view->schema, name),
			 errhint("Move it out of the way: %s",
					 wh_rename_aside(view->schema, name))));
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
	Oid			public = wh_view_relid(view->tmpl, WH_PUBLIC_VIEW);
	bool		let_go;

	release_derived(view->tmpl->name, view->tenant, relid);
	wh_kept_check_dependents(relid, public,
							 wh_view_what(view->schema, view->tmpl->name));

	let_go = wh_view_take_out_of_public(view->tmpl, view->tenant, relid);
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
 * Let derived relations of a tenant stand without its view, which goes, or
 * comes back as another.
 */
static void
release_derived(const char *template_name, const char *tenant, Oid relid)
{
	wh_plain_tables(wh_plain_reading(wh_plain_derived(template_name, tenant), relid));
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

char *
wh_view_what(const char *schema, const char *name)
{
	return psprintf("view \"%s.%s\"", schema, name);
}
