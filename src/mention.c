/*
 * mention.c
 *		The relations that a query names, as its author wrote them.
 *
 * The tree is looked at before any name in it is looked up, so that names can
 * be given a meaning of ours: a live template's are relations of the source.
 * The name of a WITH query hides a relation of that name where SQL says so:
 * in the queries after it and in the one that it belongs to; of WITH
 * RECURSIVE, everywhere in it.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#include "mention.h"

/* Where the walk is. */
typedef struct Scope
{
	List	   *hidden;			/* of char *: names of WITH queries */
	List	  **mentions;
} Scope;

static bool collect(Node *node, void *context);
static void collect_select(const SelectStmt *select, const Scope *outer);
static bool is_hidden(const Scope *scope, const RangeVar *var);
static void add_mention(Scope *scope, RangeVar *var);
static bool settle_column(Node *node, void *context);
static bool is_mention(const WhMention *mention, const List *fields);

/*
 * List the relations that a query names; see mention.h.
 */
List *
wh_mentions(Node *tree)
{
	List	   *mentions = NIL;
	Scope		scope = {NIL, &mentions};

	(void) collect(tree, &scope);

	return mentions;
}

void
wh_mention_means(const WhMention *mention, const char *schema, const char *name)
{
	RangeVar   *var = mention->var;

	if (var->alias == NULL && strcmp(name, mention->name) != 0)
		var->alias = makeAlias(mention->name, NIL);
	var->schemaname = pstrdup(schema);
	var->relname = pstrdup(name);
}

void
wh_mentions_settle(Node *tree, List *mentions)
{
	(void) settle_column(tree, mentions);
}

static bool
collect(Node *node, void *context)
{
	Scope	   *scope = (Scope *) context;

	if (node == NULL)
		return false;

	if (IsA(node, RangeVar))
	{
		if (!is_hidden(scope, (RangeVar *) node))
			add_mention(scope, (RangeVar *) node);
		return false;
	}
	if (IsA(node, SelectStmt))
	{
		collect_select((SelectStmt *) node, scope);
		return false;
	}

	return raw_expression_tree_walker(node, collect, context);
}

/*
 * Walk a SELECT by the scopes of its WITH queries; the rest of it is a copy
 * without them, whose parts are those of the tree.
 */
static void
collect_select(const SelectStmt *select, const Scope *outer)
{
	SelectStmt	rest = *select;
	Scope		scope = {list_copy(outer->hidden), outer->mentions};
	bool		recursive = select->withClause != NULL && select->withClause->recursive;
	ListCell   *lc;

	rest.withClause = NULL;
	if (recursive)
	{
		foreach(lc, select->withClause->ctes)
			scope.hidden = lappend(scope.hidden,
								   lfirst_node(CommonTableExpr, lc)->ctename);
	}
	foreach(lc, select->withClause ? select->withClause->ctes : NIL)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

		(void) collect(cte->ctequery, &scope);
		if (!recursive)
			scope.hidden = lappend(scope.hidden, cte->ctename);
	}

	(void) raw_expression_tree_walker((Node *) &rest, collect, &scope);
}

static bool
is_hidden(const Scope *scope, const RangeVar *var)
{
	ListCell   *lc;

	/* That it is of another database is for PostgreSQL to refuse. */
	if (var->catalogname != NULL)
		return true;
	if (var->schemaname != NULL)
		return false;

	foreach(lc, scope->hidden)
	{
		if (strcmp((const char *) lfirst(lc), var->relname) == 0)
			return true;
	}

	return false;
}

static void
add_mention(Scope *scope, RangeVar *var)
{
	WhMention  *mention = (WhMention *) palloc(sizeof(WhMention));

	mention->var = var;
	mention->schema = var->schemaname ? pstrdup(var->schemaname) : NULL;
	mention->name = pstrdup(var->relname);
	*scope->mentions = lappend(*scope->mentions, mention);
}

static bool
settle_column(Node *node, void *context)
{
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (!IsA(node, ColumnRef))
		return raw_expression_tree_walker(node, settle_column, context);

	foreach(lc, (List *) context)
	{
		ColumnRef  *column = (ColumnRef *) node;

		if (!is_mention((const WhMention *) lfirst(lc), column->fields))
			continue;
		column->fields = list_delete_first(column->fields);
		break;
	}

	return false;
}

/*
 * Are these the fields of a column that is written with the mention's schema
 * and name?
 */
static bool
is_mention(const WhMention *mention, const List *fields)
{
	return mention->schema != NULL && list_length(fields) >= 3 &&
		IsA(linitial(fields), String) && IsA(lsecond(fields), String) &&
		strcmp(strVal(linitial(fields)), mention->schema) == 0 &&
		strcmp(strVal(lsecond(fields)), mention->name) == 0;
}
