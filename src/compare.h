/*
 * compare.h
 *		Days as they are stored against the same days at the source.
 */
#ifndef WH_COMPARE_H
#define WH_COMPARE_H

#include "slice.h"
#include "tally.h"
#include "template.h"
#include "tenant.h"

typedef struct WhComparison
{
	WhPeriod	day;
	const WhSlice *slice;		/* that holds the day; NULL: none */
	bool		stored_is_there;	/* and can be read */
	WhTally		source;
	WhTally		stored;
	bool		equal;
	TimestampTz as_of;			/* source clock in the reading snapshot */
	char	   *content_hash;	/* of a day's own relation that is equal */
} WhComparison;

/*
 * Compare days (a list of WhPeriod *) with the source, which is read under one
 * snapshot, many days in one query; returns a list of WhComparison * in the
 * same order.  Throws as a fetch does.  Caller: owner.
 */
extern List *wh_compare_days(const WhTemplate *tmpl, const WhTenant *tenant,
							 const List *days);
extern WhComparison *wh_compare_day(const WhTemplate *tmpl,
									const WhTenant *tenant,
									const WhPeriod *day);

/*
 * Note in the ledger that a day was found equal.  The caller holds the pair's
 * object lock.
 */
extern void wh_compare_confirm(const WhComparison *found);

#endif							/* WH_COMPARE_H */
