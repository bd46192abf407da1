/*
 * viewtext.c
 *		What a view of ours should show now, as relations and as text.
 *
 * The ledger says which relations there are; the template says which columns
 * a view has, whatever an older relation has: a missing one is NULL, one of
 * another type is cast.  A column list is always explicit.  Touches no view:
 * that is unionview's.
 */
#include "postgres.h"

#include "access/attnum.h"
#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "published.h"
#include "settings.h"
#include "slice.h"
#include "viewtext.h"

/* Longest flat chain of UNION ALL. */
#define FLAT_ARMS 64

static List *slice_arms(const WhTemplate *tmpl, const char *tenant,
						const char *without);
static List *view_arms(const WhTemplate *tmpl, const char *without);
static TupleDesc public_columns(const WhTemplate *tmpl);
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
	view->arms = slice_arms(tmpl, tenant, NULL);
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
	view->columns = public_columns(tmpl);
	view->arms = wh_template_is_daily(tmpl)
		? view_arms(tmpl, without) : slice_arms(tmpl, NULL, without);
	view->definition = wh_view_select(view);

	return view;
}

/*
 * List the populated slices of a tenant, or of all tenants but one.
 */
static List *
slice_arms(const WhTemplate *tmpl, const char *tenant, const char *without)
{
	List	   *arms = NIL;
	ListCell   *lc;

	foreach(lc, wh_slices(tmpl->name, tenant))
	{
		const WhSlice *slice = (const WhSlice *) lfirst(lc);
		WhViewArm  *arm;

		/* One unpopulated arm makes the whole view an error. */
		if (strcmp(slice->state, "empty") == 0 ||
			!wh_slice_is_populated(slice) ||
			(without != NULL && strcmp(slice->tenant_name, without) == 0))
			continue;
		arm = (WhViewArm *) palloc(sizeof(WhViewArm));
		arm->schema = slice->relation_schema;
		arm->name = slice->relation_name;
		arm->relid = wh_slice_relid(slice);
		arms = lappend(arms, arm);
	}

	return arms;
}

/*
 * List the tenants' views, but for one tenant's.
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
		WhViewArm  *arm;

		if (strcmp(row->tenant_name, WH_PUBLIC_VIEW) == 0 || !OidIsValid(relid))
			continue;
		if (without != NULL && strcmp(row->tenant_name, without) == 0)
			continue;
		arm = (WhViewArm *) palloc(sizeof(WhViewArm));
		arm->schema = row->view_schema;
		arm->name = row->view_name;
		arm->relid = relid;
		arms = lappend(arms, arm);
	}

	return arms;
}

/*
 * Return the template's columns and schema_name, which is always the last.
 */
static TupleDesc
public_columns(const WhTemplate *tmpl)
{
	int			natts = tmpl->columns->natts;
	TupleDesc	columns = CreateTemplateTupleDesc(natts + 1);

	for (int i = 1; i <= natts; i++)
		TupleDescCopyEntry(columns, i, tmpl->columns, i);
	TupleDescInitEntry(columns, natts + 1, "schema_name", TEXTOID, -1, 0);

	return columns;
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

static char *
arm_select(const WhView *view, const WhViewArm *arm)
{
	bool		is_public = strcmp(view->tenant, WH_PUBLIC_VIEW) == 0;
	int			natts = view->columns->natts - (is_public ? 1 : 0);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < natts; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "",
						 column_of_arm(arm->relid,
									   TupleDescAttr(view->columns, i)));
	if (is_public)
		appendStringInfo(&sql, ", %s::pg_catalog.text AS schema_name",
						 quote_literal_cstr(arm->schema));
	appendStringInfo(&sql, " FROM %s",
					 quote_qualified_identifier(arm->schema, arm->name));

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
