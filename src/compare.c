/*
 * compare.c
 *		Days as they are stored against the same days at the source.
 *
 * The source answers for many days in one statement of one transaction, that
 * is in one snapshot, and sends no row.  A day that has its own relation is
 * compared as a whole, one in a roll-up by its range of the time column.  What
 * follows from a difference is the caller's.
 */
#include "postgres.h"

#include "access/relation.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "compare.h"
#include "content.h"
#include "fetch.h"
#include "local.h"
#include "pool.h"
#include "range.h"
#include "session.h"

/*
 * One statement asks for so many days or rows, whichever comes first: until it
 * ends the source says nothing, and pg_warehouse.no_progress_timeout runs.
 */
#define BATCH_DAYS 31
#define BATCH_ROWS 2000000

static void ask_here(const WhTemplate *tmpl, const WhTenant *tenant,
					 const List *comparisons);
static void ask_source(const WhTemplate *tmpl, const WhTenant *tenant,
					   const List *comparisons);
static int	batch_length(const List *comparisons, int from);
static void read_stored(const WhTemplate *tmpl, const WhTenant *tenant,
						WhComparison *comparison);
static bool is_own(const WhComparison *comparison);
static char *range_condition(const WhTemplate *tmpl, const WhTenant *tenant,
							 const WhComparison *comparison, Relation rel);

/*
 * Compare days; see compare.h.
 */
List *
wh_compare_days(const WhTemplate *tmpl, const WhTenant *tenant,
				const List *days)
{
	List	   *volatile comparisons = NIL;
	ListCell   *lc;

	foreach(lc, days)
	{
		WhComparison *comparison = (WhComparison *) palloc0(sizeof(WhComparison));

		comparison->day = *(const WhPeriod *) lfirst(lc);
		comparison->slice = comparison->day.kind == WH_WHOLE
			? wh_slice_find(tmpl->name, tenant->name, &comparison->day)
			: wh_slice_covering(tmpl->name, tenant->name, comparison->day.start);
		comparisons = lappend(comparisons, comparison);
	}
	if (comparisons == NIL)
		return NIL;

	PG_TRY();
	{
		wh_session_purpose(psprintf("reconcile %s/%s", tmpl->name, tenant->name));
		if (wh_template_is_local(tmpl))
			ask_here(tmpl, tenant, comparisons);
		else
			ask_source(tmpl, tenant, comparisons);
	}
	PG_FINALLY();
	{
		wh_session_purpose(NULL);
	}
	PG_END_TRY();

	foreach(lc, comparisons)
		read_stored(tmpl, tenant, (WhComparison *) lfirst(lc));

	return comparisons;
}

WhComparison *
wh_compare_day(const WhTemplate *tmpl, const WhTenant *tenant,
			   const WhPeriod *day)
{
	List	   *days = list_make1(unconstify(WhPeriod *, day));

	return (WhComparison *) linitial(wh_compare_days(tmpl, tenant, days));
}

/*
 * Note what was found; see compare.h.
 */
void
wh_compare_confirm(const WhComparison *found)
{
	WhSlice		slice = *found->slice;

	if (!is_own(found))
		return;

	slice.row_count = found->stored.rows;
	slice.content_hash = found->content_hash;
	slice.as_of = found->as_of;
	wh_slice_confirm(&slice);
}

/*
 * Ask the source for the tallies of all days.
 */
static void
ask_source(const WhTemplate *tmpl, const WhTenant *tenant,
		   const List *comparisons)
{
	int			n = list_length(comparisons);
	const WhComparison *first = (const WhComparison *) linitial(comparisons);
	const WhComparison *last = (const WhComparison *) llast(comparisons);
	WhTally    *tallies = (WhTally *) palloc(sizeof(WhTally) * n);
	WhLease    *lease;
	WhRemoteColumns *remote;

	lease = wh_pool_take(tenant, first->day.kind == WH_WHOLE ?
						 wh_fetch_subject(tmpl, tenant, &first->day) :
						 psprintf("Tenant \"%s\", template \"%s\", days %s to %s.",
								  tenant->name, tmpl->name,
								  wh_date_text(first->day.start),
								  wh_date_text(last->day.start)));
	remote = wh_describe(lease->conn, wh_fetch_query(tmpl, tenant, &first->day));
	(void) wh_describe_check(remote, tmpl, wh_conn_subject(lease->conn));

	for (int from = 0; from < n;)
	{
		int			length = batch_length(comparisons, from);
		List	   *queries = NIL;

		for (int i = from; i < from + length; i++)
		{
			const WhComparison *comparison = (const WhComparison *) list_nth(comparisons, i);

			queries = lappend(queries, wh_fetch_query(tmpl, tenant, &comparison->day));
		}
		wh_tally_source(lease->conn, queries, tmpl->columns, remote, &tallies[from]);
		from += length;
	}

	for (int i = 0; i < n; i++)
	{
		WhComparison *comparison = (WhComparison *) list_nth(comparisons, i);

		comparison->source = tallies[i];
		comparison->as_of = wh_conn_session(lease->conn)->as_of;
	}
	wh_pool_give(lease);
}

/*
 * Ask the derived query for the tallies of all days, one by one: nothing
 * travels, so nothing is saved by asking for several at once.
 */
static void
ask_here(const WhTemplate *tmpl, const WhTenant *tenant, const List *comparisons)
{
	ListCell   *lc;

	foreach(lc, comparisons)
	{
		WhComparison *comparison = (WhComparison *) lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		wh_local_tally(tmpl, tenant, &comparison->day, &comparison->source,
					   &comparison->as_of);
	}
}

/*
 * Count the days that the next statement asks for, by what the ledger says
 * they hold.
 */
static int
batch_length(const List *comparisons, int from)
{
	int64		rows = 0;
	int			length = 0;

	while (from + length < list_length(comparisons) && length < BATCH_DAYS)
	{
		const WhComparison *next = (const WhComparison *) list_nth(comparisons, from + length);

		if (next->slice != NULL)
			rows += is_own(next) ? next->slice->row_count : next->slice->row_count /
				(next->slice->period.end - next->slice->period.start);
		if (length > 0 && rows > BATCH_ROWS)
			break;
		length++;
	}

	return length;
}

/*
 * Tally what is stored of one day, and judge.  Whoever holds the relation open
 * keeps a plain REFRESH out until the hash is taken, too.
 */
static void
read_stored(const WhTemplate *tmpl, const WhTenant *tenant,
			WhComparison *comparison)
{
	const WhSlice *slice = comparison->slice;
	Relation	rel;

	if (slice == NULL || !wh_slice_is_populated(slice))
		return;

	rel = relation_open(wh_slice_relid(slice), AccessShareLock);
	wh_tally_stored(quote_qualified_identifier(slice->relation_schema,
											   slice->relation_name),
					RelationGetDescr(rel),
					range_condition(tmpl, tenant, comparison, rel),
					tmpl->columns, &comparison->stored);
	comparison->stored_is_there = true;

	/* A day that its roll-up lacks is not known to have no rows. */
	comparison->equal = wh_tally_equal(&comparison->source, &comparison->stored) &&
		!list_member_int(slice->missing, comparison->day.start);
	if (comparison->equal && is_own(comparison))
		comparison->content_hash = wh_content_hash(rel, NULL, NULL);
	relation_close(rel, AccessShareLock);
}

/*
 * Has the day, or the whole, a relation of its own?
 */
static bool
is_own(const WhComparison *comparison)
{
	return comparison->slice->period.kind == comparison->day.kind;
}

/*
 * Write the condition for the rows of the day; NULL where all are.
 */
static char *
range_condition(const WhTemplate *tmpl, const WhTenant *tenant,
				const WhComparison *comparison, Relation rel)
{
	WhSpan		span = wh_period_span(&comparison->day, tenant->time_zone);
	WhRange		range;

	if (is_own(comparison))
		return NULL;
	if (!wh_range_of(RelationGetDescr(rel), tmpl->time_column, &comparison->day,
					 &span, &range))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot tell the rows of day %s in roll-up \"%s.%s\"",
						wh_date_text(comparison->day.start),
						comparison->slice->relation_schema,
						comparison->slice->relation_name),
				 errdetail("Template \"%s\" names no time column.", tmpl->name),
				 errhint("SELECT _wh.alter_template(%s, time_column => ...);",
						 quote_literal_cstr(tmpl->name))));

	return wh_range_condition(&range, psprintf("q.%s", quote_identifier(tmpl->time_column)));
}
