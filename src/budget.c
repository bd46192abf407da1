/*
 * budget.c
 *		What the server's lock table has room for, and what our views and
 *		relations ask of it: the one home of that arithmetic.
 *
 * A lock table that is full fails whoever comes next with "out of shared
 * memory", a session that has nothing to do with us as likely as ours.  So
 * whatever takes a lock per slice asks here first and is refused with numbers.
 * The planner locks a relation and each of its indexes; a view of layout union
 * has all of its slices planned by every query, one of layout expand only those
 * that the query needs, and beyond expand_max_slices their relations alone.
 */
#include "postgres.h"

#include "access/twophase.h"
#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "portability/instr_time.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "budget.h"
#include "guc.h"
#include "settings.h"
#include "slice.h"
#include "spi.h"
#include "viewtext.h"

/* Locks that a materialized view takes beside one per index: itself, its toast
 * table and index, its type's namespace. */
#define LOCKS_PER_MATVIEW 4

/* A view is worth a word when so many queries over the whole of it at once
 * would be too many: long before one is. */
#define QUERIES_AT_ONCE 4

/* A setting of the lock table is recommended in steps of this. */
#define SETTING_STEP 64

/* Planning that takes longer is worth a word. */
#define SLOW_PLANNING_MS 1000.0

/* What planning one view came to. */
typedef struct Planning
{
	double		ms;
	ErrorData  *error;			/* NULL: it can be planned */
} Planning;

PG_FUNCTION_INFO_V1(wh_lock_budget);

static WhViewCost *view_cost(const WhPublished *view, bool expanded);
static bool reads_foreign_table(Oid relid);
static void plan_view(const WhPublished *view, Planning *planning);
static double plan_query(const char *sql);
static char *advice(const WhViewCost *cost, const Planning *planning);
static int64 lock_slots(void);
static int64 locks_taken(void);
static int	compare_tags(const void *a, const void *b);
static char *view_name(const WhPublished *view);

/*
 * _wh.wh_lock_budget()
 *		returns table (view_name, relations, locks, capacity, planning_ms,
 *		advice)
 */
Datum
wh_lock_budget(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	WhRole		caller;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);

	wh_become_owner(&caller);
	foreach(lc, wh_view_costs())
	{
		const WhViewCost *cost = (const WhViewCost *) lfirst(lc);
		Planning	planning = {0};
		bool		planned = wh_locks_fit(cost->locks);
		Datum		values[6];
		bool		nulls[6] = {false};
		char	   *word;

		/* What would fill the lock table is not tried. */
		if (planned)
			plan_view(cost->view, &planning);
		word = advice(cost, &planning);

		values[0] = CStringGetTextDatum(view_name(cost->view));
		values[1] = Int64GetDatum(cost->relations);
		values[2] = Int64GetDatum(cost->locks);
		values[3] = Int64GetDatum(wh_lock_capacity());
		nulls[4] = !planned || planning.error != NULL;
		values[4] = Float8GetDatum(planning.ms);
		nulls[5] = word == NULL;
		values[5] = nulls[5] ? (Datum) 0 : CStringGetTextDatum(word);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	wh_role_leave(&caller);

	return (Datum) 0;
}

/*
 * Count what is free; see budget.h.
 */
int64
wh_lock_capacity(void)
{
	return Max(lock_slots() * max_locks_per_xact - locks_taken(), 0);
}

int64
wh_relation_locks(const WhTemplate *tmpl)
{
	return LOCKS_PER_MATVIEW + wh_template_index_count(tmpl);
}

bool
wh_locks_fit(int64 locks)
{
	return locks <= wh_lock_capacity() / 2;
}

int64
wh_locks_setting(int64 locks)
{
	int64		needed = 2 * locks + locks_taken();
	int64		step = lock_slots() * SETTING_STEP;

	return (needed + step - 1) / step * SETTING_STEP;
}

WhFit
wh_view_fit(const WhViewCost *cost)
{
	if (!wh_locks_fit(cost->locks))
		return WH_FITS_NOT;

	return wh_locks_fit(QUERIES_AT_ONCE * cost->locks) ? WH_FITS : WH_FITS_FEW;
}

int64
wh_view_setting(const WhViewCost *cost)
{
	return wh_locks_setting(QUERIES_AT_ONCE * cost->locks);
}

/*
 * List what our views cost; see budget.h.
 */
List *
wh_view_costs(void)
{
	List	   *costs = NIL;
	ListCell   *lc;

	foreach(lc, wh_published(NULL, NULL))
	{
		const WhPublished *view = (const WhPublished *) lfirst(lc);
		Oid			relid = wh_published_relid(view);

		if (OidIsValid(relid))
			costs = lappend(costs, view_cost(view, reads_foreign_table(relid)));
	}

	return costs;
}

/*
 * Refuse a view that nobody could read; see budget.h.
 */
void
wh_check_union_view(const WhTemplate *tmpl, const char *tenant,
					const char *schema)
{
	WhPublished view = {tmpl->name, unconstify(char *, tenant),
	unconstify(char *, schema), tmpl->name, NULL};
	const WhViewCost *cost = view_cost(&view, false);

	if (wh_locks_fit(cost->locks))
		return;

	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("view \"%s\" needs more locks than the server has room for",
					view_name(&view)),
			 errdetail("Template \"%s\": each query would lock " INT64_FORMAT
					   " relations and their indexes, about " INT64_FORMAT
					   " locks, and the lock table has room for " INT64_FORMAT
					   " in all.",
					   tmpl->name, cost->relations, cost->locks,
					   wh_lock_capacity()),
			 errhint("%s Or set max_locks_per_transaction = " INT64_FORMAT
					 " (now %d) and restart the server.",
					 wh_template_expand_sql(tmpl->name), wh_locks_setting(cost->locks),
					 max_locks_per_xact)));
}

static WhViewCost *
view_cost(const WhPublished *view, bool expanded)
{
	bool		is_public = strcmp(view->tenant_name, WH_PUBLIC_VIEW) == 0;
	WhViewCost *cost = (WhViewCost *) palloc(sizeof(WhViewCost));
	int64		indexes;

	cost->view = view;
	cost->expanded = expanded;
	wh_slices_extent(view->template_name,
					 is_public ? NULL : view->tenant_name,
					 &cost->relations, &indexes);

	/* The view, then its foreign table or the views of the tenants. */
	cost->locks = 1 + cost->relations;
	if (expanded)
		cost->locks++;
	else if (is_public)
		cost->locks += list_length(wh_published(view->template_name, NULL)) - 1;
	if (!expanded || cost->relations <= wh_expand_max_slices)
		cost->locks += indexes;

	return cost;
}

/*
 * Is the view of layout expand?  What it reads tells, not what the template's
 * options want it to become.
 */
static bool
reads_foreign_table(Oid relid)
{
	WhArg		args[] = {wh_int8(relid)};
	bool		found;

	SPI_connect();
	found = wh_spi(SPI_OK_SELECT,
				   "SELECT FROM pg_catalog.pg_rewrite r"
				   " JOIN pg_catalog.pg_depend d ON d.objid = r.oid"
				   " AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
				   " AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
				   " JOIN pg_catalog.pg_class c ON c.oid = d.refobjid"
				   " WHERE r.ev_class = $1::pg_catalog.oid"
				   " AND c.relkind = 'f' LIMIT 1",
				   args, lengthof(args)) > 0;
	SPI_finish();

	return found;
}

/*
 * Plan a query over the whole view, as any reader's session would, and give
 * its locks back: the subtransaction is undone on either path.
 */
static void
plan_view(const WhPublished *view, Planning *planning)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext scratch = AllocSetContextCreate(caller, "pg_warehouse budget",
												  ALLOCSET_DEFAULT_SIZES);
	ErrorData  *volatile error = NULL;
	volatile double ms = 0;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(scratch);
	PG_TRY();
	{
		ms = plan_query(psprintf("SELECT * FROM %s",
								 quote_qualified_identifier(view->view_schema,
															view->view_name)));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();

	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	CurrentResourceOwner = owner;

	if (error != NULL &&
		(error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		 error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN))
		ReThrowError(error);
	planning->ms = ms;
	planning->error = error;
}

/*
 * Return the milliseconds from a query's text to its plan: rewriting a view
 * of many arms costs as much as planning it.
 */
static double
plan_query(const char *sql)
{
	instr_time	start;
	instr_time	end;
	List	   *parsed;
	List	   *rewritten;

	PushActiveSnapshot(GetTransactionSnapshot());
	INSTR_TIME_SET_CURRENT(start);
	parsed = raw_parser(sql, RAW_PARSE_DEFAULT);
	rewritten = pg_analyze_and_rewrite_fixedparams(linitial_node(RawStmt, parsed),
												   sql, NULL, 0, NULL);
	(void) pg_plan_query(linitial_node(Query, rewritten), sql,
						 CURSOR_OPT_PARALLEL_OK, NULL);
	INSTR_TIME_SET_CURRENT(end);
	PopActiveSnapshot();

	INSTR_TIME_SUBTRACT(end, start);

	return INSTR_TIME_GET_MILLISEC(end);
}

/*
 * Say what to do about a view that costs too much; NULL when it does not.
 */
static char *
advice(const WhViewCost *cost, const Planning *planning)
{
	WhFit		fit = wh_view_fit(cost);
	StringInfoData word;

	if (planning->error != NULL)
		return psprintf("It cannot be read: %s.%s%s",
						planning->error->message,
						planning->error->hint ? " " : "",
						planning->error->hint ? planning->error->hint : "");

	initStringInfo(&word);
	if (fit == WH_FITS_NOT)
		appendStringInfoString(&word, "A query over all of it takes more than half of the free lock table.");
	else if (fit == WH_FITS_FEW)
		appendStringInfo(&word, "%d queries over all of it at once take more than half of the free lock table.",
						 QUERIES_AT_ONCE);
	else if (planning->ms > SLOW_PLANNING_MS)
		appendStringInfoString(&word, "Planning a query over all of it takes long.");
	else
		return NULL;

	if (!cost->expanded)
		appendStringInfo(&word, " %s", wh_template_expand_sql(cost->view->template_name));
	if (fit != WH_FITS)
		appendStringInfo(&word, " %set max_locks_per_transaction = " INT64_FORMAT " (now %d) and restart the server.",
						 cost->expanded ? "S" : "Or s", wh_view_setting(cost),
						 max_locks_per_xact);

	return word.data;
}

/*
 * Count the transactions for which the lock table is dimensioned.
 */
static int64
lock_slots(void)
{
	return (int64) MaxBackends + max_prepared_xacts;
}

/*
 * Count the objects locked in the table now.  Weak locks on a backend's first
 * relations stay out of it.
 */
static int64
locks_taken(void)
{
	LockData   *data = GetLockStatusData();
	LOCKTAG    *tags = (LOCKTAG *) palloc(sizeof(LOCKTAG) * Max(data->nelements, 1));
	int			ntags = 0;
	int64		taken = 0;

	for (int i = 0; i < data->nelements; i++)
	{
		if (!data->locks[i].fastpath)
			tags[ntags++] = data->locks[i].locktag;
	}
	qsort(tags, ntags, sizeof(LOCKTAG), compare_tags);
	for (int i = 0; i < ntags; i++)
	{
		if (i == 0 || compare_tags(&tags[i - 1], &tags[i]) != 0)
			taken++;
	}
	pfree(tags);

	return taken;
}

static int
compare_tags(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(LOCKTAG));
}

static char *
view_name(const WhPublished *view)
{
	return psprintf("%s.%s", view->view_schema, view->view_name);
}
