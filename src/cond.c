/*
 * cond.c
 *		What a query's qual says about a slice.
 *
 * A qual is folded with the values of the moment and compiled to a tree of
 * conditions: AND and OR of "its schema passes" (any expression on schema_name
 * alone, evaluated once per tenant) and of "times up to here" and "times from
 * here on" (a comparison of a constant with an expression that never steps
 * back, evaluated at an end of the slice).  Everything else holds for all
 * slices.  The comparison itself is always PostgreSQL's: a slice is asked the
 * query's own question.
 *
 * Whoever keeps what comes of it learns whether it holds tomorrow: "mutable"
 * when the session or the clock had a part in it, "unbound" when parameters do
 * that have no value yet.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "cond.h"

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

static WhCond *compile_qual(WhJudge *judge, Node *qual);
static WhCond *compile(WhJudge *judge, Node *node);
static WhCond *compile_all(WhJudge *judge, List *args);
static WhCond *compile_any(WhJudge *judge, List *args);
static WhCond *compile_leaf(WhJudge *judge, Node *node);
static WhCond *compile_array(WhJudge *judge, ScalarArrayOpExpr *op);
static WhCond *compile_comparison(WhJudge *judge, Oid opno, Oid collation,
								  Node *left, Node *right);
static OpBtreeInterpretation *btree_meaning(Oid opno);
static WhCond *make_comparison(WhJudge *judge, Oid opno, Oid collation, Node *left,
							   Node *right, WhCondKind kind,
							   const WhMonotone *monotone);
static WhCond *make_cond(WhCondKind kind, Expr *test);
static bool is_unknown(const WhCond *cond);
static Subject subject_of(const WhJudge *judge, Node *node);
static bool find_subject(Node *node, Subject *subject);
static Node *as_param(Node *node, WhJudge *judge);

/*
 * Start to judge; see cond.h.
 */
void
wh_judge_start(WhJudge *judge, const WhUnionTable *table, Index rti,
			   ParamListInfo params, EState *estate)
{
	memset(judge, 0, sizeof(WhJudge));
	judge->table = table;
	judge->rti = rti;
	judge->has_params = params != NULL;
	judge->root.type = T_PlannerInfo;
	judge->root.glob = &judge->glob;
	judge->glob.type = T_PlannerGlobal;
	judge->glob.boundParams = params;

	judge->value = makeParamList(1);
	judge->value->params[0].isnull = false;
	judge->value->params[0].pflags = PARAM_FLAG_CONST;
	judge->econtext = CreateExprContext(estate);
	judge->econtext->ecxt_param_list_info = judge->value;
}

/*
 * Compile a list of quals; see cond.h.
 */
WhCond *
wh_cond_of_all(WhJudge *judge, List *quals)
{
	WhCond	   *all = make_cond(WH_ALL_OF, NULL);
	ListCell   *lc;

	foreach(lc, quals)
		all->kids = lappend(all->kids, compile_qual(judge, (Node *) lfirst(lc)));

	return all;
}

/*
 * Compile one of the quals, folded with the values of the moment.  What is
 * about neither time nor schema is left alone, unless it is constant.
 */
static WhCond *
compile_qual(WhJudge *judge, Node *qual)
{
	Subject		subject = subject_of(judge, qual);
	bool		about = subject.time || subject.schema;
	Node	   *folded;
	WhCond	   *cond;

	if ((!about && (subject.other || subject.param)) ||
		contain_volatile_functions(qual) || contain_subplans(qual))
		return make_cond(WH_EVERY, NULL);
	if (!about && contain_mutable_functions(qual))
		return make_cond(WH_EVERY, NULL);

	/* A negated operator is left without its function. */
	folded = estimate_expression_value(&judge->root, qual);
	fix_opfuncids(folded);
	cond = compile(judge, folded);
	if (cond->kind == WH_EVERY)
		return cond;

	if (contain_mutable_functions(qual))
		judge->mutable = true;
	if (subject.param)
	{
		judge->mutable = true;
		if (is_unknown(cond))
			judge->unbound = true;
	}

	return cond;
}

static WhCond *
compile(WhJudge *judge, Node *node)
{
	check_stack_depth();

	if (IsA(node, BoolExpr) && ((BoolExpr *) node)->boolop == AND_EXPR)
		return compile_all(judge, ((BoolExpr *) node)->args);
	if (IsA(node, BoolExpr) && ((BoolExpr *) node)->boolop == OR_EXPR)
		return compile_any(judge, ((BoolExpr *) node)->args);
	if (IsA(node, BooleanTest) &&
		((BooleanTest *) node)->booltesttype == IS_TRUE)
		return compile(judge, (Node *) ((BooleanTest *) node)->arg);
	if (IsA(node, Const))
	{
		const Const *value = (const Const *) node;

		return make_cond(!value->constisnull && DatumGetBool(value->constvalue) ?
						 WH_EVERY : WH_NONE, NULL);
	}

	return compile_leaf(judge, node);
}

static WhCond *
compile_all(WhJudge *judge, List *args)
{
	WhCond	   *all = make_cond(WH_ALL_OF, NULL);
	ListCell   *lc;

	foreach(lc, args)
	{
		WhCond	   *kid = compile(judge, (Node *) lfirst(lc));

		if (kid->kind == WH_NONE)
			return kid;
		if (kid->kind != WH_EVERY)
			all->kids = lappend(all->kids, kid);
	}
	if (all->kids == NIL)
		all->kind = WH_EVERY;

	return all;
}

static WhCond *
compile_any(WhJudge *judge, List *args)
{
	WhCond	   *any = make_cond(WH_ANY_OF, NULL);
	ListCell   *lc;

	foreach(lc, args)
	{
		WhCond	   *kid = compile(judge, (Node *) lfirst(lc));

		if (kid->kind == WH_EVERY)
			return kid;
		if (kid->kind != WH_NONE)
			any->kids = lappend(any->kids, kid);
	}
	if (any->kids == NIL)
		any->kind = WH_NONE;

	return any;
}

static WhCond *
compile_leaf(WhJudge *judge, Node *node)
{
	Subject		subject = subject_of(judge, node);

	if (subject.other || (subject.time && subject.schema) ||
		(subject.param && judge->has_params))
		return make_cond(WH_EVERY, NULL);

	if (!subject.time)
	{
		if (subject.param)
			return make_cond(WH_UNKNOWN, NULL);
		if (!subject.schema)
			return make_cond(WH_EVERY, NULL);
		return make_cond(WH_SCHEMA, (Expr *) as_param(node, judge));
	}

	if (IsA(node, OpExpr) && list_length(((OpExpr *) node)->args) == 2)
		return compile_comparison(judge, ((OpExpr *) node)->opno,
								  ((OpExpr *) node)->inputcollid,
								  linitial(((OpExpr *) node)->args),
								  lsecond(((OpExpr *) node)->args));
	if (IsA(node, ScalarArrayOpExpr) && ((ScalarArrayOpExpr *) node)->useOr)
		return compile_array(judge, (ScalarArrayOpExpr *) node);

	return make_cond(WH_EVERY, NULL);
}

/*
 * Compile "expression op ANY (array)" as one comparison per element.
 */
static WhCond *
compile_array(WhJudge *judge, ScalarArrayOpExpr *op)
{
	Node	   *left = (Node *) linitial(op->args);
	Node	   *right = (Node *) lsecond(op->args);
	WhCond	   *any = make_cond(WH_ANY_OF, NULL);
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
		if (subject_of(judge, right).param && !subject_of(judge, right).time &&
			wh_is_monotone(left, judge->table->time_attr, 0, &any->monotone))
			return make_cond(WH_UNKNOWN, NULL);
		return make_cond(WH_EVERY, NULL);
	}
	if (((Const *) right)->constisnull)
		return make_cond(WH_NONE, NULL);

	array = DatumGetArrayTypeP(((Const *) right)->constvalue);
	type = ARR_ELEMTYPE(array);
	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	deconstruct_array(array, type, typlen, typbyval, typalign,
					  &values, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		Const	   *element;
		WhCond	   *kid;

		if (nulls[i])
			continue;
		element = makeConst(type, -1, InvalidOid, typlen, values[i], false,
							typbyval);
		kid = compile_comparison(judge, op->opno, op->inputcollid, left,
								 (Node *) element);
		if (kid->kind == WH_EVERY)
			return kid;
		any->kids = lappend(any->kids, kid);
	}
	if (any->kids == NIL)
		any->kind = WH_NONE;

	return any;
}

/*
 * Compile a comparison of the time column with something that is not.
 */
static WhCond *
compile_comparison(WhJudge *judge, Oid opno, Oid collation, Node *left, Node *right)
{
	OpBtreeInterpretation *meaning;
	Oid			at_most;
	Oid			at_least;
	WhMonotone	monotone;
	WhCond	   *both;

	if (subject_of(judge, right).time)
	{
		Node	   *swap = left;

		left = right;
		right = swap;
		opno = get_commutator(opno);
	}
	if (!OidIsValid(opno) || subject_of(judge, right).time)
		return make_cond(WH_EVERY, NULL);
	meaning = btree_meaning(opno);
	if (meaning == NULL)
		return make_cond(WH_EVERY, NULL);

	/* Local time on the left becomes an instant on the way. */
	if (!wh_is_monotone(left, judge->table->time_attr,
						meaning->oprighttype == TIMESTAMPTZOID &&
						meaning->oplefttype != TIMESTAMPTZOID &&
						wh_session_zone_varies() ? 1 : 0, &monotone))
		return make_cond(WH_EVERY, NULL);
	if (!IsA(right, Const))
		return make_cond(subject_of(judge, right).param && !judge->has_params ?
						 WH_UNKNOWN : WH_EVERY, NULL);
	if (((Const *) right)->constisnull)
		return make_cond(WH_NONE, NULL);

	switch (meaning->strategy)
	{
		case BTLessStrategyNumber:
		case BTLessEqualStrategyNumber:
			return make_comparison(judge, opno, collation, left, right, WH_BELOW, &monotone);
		case BTGreaterStrategyNumber:
		case BTGreaterEqualStrategyNumber:
			return make_comparison(judge, opno, collation, left, right, WH_ABOVE, &monotone);
		case BTEqualStrategyNumber:
			at_most = get_opfamily_member(meaning->opfamily_id, meaning->oplefttype,
										  meaning->oprighttype,
										  BTLessEqualStrategyNumber);
			at_least = get_opfamily_member(meaning->opfamily_id, meaning->oplefttype,
										   meaning->oprighttype,
										   BTGreaterEqualStrategyNumber);
			if (!OidIsValid(at_most) || !OidIsValid(at_least))
				return make_cond(WH_EVERY, NULL);
			both = make_cond(WH_ALL_OF, NULL);
			both->kids = list_make2(make_comparison(judge, at_most, collation, left,
													right, WH_BELOW, &monotone),
									make_comparison(judge, at_least, collation, left,
													right, WH_ABOVE, &monotone));
			return both;
		default:
			return make_cond(WH_EVERY, NULL);
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

static WhCond *
make_comparison(WhJudge *judge, Oid opno, Oid collation, Node *left, Node *right,
				WhCondKind kind, const WhMonotone *monotone)
{
	Expr	   *test = make_opclause(opno, BOOLOID, false, (Expr *) left,
									 (Expr *) right, InvalidOid, collation);
	WhCond	   *cond;

	set_opfuncid((OpExpr *) test);
	cond = make_cond(kind, NULL);
	cond->test = ExecInitExpr((Expr *) as_param((Node *) test, judge), NULL);
	cond->monotone = *monotone;

	return cond;
}

static WhCond *
make_cond(WhCondKind kind, Expr *test)
{
	WhCond	   *cond = (WhCond *) palloc0(sizeof(WhCond));

	cond->kind = kind;
	if (test != NULL)
		cond->test = ExecInitExpr(test, NULL);

	return cond;
}

static bool
is_unknown(const WhCond *cond)
{
	ListCell   *lc;

	if (cond->kind == WH_UNKNOWN)
		return true;
	foreach(lc, cond->kids)
	{
		if (is_unknown((const WhCond *) lfirst(lc)))
			return true;
	}

	return false;
}

static Subject
subject_of(const WhJudge *judge, Node *node)
{
	Subject		subject = {judge->table, judge->rti, false, false, false, false};

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
as_param(Node *node, WhJudge *judge)
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

	return expression_tree_mutator(node, as_param, judge);
}

/*
 * Is the test true of a value?
 */
bool
wh_cond_holds(WhJudge *judge, const WhCond *cond, Oid type, Datum value)
{
	Datum		result;
	bool		isnull;

	judge->value->params[0].ptype = type;
	judge->value->params[0].value = value;
	ResetExprContext(judge->econtext);
	result = ExecEvalExprSwitchContext(cond->test, judge->econtext, &isnull);

	return !isnull && DatumGetBool(result);
}
