/*
 * published.c
 *		_wh.published_views: which views are ours and what they show.
 *
 * The only file that names that table.  Rows are read as the owner and
 * written as the installer.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "lock.h"
#include "published.h"
#include "spi.h"

static void *read_view(uint64 row);

/*
 * Find the row of one view; NULL when we made none.
 */
WhPublished *
wh_published_find(const char *template_name, const char *tenant)
{
	List	   *views = wh_published(template_name, tenant);

	return views == NIL ? NULL : (WhPublished *) linitial(views);
}

/*
 * List rows in order of template and tenant, the public view first.
 */
List *
wh_published(const char *template_name, const char *tenant)
{
	WhArg		args[2];

	args[0] = wh_text(template_name);
	args[1] = wh_text(tenant);

	return wh_spi_list("SELECT template_name, tenant_name, view_schema, view_name,"
					   " definition FROM _wh.published_views"
					   WH_WHERE_PAIR
					   " ORDER BY template_name COLLATE \"C\","
					   " tenant_name COLLATE \"C\"",
					   args, lengthof(args), read_view);
}

static void *
read_view(uint64 row)
{
	WhPublished *view = (WhPublished *) palloc(sizeof(WhPublished));

	view->template_name = wh_col_text(row, 1);
	view->tenant_name = wh_col_text(row, 2);
	view->view_schema = wh_col_text(row, 3);
	view->view_name = wh_col_text(row, 4);
	view->definition = wh_col_text(row, 5);

	return view;
}

/*
 * Insert or replace the row.
 */
void
wh_published_put(const WhPublished *view)
{
	WhArg		args[5];

	args[0] = wh_text(view->template_name);
	args[1] = wh_text(view->tenant_name);
	args[2] = wh_name(view->view_schema);
	args[3] = wh_name(view->view_name);
	args[4] = wh_text(view->definition);

	(void) wh_ledger("INSERT INTO _wh.published_views (template_name,"
					 " tenant_name, view_schema, view_name, definition)"
					 " VALUES ($1, $2, $3, $4, $5)"
					 " ON CONFLICT (template_name, tenant_name) DO UPDATE SET"
					 " view_schema = excluded.view_schema,"
					 " view_name = excluded.view_name,"
					 " definition = excluded.definition,"
					 " updated_at = pg_catalog.now()",
					 args, lengthof(args));
}

/*
 * Delete rows; NULL means all.
 */
void
wh_published_forget(const char *template_name, const char *tenant)
{
	WhArg		args[2];

	args[0] = wh_text(template_name);
	args[1] = wh_text(tenant);

	(void) wh_ledger("DELETE FROM _wh.published_views"
					 WH_WHERE_PAIR,
					 args, lengthof(args));
}

/*
 * Look up the view behind the row; see published.h.
 */
Oid
wh_published_relid(const WhPublished *view)
{
	Oid			nspid = get_namespace_oid(view->view_schema, true);
	Oid			relid = InvalidOid;
	HeapTuple	tuple;
	bool		ours;

	if (OidIsValid(nspid))
		relid = get_relname_relid(view->view_name, nspid);
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	ours = ((Form_pg_class) GETSTRUCT(tuple))->relkind == RELKIND_VIEW &&
		((Form_pg_class) GETSTRUCT(tuple))->relowner == GetUserId();
	ReleaseSysCache(tuple);

	return ours ? relid : InvalidOid;
}

/*
 * Take one lock for all views of a template: recreating a tenant's view
 * touches the public one too, and a lock for each could be taken in two
 * orders.
 */
void
wh_published_lock(const char *template_name)
{
	(void) wh_lock_key("published_views", template_name,
					   psprintf("the views of template \"%s\"",
								template_name));
}
