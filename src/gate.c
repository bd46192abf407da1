/*
 * gate.c
 *		The gate that template text passes.
 *
 * Nothing that somebody typed is spliced into a statement unread: the query
 * must be one SELECT and the columns a list of names and types, by the word
 * of PostgreSQL's own parser.  What the gate lets through may still be wrong
 * at the tenant; it cannot be more than was asked for.  Messages do not name
 * the template: whoever calls adds that as DETAIL.
 *
 * Touches no table; looks types up in the catalogs.  Index definitions are
 * gate_index.c's.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_type.h"
#include "parser/scansup.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#include "gate.h"
#include "parse.h"

#define COLUMNS_PREFIX "CREATE TABLE x ("
#define COLUMNS_SUFFIX "\n)"

#define TARGET_DATE "{TARGET_DATE}"

#define QUERY_HINT "Write one SELECT, VALUES or WITH ... SELECT."
#define COLUMNS_HINT "Write names and types only, as in: id integer, at timestamptz"

static RawStmt *check_query(const char *sql, const WhParsedText *text);
static bool check_query_node(Node *node, void *context);
static char *fill(const char *query, const WhPlaceholders *values,
				  const char *target_date);
static int	placeholder_length(const char *text);
static char *placeholder_value(const char *name, const WhPlaceholders *values,
							   const char *target_date);
static bool tells_day(const char *query);
static const char *syntax_hint(const char *query);
static CreateStmt *parse_columns(const char *definitions);
static void check_column(ColumnDef *def, List *before, const char *definitions);
static void add_column(TupleDesc columns, AttrNumber attno, ColumnDef *def);

/*
 * Check a query template.  The placeholders that make literals are filled for
 * an arbitrary tenant and day, since they are no SQL themselves.  The date is
 * left as it is: it belongs between quotes, and is a syntax error elsewhere.
 */
void
wh_gate_query(const char *query, bool daily)
{
	WhPeriod	day = wh_period_day(0);
	WhPlaceholders sample = {"tenant", &day, wh_period_span(&day, "UTC")};
	WhParsedText text = {
		fill(query, &sample, TARGET_DATE), 0, syntax_hint(query)
	};

	(void) check_query(text.shown, &text);

	if (daily && !tells_day(query))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a daily template's query must say which day it reads"),
				 errhint("Use '{TARGET_DATE}'::date, or {DAY_START} and {DAY_END}, in its WHERE clause.")));
	if (!daily && tells_day(query))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of a template that is not daily cannot speak of a day"),
				 errhint("Leave {TARGET_DATE}, {DAY_START} and {DAY_END} out, or let materialization be 'daily'.")));
}

/*
 * Fill the placeholders in, pass the gate once more and return the statement
 * alone: without a final semicolon and what follows it, and fit to be put in
 * parentheses even where it ends in a comment.
 */
char *
wh_gate_render(const char *query, const WhPlaceholders *values)
{
	bool		has_day = values->period != NULL &&
	values->period->kind != WH_WHOLE;
	WhParsedText text = {0};
	RawStmt    *raw;
	const char *start;
	int			len;

	text.shown = fill(query, values, has_day
					  ? wh_date_text(values->period->start) : NULL);
	text.hint = syntax_hint(query);
	raw = check_query(text.shown, &text);

	start = text.shown + Max(raw->stmt_location, 0);
	len = raw->stmt_len > 0 ? raw->stmt_len : (int) strlen(start);
	for (; len > 0 && scanner_isspace(start[0]); len--)
		start++;
	while (len > 0 && scanner_isspace(start[len - 1]))
		len--;

	return psprintf("%.*s%s", len, start, strstr(start, "--") ? "\n" : "");
}

/*
 * Parse a column list; see gate.h.
 */
TupleDesc
wh_gate_columns(const char *definitions)
{
	CreateStmt *create = parse_columns(definitions);
	TupleDesc	columns;
	List	   *before = NIL;
	ListCell   *lc;
	int			nestlevel;

	foreach(lc, create->tableElts)
	{
		check_column((ColumnDef *) lfirst(lc), before, definitions);
		before = lappend(before, lfirst(lc));
	}

	nestlevel = NewGUCNestLevel();
	wh_pin("search_path", "pg_catalog, pg_temp");
	columns = CreateTemplateTupleDesc(list_length(create->tableElts));
	foreach(lc, create->tableElts)
		add_column(columns, foreach_current_index(lc) + 1,
				   (ColumnDef *) lfirst(lc));
	AtEOXact_GUC(true, nestlevel);

	return columns;
}

/*
 * Write the column list as SQL again, with every type's schema, so that it
 * reads the same under any search path.
 */
char *
wh_columns_sql(TupleDesc columns)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(columns, i);

		appendStringInfo(&sql, "%s%s %s", i == 0 ? "" : ", ",
						 quote_identifier(NameStr(att->attname)),
						 format_type_extended(att->atttypid, att->atttypmod,
											  FORMAT_TYPE_TYPEMOD_GIVEN |
											  FORMAT_TYPE_FORCE_QUALIFY));
	}

	return sql.data;
}

/*
 * Check that what is about to be sent is one COPY of a query to the client.
 */
void
wh_gate_copy(const char *sql)
{
	WhParsedText text = {sql, 0, QUERY_HINT};
	List	   *stmts = wh_parse(sql, &text);
	CopyStmt   *copy = NULL;

	if (list_length(stmts) == 1)
		copy = (CopyStmt *) linitial_node(RawStmt, stmts)->stmt;
	if (copy == NULL || !IsA(copy, CopyStmt) ||
		copy->query == NULL || !IsA(copy->query, SelectStmt) ||
		copy->is_from || copy->is_program || copy->filename != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("statement is not one COPY of a query to the client"),
				 errhint("Only COPY (SELECT ...) TO STDOUT is sent to a tenant.")));

	(void) check_query_node(copy->query, NULL);
}

/*
 * Parse the text, check that it is one SELECT and nothing more, and return
 * the statement.
 */
static RawStmt *
check_query(const char *sql, const WhParsedText *text)
{
	List	   *stmts = wh_parse(sql, text);
	RawStmt    *raw;

	if (stmts == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a template's query cannot be empty"),
				 errhint(QUERY_HINT)));
	if (list_length(stmts) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a template's query cannot be %d statements",
						list_length(stmts)),
				 errhint(QUERY_HINT)));

	raw = linitial_node(RawStmt, stmts);
	if (!IsA(raw->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a template's query cannot be %s",
						CreateCommandName(raw->stmt)),
				 errhint(QUERY_HINT)));

	(void) check_query_node(raw->stmt, NULL);

	return raw;
}

/*
 * Refuse what writes, locks or makes a table, at any depth.
 */
static bool
check_query_node(Node *node, void *context)
{
	if (node == NULL)
		return false;

	if (IsA(node, IntoClause))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a template's query cannot be SELECT INTO"),
				 errhint("Leave INTO out.")));
	if (IsA(node, LockingClause))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a template's query cannot lock rows"),
				 errhint("Leave FOR UPDATE or FOR SHARE out.")));
	if (IsA(node, ParamRef))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a template's query cannot refer to parameter $%d",
						((ParamRef *) node)->number),
				 errhint("Use the placeholders {TARGET_DATE}, {DAY_START}, {DAY_END} and {TENANT}.")));
	if (IsA(node, CommonTableExpr))
	{
		CommonTableExpr *cte = (CommonTableExpr *) node;

		if (!IsA(cte->ctequery, SelectStmt))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("WITH query \"%s\" of a template's query cannot be %s",
							cte->ctename, CreateCommandName(cte->ctequery)),
					 errhint("Tenants are only read: make it a SELECT.")));
	}

	return raw_expression_tree_walker(node, check_query_node, context);
}

/*
 * Fill the placeholders in; without a "target_date" those of the day do not
 * exist.
 */
static char *
fill(const char *query, const WhPlaceholders *values, const char *target_date)
{
	StringInfoData filled;

	initStringInfo(&filled);
	while (*query != '\0')
	{
		int			len = placeholder_length(query);

		if (len == 0)
		{
			appendStringInfoChar(&filled, *query++);
			continue;
		}
		appendStringInfoString(&filled,
							   placeholder_value(pnstrdup(query, len),
												 values, target_date));
		query += len;
	}

	return filled.data;
}

/*
 * Return the length of the placeholder that the text begins with, or 0.  A
 * brace before anything but {CAPITALS_AND_DIGITS} is the query's own: regular
 * expressions and array literals have them.
 */
static int
placeholder_length(const char *text)
{
	int			len;

	if (text[0] != '{' || text[1] < 'A' || text[1] > 'Z')
		return 0;
	len = 1 + strspn(text + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	return text[len] == '}' ? len + 1 : 0;
}

static char *
placeholder_value(const char *name, const WhPlaceholders *values,
				  const char *target_date)
{
	if (strcmp(name, "{TENANT}") == 0)
		return quote_literal_cstr(values->tenant);

	if (target_date != NULL && strcmp(name, TARGET_DATE) == 0)
		return pstrdup(target_date);
	if (target_date != NULL && strcmp(name, "{DAY_START}") == 0)
		return wh_timestamptz_literal(values->span.start);
	if (target_date != NULL && strcmp(name, "{DAY_END}") == 0)
		return wh_timestamptz_literal(values->span.end);

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("placeholder %s does not exist", name),
			 errhint("The placeholders are {TARGET_DATE}, {DAY_START}, {DAY_END} and {TENANT}.")));
}

static bool
tells_day(const char *query)
{
	return strstr(query, TARGET_DATE) != NULL ||
		strstr(query, "{DAY_START}") != NULL ||
		strstr(query, "{DAY_END}") != NULL;
}

/*
 * Return what to say of a syntax error.  Behind it may be a placeholder that
 * makes a whole literal between quotes, or one that does not without them.
 */
static const char *
syntax_hint(const char *query)
{
	const char *date = strstr(query, TARGET_DATE);

	if (strstr(query, "'{DAY_START}") != NULL ||
		strstr(query, "'{DAY_END}") != NULL ||
		strstr(query, "'{TENANT}") != NULL)
		return "{DAY_START}, {DAY_END} and {TENANT} stand for whole literals: write them without quotes.";
	if (date != NULL && (date == query || date[-1] != '\''))
		return "{TARGET_DATE} stands for ten characters: write '{TARGET_DATE}'::date.";

	return QUERY_HINT;
}

/*
 * Parse the column list as that of a CREATE TABLE, and see that it made
 * nothing else of that statement.
 */
static CreateStmt *
parse_columns(const char *definitions)
{
	char	   *sql = psprintf("%s%s%s", COLUMNS_PREFIX, definitions,
							   COLUMNS_SUFFIX);
	WhParsedText text = {definitions, strlen(COLUMNS_PREFIX), COLUMNS_HINT};
	List	   *stmts = wh_parse(sql, &text);
	CreateStmt *create = NULL;
	CreateStmt *plain = makeNode(CreateStmt);

	if (list_length(stmts) == 1)
		create = (CreateStmt *) linitial_node(RawStmt, stmts)->stmt;
	if (create != NULL && IsA(create, CreateStmt))
	{
		plain->relation = create->relation;
		plain->tableElts = create->tableElts;
		plain->oncommit = ONCOMMIT_NOOP;
	}
	if (create == NULL || !equal(create, plain))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column definitions are more than a list of columns"),
				 errhint(COLUMNS_HINT)));
	if (create->tableElts == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column definitions are empty"),
				 errhint(COLUMNS_HINT)));
	if (list_length(create->tableElts) >= MaxHeapAttributeNumber)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column definitions have %d columns",
						list_length(create->tableElts)),
				 errhint("A template has at most %d columns.",
						 MaxHeapAttributeNumber - 1)));

	return create;
}

/*
 * Check one element of the column list; "before" are the columns left of it.
 */
static void
check_column(ColumnDef *def, List *before, const char *definitions)
{
	ColumnDef  *plain = makeNode(ColumnDef);
	char	   *written;
	ListCell   *lc;

	if (!IsA(def, ColumnDef))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column definitions hold a constraint or a LIKE clause"),
				 errhint(COLUMNS_HINT)));

	/* Compared with a plain one: whatever else a column can have is refused. */
	plain->colname = def->colname;
	plain->typeName = def->typeName;
	plain->is_local = true;
	if (!equal(def, plain))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" has more than a name and a type",
						def->colname),
				 errhint("Leave out constraints, DEFAULT, COLLATE and the like; make keys in the index definitions.")));

	/* The parser has cut it already. */
	written = wh_read_identifier(definitions + def->location -
								 strlen(COLUMNS_PREFIX));
	if (strlen(written) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("column name \"%s\" is too long", written),
				 errhint("Choose a name of at most %d bytes.", NAMEDATALEN - 1)));
	if (strcmp(def->colname, "schema_name") == 0 ||
		SystemAttributeByName(def->colname) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("column name \"%s\" is reserved", def->colname),
				 errhint("Give the column another name, here and in the query.")));
	foreach(lc, before)
	{
		if (strcmp(((ColumnDef *) lfirst(lc))->colname, def->colname) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("column \"%s\" is defined twice", def->colname),
					 errhint("Give each column its own name, here and in the query.")));
	}
}

/*
 * Look the type up and enter the column.
 */
static void
add_column(TupleDesc columns, AttrNumber attno, ColumnDef *def)
{
	TypeName   *name = def->typeName;
	HeapTuple	tuple;
	Form_pg_type type;
	int32		typmod;

	tuple = LookupTypeName(NULL, name, &typmod, true);
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("type \"%s\" of column \"%s\" does not exist",
						TypeNameToString(name), def->colname),
				 errhint("Types outside pg_catalog need their schema, as in public.citext.")));

	type = (Form_pg_type) GETSTRUCT(tuple);
	if (name->setof || type->typtype == TYPTYPE_PSEUDO || !type->typisdefined ||
		isAnyTempNamespace(type->typnamespace))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("type \"%s\" of column \"%s\" cannot be stored",
						TypeNameToString(name), def->colname),
				 errhint("Use a permanent type that a table's column can have.")));

	TupleDescInitEntry(columns, attno, def->colname, type->oid, typmod,
					   list_length(name->arrayBounds));
	TupleDescInitEntryCollation(columns, attno, type->typcollation);
	ReleaseSysCache(tuple);
}
