/*
 * prune.c
 *		Which slices can hold rows that a query wants.
 *
 * A qual is folded with the values of the moment and compiled to a tree of
 * conditions on a slice: AND and OR of "its schema passes" (any expression on
 * schema_name alone, evaluated once per tenant) and of "times up to here" and
 * "times from here on" (a comparison of a constant with an expression that
 * never steps back, evaluated at an end of the slice).  Everything else keeps
 * all slices.  The comparison itself is always PostgreSQL's: a slice is asked
 * the query's own question.
 *
 * Whoever keeps the result learns whether it holds tomorrow: `mutable' when
 * the session or the clock had a part in it, `unbound' when parameters do that
 * have no value yet.  Locks nothing and opens no relation.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "monotone.h"
#include "prune.h"
#include "slicemap.h"

typedef enum CondKind
{
	EVERY,						/* all slices */
	NONE,
	ALL_OF,						/* of kids */
	ANY_OF,
	SCHEMA,						/* whose schema passes the test */
	BELOW,						/* whose lower end passes */
	ABOVE,						/* whose upper end passes */
	UNKNOWN						/* a parameter will tell */
} CondKind;

typedef struct Cond
{
	CondKind	kind;
	List	   *kids;			/* of Cond * */
	ExprState  *test;
	WhMonotone	monotone;		/* of what is compared, BELOW and ABOVE */
} Cond;

typedef struct Pruner
{
	const WhUnionTable *table;
	Index		rti;
	bool		has_params;
	PlannerInfo root;
	PlannerGlobal glob;
	ExprContext *econtext;
	ParamListInfo value;		/* what a test is about: $1 */
} Pruner;

/* What an expression is about. */
typedef struct Subject
{
	const WhUnionTable *table;
	Index		rti;
	bool		time;
	bool		schema;
	bool		param;
	bool		other;
} Subject;

static void prune(const WhUnionTable *table, Index rti, List *quals,
				  ParamListInfo params, int most, WhPruned *pruned,
				  MemoryContext result);
static void start_pruner(Pruner *p, const WhUnionTable *table, Index rti,
						 ParamListInfo params);
static Cond *compile_qual(Pruner *p, Node *qual, WhPruned *pruned);
static Cond *compile(Pruner *p, Node *node);
static Cond *compile_all(Pruner *p, List *args);
static Cond *compile_any(Pruner *p, List *args);
static Cond *compile_leaf(Pruner *p, Node *node);
static Cond *compile_array(Pruner *p, ScalarArrayOpExpr *op);
static Cond *compile_comparison(Pruner *p, Oid opno, Oid collation,
								Node *left, Node *right);
static OpBtreeInterpretation *btree_meaning(Oid opno);
static Cond *make_comparison(Pruner *p, Oid opno, Oid collation, Node *left,
							 Node *right, CondKind kind,
							 const WhMonotone *monotone);
static Cond *make_cond(CondKind kind, Expr *test);
static bool is_unknown(const Cond *cond);
static Subject subject_of(const Pruner *p, Node *node);
static bool find_subject(Node *node, Subject *subject);
static Node *as_param(Node *node, Pruner *p);
static Bitmapset *survivors(Pruner *p, const Cond *cond, const WhMapPart *part);
static Bitmapset *survivors_by_time(Pruner *p, const Cond *cond,
									const WhMapPart *part);
static Bitmapset *everything(const WhMapPart *part);
static bool in_order(const Pruner *p, const WhMapPart *part);
static bool reaches(Pruner *p, const Cond *cond, const WhMapSlice *slice);
static bool end_passes(Pruner *p, const Cond *cond, const WhMapSlice *slice,
					   int radius);
static bool passes(Pruner *p, const Cond *cond, Datum value);
static void collect(const WhMapPart *part, const Bitmapset *set,
					WhPruned *pruned, MemoryContext result);
static uint64 digest_of(uint64 digest, const char *name);

/*
 * Find the slices that survive; see prune.h.
 *
 * Works in a context of its own, which pins the map: a function in a qual may
 * run queries that load another.
 */
WhPruned *
wh_prune(const WhUnionTable *table, Index rti, List *quals,
		 ParamListInfo params, int most)
{
	WhPruned   *pruned = (WhPruned *) palloc0(sizeof(WhPruned));
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(caller, "pg_warehouse prune",
											   ALLOCSET_DEFAULT_SIZES);

	MemoryContextSwitchTo(work);
	prune(table, rti, quals, params, most, pruned, caller);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(work);

	return pruned;
}

static void
prune(const WhUnionTable *table, Index rti, List *quals, ParamListInfo params,
	  int most, WhPruned *pruned, MemoryContext result)
{
	const WhMapTemplate *tmpl = wh_slicemap(table->template_name);
	EState	   *estate = CreateExecutorState();
	Pruner		p;
	Cond	   *all;
	List	   *conds = NIL;
	List	   *sets = NIL;
	ListCell   *lc;
	ListCell   *ls;

	start_pruner(&p, table, rti, params);
	p.econtext = CreateExprContext(estate);
	p.econtext->ecxt_param_list_info = p.value;

	foreach(lc, quals)
		conds = lappend(conds, compile_qual(&p, (Node *) lfirst(lc), pruned));
	all = make_cond(ALL_OF, NULL);
	all->kids = conds;

	pruned->total = tmpl ? tmpl->nslices : 0;
	foreach(lc, tmpl ? tmpl->parts : NIL)
	{
		Bitmapset  *set = survivors(&p, all, (WhMapPart *) lfirst(lc));

		pruned->survivors += bms_num_members(set);
		sets = lappend(sets, set);
	}

	forboth(lc, tmpl ? tmpl->parts : NIL, ls, sets)
	{
		const WhMapPart *part = (const WhMapPart *) lfirst(lc);
		const Bitmapset *set = (const Bitmapset *) lfirst(ls);
		int			i = -1;

		while ((i = bms_next_member(set, i)) >= 0)
			pruned->rows += part->slices[i].rows;
		if (pruned->survivors <= most && !bms_is_empty(set))
			collect(part, set, pruned, result);
	}
	FreeExecutorState(estate);
}

static void
start_pruner(Pruner *p, const WhUnionTable *table, Index rti,
			 ParamListInfo params)
{
	memset(p, 0, sizeof(Pruner));
	p->table = table;
	p->rti = rti;
	p->has_params = params != NULL;
	p->root.type = T_PlannerInfo;
	p->root.glob = &p->glob;
	p->glob.type = T_PlannerGlobal;
	p->glob.boundParams = params;

	p->value = makeParamList(1);
	p->value->params[0].isnull = false;
	p->value->params[0].pflags = PARAM_FLAG_CONST;
}

/*
 * Compile one of the quals, folded with the values of the moment.  What is
 * about neither time nor schema is left alone, unless it is constant.
 */
static Cond *
compile_qual(Pruner *p, Node *qual, WhPruned *pruned)
{
	Subject		subject = subject_of(p, qual);
	bool		about = subject.time || subject.schema;
	Node	   *folded;
	Cond	   *cond;

	if ((!about && (subject.other || subject.param)) ||
		contain_volatile_functions(qual) || contain_subplans(qual))
		return make_cond(EVERY, NULL);
	if (!about && contain_mutable_functions(qual))
		return make_cond(EVERY, NULL);

	/* A negated operator is left without its function. */
	folded = estimate_expression_value(&p->root, qual);
	fix_opfuncids(folded);
	cond = compile(p, folded);
	if (cond->kind == EVERY)
		return cond;

	if (contain_mutable_functions(qual))
		pruned->mutable = true;
	if (subject.param)
	{
		pruned->mutable = true;
		if (is_unknown(cond))
			pruned->unbound = true;
	}

	return cond;
}

static Cond *
compile(Pruner *p, Node *node)
{
	check_stack_depth();

	if (IsA(node, BoolExpr) && ((BoolExpr *) node)->boolop == AND_EXPR)
		return compile_all(p, ((BoolExpr *) node)->args);
	if (IsA(node, BoolExpr) && ((BoolExpr *) node)->boolop == OR_EXPR)
		return compile_any(p, ((BoolExpr *) node)->args);
	if (IsA(node, BooleanTest) &&
		((BooleanTest *) node)->booltesttype == IS_TRUE)
		return compile(p, (Node *) ((BooleanTest *) node)->arg);
	if (IsA(node, Const))
	{
		const Const *value = (const Const *) node;

		return make_cond(!value->constisnull && DatumGetBool(value->constvalue) ?
						 EVERY : NONE, NULL);
	}

	return compile_leaf(p, node);
}

/*
 * Compile an AND.  What is about the schema comes first, in its own order: a
 * later test may count on an earlier one, and times are looked at in schemas
 * that passed.
 */
static Cond *
compile_all(Pruner *p, List *args)
{
	Cond	   *all = make_cond(ALL_OF, NULL);
	ListCell   *lc;

	foreach(lc, args)
	{
		Cond	   *kid = compile(p, (Node *) lfirst(lc));

		if (kid->kind == NONE)
			return kid;
		if (kid->kind != EVERY)
			all->kids = lappend(all->kids, kid);
	}
	if (all->kids == NIL)
		all->kind = EVERY;

	return all;
}

static Cond *
compile_any(Pruner *p, List *args)
{
	Cond	   *any = make_cond(ANY_OF, NULL);
	ListCell   *lc;

	foreach(lc, args)
	{
		Cond	   *kid = compile(p, (Node *) lfirst(lc));

		if (kid->kind == EVERY)
			return kid;
		if (kid->kind != NONE)
			any->kids = lappend(any->kids, kid);
	}
	if (any->kids == NIL)
		any->kind = NONE;

	return any;
}

static Cond *
compile_leaf(Pruner *p, Node *node)
{
	Subject		subject = subject_of(p, node);

	if (subject.other || (subject.time && subject.schema) ||
		(subject.param && p->has_params))
		return make_cond(EVERY, NULL);

	if (!subject.time)
	{
		if (subject.param)
			return make_cond(UNKNOWN, NULL);
		if (!subject.schema)
			return make_cond(EVERY, NULL);
		return make_cond(SCHEMA, (Expr *) as_param(node, p));
	}

	if (IsA(node, OpExpr) && list_length(((OpExpr *) node)->args) == 2)
		return compile_comparison(p, ((OpExpr *) node)->opno,
								  ((OpExpr *) node)->inputcollid,
								  linitial(((OpExpr *) node)->args),
								  lsecond(((OpExpr *) node)->args));
	if (IsA(node, ScalarArrayOpExpr) && ((ScalarArrayOpExpr *) node)->useOr)
		return compile_array(p, (ScalarArrayOpExpr *) node);

	return make_cond(EVERY, NULL);
}

/*
 * Compile "expression op ANY (array)" as one comparison per element.
 */
static Cond *
compile_array(Pruner *p, ScalarArrayOpExpr *op)
{
	Node	   *left = (Node *) linitial(op->args);
	Node	   *right = (Node *) lsecond(op->args);
	Cond	   *any = make_cond(ANY_OF, NULL);
	ArrayType  *array;
	Oid			type;
	int16		typlen;
	bool		typbyval;
	char		typalign;
	Datum	   *values;
	bool	   *nulls;
	int			n;

	if (!IsA(right, Const))
	{
		if (subject_of(p, right).param && !subject_of(p, right).time &&
			wh_is_monotone(left, p->table->time_attr, 0, &any->monotone))
			return make_cond(UNKNOWN, NULL);
		return make_cond(EVERY, NULL);
	}
	if (((Const *) right)->constisnull)
		return make_cond(NONE, NULL);

	array = DatumGetArrayTypeP(((Const *) right)->constvalue);
	type = ARR_ELEMTYPE(array);
	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	deconstruct_array(array, type, typlen, typbyval, typalign,
					  &values, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		Const	   *element;
		Cond	   *kid;

		if (nulls[i])
			continue;
		element = makeConst(type, -1, InvalidOid, typlen, values[i], false,
							typbyval);
		kid = compile_comparison(p, op->opno, op->inputcollid, left,
								 (Node *) element);
		if (kid->kind == EVERY)
			return kid;
		any->kids = lappend(any->kids, kid);
	}
	if (any->kids == NIL)
		any->kind = NONE;

	return any;
}

/*
 * Compile a comparison of the time column with something that is not.
 */
static Cond *
compile_comparison(Pruner *p, Oid opno, Oid collation, Node *left, Node *right)
{
	OpBtreeInterpretation *meaning;
	Oid			at_most;
	Oid			at_least;
	WhMonotone	monotone;
	Cond	   *both;

	if (subject_of(p, right).time)
	{
		Node	   *swap = left;

		left = right;
		right = swap;
		opno = get_commutator(opno);
	}
	if (!OidIsValid(opno) || subject_of(p, right).time)
		return make_cond(EVERY, NULL);
	meaning = btree_meaning(opno);
	if (meaning == NULL)
		return make_cond(EVERY, NULL);

	/* Local time on the left becomes an instant on the way. */
	if (!wh_is_monotone(left, p->table->time_attr,
						meaning->oprighttype == TIMESTAMPTZOID &&
						meaning->oplefttype != TIMESTAMPTZOID &&
						wh_session_zone_varies() ? 1 : 0, &monotone))
		return make_cond(EVERY, NULL);
	if (!IsA(right, Const))
		return make_cond(subject_of(p, right).param && !p->has_params ?
						 UNKNOWN : EVERY, NULL);
	if (((Const *) right)->constisnull)
		return make_cond(NONE, NULL);

	switch (meaning->strategy)
	{
		case BTLessStrategyNumber:
		case BTLessEqualStrategyNumber:
			return make_comparison(p, opno, collation, left, right, BELOW, &monotone);
		case BTGreaterStrategyNumber:
		case BTGreaterEqualStrategyNumber:
			return make_comparison(p, opno, collation, left, right, ABOVE, &monotone);
		case BTEqualStrategyNumber:
			at_most = get_opfamily_member(meaning->opfamily_id, meaning->oplefttype,
										  meaning->oprighttype,
										  BTLessEqualStrategyNumber);
			at_least = get_opfamily_member(meaning->opfamily_id, meaning->oplefttype,
										   meaning->oprighttype,
										   BTGreaterEqualStrategyNumber);
			if (!OidIsValid(at_most) || !OidIsValid(at_least))
				return make_cond(EVERY, NULL);
			both = make_cond(ALL_OF, NULL);
			both->kids = list_make2(make_comparison(p, at_most, collation, left,
													right, BELOW, &monotone),
									make_comparison(p, at_least, collation, left,
													right, ABOVE, &monotone));
			return both;
		default:
			return make_cond(EVERY, NULL);
	}
}

/*
 * Return what an operator means in a B-tree of the core, NULL if nothing:
 * a family that people made may order values otherwise.
 */
static OpBtreeInterpretation *
btree_meaning(Oid opno)
{
	ListCell   *lc;

	foreach(lc, get_op_btree_interpretation(opno))
	{
		OpBtreeInterpretation *meaning = (OpBtreeInterpretation *) lfirst(lc);

		if (meaning->opfamily_id < FirstUnpinnedObjectId)
			return meaning;
	}

	return NULL;
}

static Cond *
make_comparison(Pruner *p, Oid opno, Oid collation, Node *left, Node *right,
				CondKind kind, const WhMonotone *monotone)
{
	Expr	   *test = make_opclause(opno, BOOLOID, false, (Expr *) left,
									 (Expr *) right, InvalidOid, collation);
	Cond	   *cond;

	set_opfuncid((OpExpr *) test);
	cond = make_cond(kind, NULL);
	cond->test = ExecInitExpr((Expr *) as_param((Node *) test, p), NULL);
	cond->monotone = *monotone;

	return cond;
}

static Cond *
make_cond(CondKind kind, Expr *test)
{
	Cond	   *cond = (Cond *) palloc0(sizeof(Cond));

	cond->kind = kind;
	if (test != NULL)
		cond->test = ExecInitExpr(test, NULL);

	return cond;
}

static bool
is_unknown(const Cond *cond)
{
	ListCell   *lc;

	if (cond->kind == UNKNOWN)
		return true;
	foreach(lc, cond->kids)
	{
		if (is_unknown((const Cond *) lfirst(lc)))
			return true;
	}

	return false;
}

static Subject
subject_of(const Pruner *p, Node *node)
{
	Subject		subject = {p->table, p->rti, false, false, false, false};

	(void) find_subject(node, &subject);

	return subject;
}

static bool
find_subject(Node *node, Subject *subject)
{
	if (node == NULL)
		return false;

	switch (nodeTag(node))
	{
		case T_Var:
			{
				const Var  *var = (const Var *) node;

				if (var->varno != (int) subject->rti || var->varlevelsup > 0 ||
					var->varattno <= 0)
					subject->other = true;
				else if (var->varattno == subject->table->time_attr)
					subject->time = true;
				else if (var->varattno == subject->table->schema_attr)
					subject->schema = true;
				else
					subject->other = true;
				return false;
			}
		case T_Param:
			if (((const Param *) node)->paramkind == PARAM_EXTERN)
				subject->param = true;
			else
				subject->other = true;
			return false;
		case T_Aggref:
		case T_GroupingFunc:
		case T_WindowFunc:
		case T_SubLink:
		case T_SubPlan:
		case T_AlternativeSubPlan:
		case T_CurrentOfExpr:
		case T_PlaceHolderVar:
			subject->other = true;
			return false;
		default:
			return expression_tree_walker(node, find_subject, subject);
	}
}

/*
 * Put $1 where the column is.
 */
static Node *
as_param(Node *node, Pruner *p)
{
	if (node == NULL)
		return NULL;

	if (IsA(node, Var))
	{
		const Var  *var = (const Var *) node;
		Param	   *param = makeNode(Param);

		param->paramkind = PARAM_EXTERN;
		param->paramid = 1;
		param->paramtype = var->vartype;
		param->paramtypmod = -1;
		param->paramcollid = var->varcollid;
		param->location = -1;
		return (Node *) param;
	}

	return expression_tree_mutator(node, as_param, p);
}

/*
 * Find a part's slices that pass.
 */
static Bitmapset *
survivors(Pruner *p, const Cond *cond, const WhMapPart *part)
{
	Bitmapset  *set = NULL;
	ListCell   *lc;

	switch (cond->kind)
	{
		case EVERY:
		case UNKNOWN:
			return everything(part);
		case NONE:
			return NULL;
		case ALL_OF:
			set = everything(part);
			foreach(lc, cond->kids)
			{
				const Cond *kid = (const Cond *) lfirst(lc);

				if (kid->kind == SCHEMA && set != NULL)
					set = bms_int_members(set, survivors(p, kid, part));
			}
			foreach(lc, cond->kids)
			{
				const Cond *kid = (const Cond *) lfirst(lc);

				if (kid->kind != SCHEMA && set != NULL)
					set = bms_int_members(set, survivors(p, kid, part));
			}
			return set;
		case ANY_OF:
			foreach(lc, cond->kids)
				set = bms_join(set, survivors(p, (const Cond *) lfirst(lc), part));
			return set;
		case SCHEMA:
			p->value->params[0].ptype = TEXTOID;
			return passes(p, cond, CStringGetTextDatum(part->schema)) ?
				everything(part) : NULL;
		case BELOW:
		case ABOVE:
			return survivors_by_time(p, cond, part);
	}

	return everything(part);
}

/*
 * Find the slices that reach to where the comparison holds.  Ends in order are
 * searched by halves, as if the expression stepped back twice as far as it
 * may, so that it cannot mislead the search; what was taken in too much is at
 * the border.
 */
static Bitmapset *
survivors_by_time(Pruner *p, const Cond *cond, const WhMapPart *part)
{
	Bitmapset  *set = NULL;
	bool		below = cond->kind == BELOW;
	int			from = 0;
	int			to = part->nslices;

	if (strcmp(part->bounds_of, p->table->bounds_of) != 0)
		return everything(part);

	if (!in_order(p, part))
	{
		for (int i = 0; i < part->nslices; i++)
		{
			if (reaches(p, cond, &part->slices[i]))
				set = bms_add_member(set, i);
		}
		return set;
	}

	while (from < to)
	{
		int			middle = from + (to - from) / 2;

		if (end_passes(p, cond, &part->slices[middle], 2 * cond->monotone.radius) == below)
			from = middle + 1;
		else
			to = middle;
	}

	if (below)
	{
		while (to > 0 && !reaches(p, cond, &part->slices[to - 1]))
			to--;
		return to > 0 ? bms_add_range(NULL, 0, to - 1) : NULL;
	}
	while (from < part->nslices && !reaches(p, cond, &part->slices[from]))
		from++;

	return from < part->nslices ?
		bms_add_range(NULL, from, part->nslices - 1) : NULL;
}

static Bitmapset *
everything(const WhMapPart *part)
{
	return bms_add_range(NULL, 0, part->nslices - 1);
}

/*
 * Are the slices in order by the kind of time that the column has?
 */
static bool
in_order(const Pruner *p, const WhMapPart *part)
{
	return p->table->time_type != TIMESTAMPTZOID || part->in_order;
}

/*
 * Can a row of the slice pass?
 */
static bool
reaches(Pruner *p, const Cond *cond, const WhMapSlice *slice)
{
	bool		below = cond->kind == BELOW;
	TimestampTz at;

	if (p->table->time_type == TIMESTAMPTZOID)
		at = below ? slice->bounds.start : slice->bounds.end;
	else
		at = (below ? slice->start : slice->end) * USECS_PER_DAY;

	return end_passes(p, cond, slice, wh_monotone_radius(&cond->monotone, at));
}

/*
 * Does the first (BELOW) or the last (ABOVE) time that the slice can hold
 * pass?  A date or timestamp is the tenant's own wall clock.
 */
static bool
end_passes(Pruner *p, const Cond *cond, const WhMapSlice *slice, int radius)
{
	bool		below = cond->kind == BELOW;
	Datum		value;

	p->value->params[0].ptype = p->table->time_type;
	switch (p->table->time_type)
	{
		case DATEOID:
			value = DateADTGetDatum(below ? slice->start - radius :
									slice->end - 1 + radius);
			break;
		case TIMESTAMPOID:
			value = TimestampGetDatum(below ?
									  (slice->start - radius) * USECS_PER_DAY :
									  (slice->end + radius) * USECS_PER_DAY - 1);
			break;
		default:
			value = TimestampTzGetDatum(below ?
										slice->bounds.start - radius * USECS_PER_DAY :
										slice->bounds.end + radius * USECS_PER_DAY - 1);
			break;
	}

	return passes(p, cond, value);
}

static bool
passes(Pruner *p, const Cond *cond, Datum value)
{
	Datum		result;
	bool		isnull;

	p->value->params[0].value = value;
	ResetExprContext(p->econtext);
	result = ExecEvalExprSwitchContext(cond->test, p->econtext, &isnull);

	return !isnull && DatumGetBool(result);
}

/*
 * List a part's survivors.
 */
static void
collect(const WhMapPart *part, const Bitmapset *set, WhPruned *pruned,
		MemoryContext result)
{
	MemoryContext caller = MemoryContextSwitchTo(result);
	char	   *tenant = pstrdup(part->tenant);
	char	   *schema = pstrdup(part->schema);
	int			i = -1;

	pruned->digest = digest_of(pruned->digest, schema);
	while ((i = bms_next_member(set, i)) >= 0)
	{
		const WhMapSlice *slice = &part->slices[i];
		WhSurvivor *survivor = (WhSurvivor *) palloc(sizeof(WhSurvivor));

		survivor->tenant = tenant;
		survivor->schema = schema;
		survivor->relation = pstrdup(slice->relation);
		survivor->start = slice->start;
		survivor->end = slice->end;
		pruned->slices = lappend(pruned->slices, survivor);
		pruned->digest = digest_of(pruned->digest, slice->relation);
	}
	MemoryContextSwitchTo(caller);
}

static uint64
digest_of(uint64 digest, const char *name)
{
	return hash_combine64(digest,
						  hash_bytes_extended((const unsigned char *) name,
											  strlen(name), 0));
}
