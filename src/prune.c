/*
 * prune.c
 *		Which slices can hold rows that a query wants.
 *
 * Asks the conditions of cond of each tenant's slices, as the session's map of
 * the ledger has them: a schema once, times by halves where the slices are in
 * order.  A slice whose bounds do not hold for the table's column passes any
 * condition on time.  Locks nothing and opens no relation.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "cond.h"
#include "prune.h"
#include "slicemap.h"

static void prune(const WhUnionTable *table, Index rti, List *quals,
				  ParamListInfo params, int most, WhPruned *pruned,
				  MemoryContext result);
static Bitmapset *survivors(WhJudge *judge, const WhCond *cond, const WhMapPart *part);
static Bitmapset *survivors_by_time(WhJudge *judge, const WhCond *cond,
									const WhMapPart *part);
static Bitmapset *everything(const WhMapPart *part);
static bool in_order(const WhJudge *judge, const WhMapPart *part);
static bool reaches(WhJudge *judge, const WhCond *cond, const WhMapSlice *slice);
static bool end_passes(WhJudge *judge, const WhCond *cond, const WhMapSlice *slice,
					   int radius);
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
	WhJudge		judge;
	WhCond	   *all;
	List	   *sets = NIL;
	ListCell   *lc;
	ListCell   *ls;

	wh_judge_start(&judge, table, rti, params, estate);
	all = wh_cond_of_all(&judge, quals);
	pruned->mutable = judge.mutable;
	pruned->unbound = judge.unbound;

	pruned->total = tmpl ? tmpl->nslices : 0;
	foreach(lc, tmpl ? tmpl->parts : NIL)
	{
		Bitmapset  *set = survivors(&judge, all, (WhMapPart *) lfirst(lc));

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

/*
 * Find a part's slices that pass.  Of conditions that must all hold, those on
 * the schema come first, in their own order: a later one may count on an
 * earlier, and times are looked at in schemas that passed.
 */
static Bitmapset *
survivors(WhJudge *judge, const WhCond *cond, const WhMapPart *part)
{
	Bitmapset  *set = NULL;
	ListCell   *lc;

	switch (cond->kind)
	{
		case WH_EVERY:
		case WH_UNKNOWN:
			return everything(part);
		case WH_NONE:
			return NULL;
		case WH_ALL_OF:
			set = everything(part);
			foreach(lc, cond->kids)
			{
				const WhCond *kid = (const WhCond *) lfirst(lc);

				if (kid->kind == WH_SCHEMA && set != NULL)
					set = bms_int_members(set, survivors(judge, kid, part));
			}
			foreach(lc, cond->kids)
			{
				const WhCond *kid = (const WhCond *) lfirst(lc);

				if (kid->kind != WH_SCHEMA && set != NULL)
					set = bms_int_members(set, survivors(judge, kid, part));
			}
			return set;
		case WH_ANY_OF:
			foreach(lc, cond->kids)
				set = bms_join(set, survivors(judge, (const WhCond *) lfirst(lc), part));
			return set;
		case WH_SCHEMA:
			return wh_cond_holds(judge, cond, TEXTOID,
								 CStringGetTextDatum(part->schema)) ?
				everything(part) : NULL;
		case WH_BELOW:
		case WH_ABOVE:
			return survivors_by_time(judge, cond, part);
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
survivors_by_time(WhJudge *judge, const WhCond *cond, const WhMapPart *part)
{
	Bitmapset  *set = NULL;
	bool		below = cond->kind == WH_BELOW;
	int			from = 0;
	int			to = part->nslices;

	if (strcmp(part->bounds_of, judge->table->bounds_of) != 0)
		return everything(part);

	if (!in_order(judge, part))
	{
		for (int i = 0; i < part->nslices; i++)
		{
			if (reaches(judge, cond, &part->slices[i]))
				set = bms_add_member(set, i);
		}
		return set;
	}

	while (from < to)
	{
		int			middle = from + (to - from) / 2;

		if (end_passes(judge, cond, &part->slices[middle], 2 * cond->monotone.radius) == below)
			from = middle + 1;
		else
			to = middle;
	}

	if (below)
	{
		while (to > 0 && !reaches(judge, cond, &part->slices[to - 1]))
			to--;
		return to > 0 ? bms_add_range(NULL, 0, to - 1) : NULL;
	}
	while (from < part->nslices && !reaches(judge, cond, &part->slices[from]))
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
in_order(const WhJudge *judge, const WhMapPart *part)
{
	return judge->table->time_type != TIMESTAMPTZOID || part->in_order;
}

/*
 * Can a row of the slice pass?
 */
static bool
reaches(WhJudge *judge, const WhCond *cond, const WhMapSlice *slice)
{
	bool		below = cond->kind == WH_BELOW;
	TimestampTz at;

	if (judge->table->time_type == TIMESTAMPTZOID)
		at = below ? slice->bounds.start : slice->bounds.end;
	else
		at = (below ? slice->start : slice->end) * USECS_PER_DAY;

	return end_passes(judge, cond, slice, wh_monotone_radius(&cond->monotone, at));
}

/*
 * Does the first (BELOW) or the last (ABOVE) time that the slice can hold
 * pass?  A date or timestamp is the tenant's own wall clock.
 */
static bool
end_passes(WhJudge *judge, const WhCond *cond, const WhMapSlice *slice, int radius)
{
	bool		below = cond->kind == WH_BELOW;
	Datum		value;

	switch (judge->table->time_type)
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

	return wh_cond_holds(judge, cond, judge->table->time_type, value);
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
