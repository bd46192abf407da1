/*
 * gate_index.c
 *		The gate's part for index definitions.
 *
 * {schema} and {view_name} are no SQL, so words that occur nowhere else in
 * the text stand for them while it is parsed; the real names are put into the
 * parsed tree, where no character of theirs can mean anything.  An index may
 * use the declared columns of its own relation and nothing else.  Whether the
 * access method takes the columns is found out when the index is made.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/formatting.h"

#include "gate.h"
#include "names.h"
#include "parse.h"

#define SCHEMA_PLACEHOLDER "{schema}"
#define VIEW_PLACEHOLDER "{view_name}"

#define INDEX_HINT "Write CREATE INDEX ... ON {schema}.{view_name} (...), separated by semicolons."

/* Words that stand for the placeholders of index definitions. */
typedef struct IndexWords
{
	char	   *schema;
	char	   *view;
} IndexWords;

static List *parse_indexes(const char *indexes, TupleDesc columns,
						   IndexWords *words);
static IndexStmt *check_index(RawStmt *raw, const char *sql, TupleDesc columns,
							  const IndexWords *words);
static bool check_index_node(Node *node, void *context);
static void check_index_column(const char *name, TupleDesc columns);
static char *whole_index_name(const char *parsed, const char *sql);
static char *unused_word(const char *text, char first, int len);
static char *replace_all(const char *text, const char *from, const char *to);
static char *as_written(const char *text, const IndexWords *words);

/*
 * Check index definitions against the columns.
 */
void
wh_gate_indexes(const char *indexes, TupleDesc columns)
{
	IndexWords	words;

	(void) parse_indexes(indexes, columns, &words);
}

/*
 * Return the index definitions as statements for one relation.  The names are
 * put into the parsed tree, so whatever characters they hold mean nothing.
 */
List *
wh_gate_index_stmts(const char *indexes, TupleDesc columns,
					const char *schema, const char *relname)
{
	IndexWords	words;
	List	   *stmts = parse_indexes(indexes, columns, &words);
	ListCell   *lc;

	foreach(lc, stmts)
	{
		IndexStmt  *stmt = lfirst_node(IndexStmt, lc);
		char	   *name;

		stmt->relation->schemaname = pstrdup(schema);
		stmt->relation->relname = pstrdup(relname);
		if (stmt->idxname == NULL)
			continue;

		name = replace_all(stmt->idxname, words.schema, schema);
		stmt->idxname = wh_bounded_name(replace_all(name, words.view, relname));
	}

	return stmts;
}

/*
 * Parse and check index definitions.  In the result the words of *words stand
 * where the placeholders stood; they are as long as these, so that positions
 * in the parsed text are positions in the user's.
 */
static List *
parse_indexes(const char *indexes, TupleDesc columns, IndexWords *words)
{
	WhParsedText text = {indexes, 0, INDEX_HINT};
	List	   *stmts = NIL;
	List	   *names = NIL;
	ListCell   *lc;
	char	   *sql;

	if (indexes == NULL)
		return NIL;

	words->schema = unused_word(indexes, 'x', strlen(SCHEMA_PLACEHOLDER));
	words->view = unused_word(indexes, 'y', strlen(VIEW_PLACEHOLDER));
	sql = replace_all(replace_all(indexes, SCHEMA_PLACEHOLDER, words->schema),
					  VIEW_PLACEHOLDER, words->view);

	foreach(lc, wh_parse(sql, &text))
	{
		IndexStmt  *stmt = check_index(lfirst_node(RawStmt, lc), sql, columns,
									   words);

		if (stmt->idxname != NULL)
		{
			if (list_member(names, makeString(stmt->idxname)))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("index name \"%s\" is used twice",
								as_written(stmt->idxname, words)),
						 errhint("Give each index its own name, or none.")));
			names = lappend(names, makeString(stmt->idxname));
		}
		stmts = lappend(stmts, stmt);
	}

	return stmts;
}

/*
 * Check one index definition and return it with its whole name, which the
 * parser has cut at 63 bytes.
 */
static IndexStmt *
check_index(RawStmt *raw, const char *sql, TupleDesc columns,
			const IndexWords *words)
{
	IndexStmt  *stmt = (IndexStmt *) raw->stmt;
	IndexStmt	rest;
	RangeVar	unnamed;
	char	   *tree;

	if (!IsA(stmt, IndexStmt))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("index definitions cannot hold %s",
						CreateCommandName(raw->stmt)),
				 errhint(INDEX_HINT)));
	if (stmt->idxname != NULL)
		stmt->idxname = whole_index_name(stmt->idxname,
										 sql + Max(raw->stmt_location, 0));
	if (stmt->relation->catalogname != NULL ||
		(stmt->relation->schemaname != NULL &&
		 strcmp(stmt->relation->schemaname, words->schema) != 0) ||
		strcmp(stmt->relation->relname, words->view) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("index definition is on \"%s\"",
						as_written(stmt->relation->relname, words)),
				 errhint(INDEX_HINT)));
	if (stmt->concurrent || stmt->if_not_exists)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("index definition cannot have CONCURRENTLY or IF NOT EXISTS"),
				 errhint("Leave it out: indexes are made before anybody sees the relation.")));
	if (stmt->idxname != NULL && strcmp(stmt->idxname, words->view) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("index name \"{view_name}\" is the relation's own"),
				 errhint("Add something to the name, or leave it out.")));
	if (stmt->idxname != NULL && strstr(stmt->idxname, words->view) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("index name \"%s\" is the same for every slice",
						as_written(stmt->idxname, words)),
				 errhint("Put {view_name} into the name, or leave the name out.")));

	/* Elsewhere than in these names the words would be left standing. */
	rest = *stmt;
	unnamed = *stmt->relation;
	unnamed.schemaname = NULL;
	unnamed.relname = NULL;
	rest.relation = &unnamed;
	rest.idxname = NULL;
	tree = nodeToString(&rest);
	if (strstr(tree, words->schema) != NULL || strstr(tree, words->view) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("index definition uses {schema} or {view_name} beside names of indexes and relations"),
				 errhint("Name columns without their relation.")));

	(void) check_index_node((Node *) stmt->indexParams, columns);
	(void) check_index_node((Node *) stmt->indexIncludingParams, columns);
	(void) check_index_node(stmt->whereClause, columns);

	return stmt;
}

/*
 * Check that all columns of an index are declared ones.
 */
static bool
check_index_node(Node *node, void *context)
{
	TupleDesc	columns = (TupleDesc) context;

	if (node == NULL)
		return false;

	if (IsA(node, IndexElem) && ((IndexElem *) node)->name != NULL)
		check_index_column(((IndexElem *) node)->name, columns);
	if (IsA(node, ColumnRef))
	{
		ColumnRef  *ref = (ColumnRef *) node;

		check_index_column(NameListToString(ref->fields), columns);
		return false;
	}

	return raw_expression_tree_walker(node, check_index_node, context);
}

static void
check_index_column(const char *name, TupleDesc columns)
{
	for (int i = 0; i < columns->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(columns, i)->attname), name) == 0)
			return;
	}

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("column \"%s\" of an index definition does not exist", name),
			 errhint("The columns are %s.", wh_columns_sql(columns))));
}

/*
 * Return an index's name as the text "sql" has it, where the parser may have
 * cut it.  The first place that begins like the cut name is taken: should it
 * lie in a comment, that word is the name, and passes the same checks.
 */
static char *
whole_index_name(const char *parsed, const char *sql)
{
	int			cut = strlen(parsed);

	if (cut < NAMEDATALEN - MAX_MULTIBYTE_CHAR_LEN)
		return pstrdup(parsed);

	for (const char *start = sql; *start != '\0'; start++)
	{
		if (pg_strncasecmp(start, parsed, cut) == 0)
			return wh_read_identifier(start > sql && start[-1] == '"'
									  ? start - 1 : start);
	}

	return pstrdup(parsed);
}

/*
 * Make a word of "len" letters that does not occur in the text: "first", then
 * a number in the letters a to j, which "first" is none of.
 */
static char *
unused_word(const char *text, char first, int len)
{
	char	   *lower = asc_tolower(text, strlen(text));
	char	   *word = (char *) palloc0(len + 1);

	for (uint32 n = 0;; n++)
	{
		uint32		rest = n;

		word[0] = first;
		for (int i = len - 1; i > 0; i--)
		{
			word[i] = 'a' + rest % 10;
			rest /= 10;
		}
		if (strstr(lower, word) == NULL)
			return word;
	}
}

static char *
replace_all(const char *text, const char *from, const char *to)
{
	StringInfoData result;
	const char *found;

	initStringInfo(&result);
	while ((found = strstr(text, from)) != NULL)
	{
		appendBinaryStringInfo(&result, text, found - text);
		appendStringInfoString(&result, to);
		text = found + strlen(from);
	}
	appendStringInfoString(&result, text);

	return result.data;
}

/*
 * Put the placeholders back, for a message.
 */
static char *
as_written(const char *text, const IndexWords *words)
{
	return replace_all(replace_all(text, words->schema, SCHEMA_PLACEHOLDER),
					   words->view, VIEW_PLACEHOLDER);
}
