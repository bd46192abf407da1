/*
 * viewtext.c
 *		What a view of ours should show now, as relations and as text.
 *
 * In the layout expand a view shows the template's foreign table, and its text
 * never changes while slices come and go.  In the layout union the ledger says
 * which relations there are.  The template says which columns a view has,
 * whatever an older relation has: a missing one is NULL, one of another type
 * is cast.  A column list is always explicit.  Touches no view: that is
 * unionview's.
 */
#include "postgres.h"

#include "access/attnum.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "published.h"
#include "settings.h"
#include "slice.h"
#include "viewtable.h"
#include "viewtext.h"

/* Longest flat chain of UNION ALL. */
#define FLAT_ARMS 64

static List *slice_arms(const WhTemplate *tmpl, const char *tenant,
						const char *without);
static List *view_arms(const WhTemplate *tmpl, const char *without);
static List *table_arm(const WhTemplate *tmpl);
static WhViewArm *make_arm(const char *schema, const char *name, Oid relid);
static void append_arms(StringInfo sql, char **arms, int from, int to);
static char *arm_select(const WhView *view, const WhViewArm *arm);
static char *column_of_arm(Oid relid, Form_pg_attribute column);
static char *empty_select(const WhView *view);
static char *typed_null(Form_pg_attribute column);

/*
 * Describe a tenant's view; see viewtext.h.
 */
WhView *
wh_view_of_tenant(const WhTemplate *tmpl, const char *tenant,
				  const char *schema)
{
	WhView	   *view = (WhView *) palloc0(sizeof(WhView));

	view->tmpl = tmpl;
	view->tenant = tenant;
	view->schema = schema;
	view->columns = tmpl->columns;
	view->arms = tmpl->layout == WH_LAYOUT_EXPAND
		? table_arm(tmpl) : slice_arms(tmpl, tenant, NULL);
	view->definition = wh_view_select(view);

	return view;
}

/*
 * Describe the public view; see viewtext.h.
 */
WhView *
wh_view_of_all(const WhTemplate *tmpl, const char *without)
{
	WhView	   *view = (WhView *) palloc0(sizeof(WhView));

	view->tmpl = tmpl;
	view->tenant = WH_PUBLIC_VIEW;
	view->schema = wh_settings()->public_schema;
	view->columns = wh_with_schema_name(tmpl->columns);
	if (tmpl->layout == WH_LAYOUT_EXPAND)
		view->arms = table_arm(tmpl);
	else
		view->arms = wh_template_is_daily(tmpl)
			? view_arms(tmpl, without) : slice_arms(tmpl, NULL, without);
	view->definition = wh_view_select(view);

	return view;
}

/*
 * List the slices of a tenant, or of all tenants but one, that can be read: one
 * unpopulated arm makes the whole view an error.
 */
static List *
slice_arms(const WhTemplate *tmpl, const char *tenant, const char *without)
{
	List	   *arms = NIL;
	ListCell   *lc;

	foreach(lc, wh_slices(tmpl->name, tenant))
	{
		const WhSlice *slice = (const WhSlice *) lfirst(lc);

		if (strcmp(slice->state, "empty") != 0 && wh_slice_is_populated(slice) &&
			(without == NULL || strcmp(slice->tenant_name, without) != 0))
			arms = lappend(arms, make_arm(slice->relation_schema,
										  slice->relation_name,
										  wh_slice_relid(slice)));
	}

	return arms;
}

/*
 * List the tenants' views that are there.
 */
static List *
view_arms(const WhTemplate *tmpl, const char *without)
{
	List	   *arms = NIL;
	ListCell   *lc;

	foreach(lc, wh_published(tmpl->name, NULL))
	{
		const WhPublished *row = (const WhPublished *) lfirst(lc);
		Oid			relid = wh_published_relid(row);

		if (strcmp(row->tenant_name, WH_PUBLIC_VIEW) == 0 || !OidIsValid(relid))
			continue;
		if (without == NULL || strcmp(row->tenant_name, without) != 0)
			arms = lappend(arms, make_arm(row->view_schema, row->view_name,
										  relid));
	}

	return arms;
}

/*
 * The template's foreign table, which is all that a view shows in the layout
 * expand.
 */
static List *
table_arm(const WhTemplate *tmpl)
{
	WhViewArm  *arm = make_arm(WH_UNION_SCHEMA, tmpl->name,
							   wh_viewtable_relid(tmpl));

	arm->all_tenants = true;

	return list_make1(arm);
}

static WhViewArm *
make_arm(const char *schema, const char *name, Oid relid)
{
	WhViewArm  *arm = (WhViewArm *) palloc0(sizeof(WhViewArm));

	arm->schema = schema;
	arm->name = name;
	arm->relid = relid;

	return arm;
}

/*
 * Write the SELECT behind a view.
 */
char *
wh_view_select(const WhView *view)
{
	int			narms = list_length(view->arms);
	char	  **arms = (char **) palloc(sizeof(char *) * Max(narms, 1));
	StringInfoData sql;
	ListCell   *lc;
	int			n = 0;

	if (narms == 0)
		return empty_select(view);

	foreach(lc, view->arms)
		arms[n++] = arm_select(view, (const WhViewArm *) lfirst(lc));
	initStringInfo(&sql);
	append_arms(&sql, arms, 0, narms);

	return sql.data;
}

/*
 * Join arms [from, to) by UNION ALL.  A long chain is halved by parentheses:
 * parser, rewriter and planner recurse once per level, and a flat chain of
 * thousands of arms exceeds the stack.
 */
static void
append_arms(StringInfo sql, char **arms, int from, int to)
{
	int			middle = from + (to - from) / 2;

	if (to - from <= FLAT_ARMS)
	{
		for (int i = from; i < to; i++)
			appendStringInfo(sql, "%s%s", i > from ? "\nUNION ALL\n" : "",
							 arms[i]);
		return;
	}

	appendStringInfoChar(sql, '(');
	append_arms(sql, arms, from, middle);
	appendStringInfoString(sql, ")\nUNION ALL\n(");
	append_arms(sql, arms, middle, to);
	appendStringInfoChar(sql, ')');
}

/*
 * Write the SELECT of one arm.  The foreign table has schema_name as a column
 * like others; a tenant's view shows one of its values.
 */
static char *
arm_select(const WhView *view, const WhViewArm *arm)
{
	bool		is_public = strcmp(view->tenant, WH_PUBLIC_VIEW) == 0;
	bool		named = is_public && !arm->all_tenants;
	int			natts = view->columns->natts - (named ? 1 : 0);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < natts; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "",
						 column_of_arm(arm->relid,
									   TupleDescAttr(view->columns, i)));
	if (named)
		appendStringInfo(&sql, ", %s::pg_catalog.text AS schema_name",
						 quote_literal_cstr(arm->schema));
	appendStringInfo(&sql, " FROM %s",
					 quote_qualified_identifier(arm->schema, arm->name));
	if (arm->all_tenants && !is_public)
		appendStringInfo(&sql, " WHERE schema_name = %s",
						 quote_literal_cstr(view->schema));

	return sql.data;
}

/*
 * Write one column of an arm: itself; cast, where an older slice has it with
 * another type; NULL, where it has none, or one that no cast can bring over.
 */
static char *
column_of_arm(Oid relid, Form_pg_attribute column)
{
	const char *name = quote_identifier(NameStr(column->attname));
	AttrNumber	attnum = get_attnum(relid, NameStr(column->attname));
	Oid			typid;
	int32		typmod;
	Oid			collation;

	if (attnum == InvalidAttrNumber)
		return typed_null(column);

	get_atttypetypmodcoll(relid, attnum, &typid, &typmod, &collation);
	if (typid == column->atttypid && typmod == column->atttypmod)
		return pstrdup(name);
	if (!can_coerce_type(1, &typid, &column->atttypid, COERCION_EXPLICIT))
		return typed_null(column);

	return psprintf("%s::%s AS %s", name,
					format_type_with_typemod(column->atttypid,
											 column->atttypmod),
					name);
}

/*
 * Write the SELECT of a view that has nothing to show: typed and empty.
 */
static char *
empty_select(const WhView *view)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < view->columns->natts; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "",
						 typed_null(TupleDescAttr(view->columns, i)));
	appendStringInfoString(&sql, " WHERE false");

	return sql.data;
}

static char *
typed_null(Form_pg_attribute column)
{
	return psprintf("NULL::%s AS %s",
					format_type_with_typemod(column->atttypid,
											 column->atttypmod),
					quote_identifier(NameStr(column->attname)));
}
