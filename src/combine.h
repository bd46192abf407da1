/*
 * combine.h
 *		Make one table of several relations' rows, and prove that it holds them.
 */
#ifndef WH_COMBINE_H
#define WH_COMBINE_H

#include "content.h"
#include "template.h"
#include "tenant.h"

/* What the table is to be. */
typedef struct WhCombined
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	WhPeriod	period;
	WhSpan		span;			/* the period's instants */
	const char *schema;
	const char *name;
} WhCombined;

typedef struct WhCombine WhCombine;

/*
 * Create the table, empty, and begin to fill it; nobody else sees it before
 * the commit.  It has the template's present columns, whatever older relations
 * have.  Caller: owner.
 */
extern WhCombine *wh_combine_begin(const WhCombined *what);

/*
 * Begin a part: the rows that follow belong to this period, whose instants are
 * "span".
 */
extern void wh_combine_part(WhCombine *combine, const WhPeriod *period,
							const WhSpan *span);

/* Add a row of the template's columns, as from a WhRowSink. */
extern void wh_combine_row(void *combine, Datum *values, bool *isnull);

/*
 * Add the rows of a relation, which the caller has locked, but for those of
 * the range "but" of the template's columns (NULL: all).
 */
extern void wh_combine_relation(WhCombine *combine, Oid relid,
								const WhRange *but);

/*
 * Write what is left, prove each part, build indexes, ANALYZE, comment, grant
 * and call what the template wants called.  23514 for a row outside its part,
 * 23505 listing keys that occur twice, XX001 when the proof fails.  What is
 * written is durable by then, so a commit is quick.
 */
extern WhContent wh_combine_end(WhCombine *combine);

/*
 * The names of the index that finds a day in a table of that name, and of the
 * CHECK on its range.
 */
extern char *wh_combine_range_index(const char *name);
extern char *wh_combine_range_check(const char *name);

#endif							/* WH_COMBINE_H */
