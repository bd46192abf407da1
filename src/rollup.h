/*
 * rollup.h
 *		Days into a month's or a year's table, months into a year's: what there
 *		is to combine, and the one transaction that puts it in their place.
 */
#ifndef WH_ROLLUP_H
#define WH_ROLLUP_H

#include "slice.h"
#include "template.h"
#include "tenant.h"

/* One roll-up: what it finds, and what it has done. */
typedef struct WhRollup
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	WhPeriod	period;
	char	   *schema;
	char	   *name;
	bool		done;			/* rolled up before, or part of a year that is */
	List	   *inside;			/* of WhSlice *: every one within the period */
	List	   *sources;		/* of WhSlice *: those with rows to combine */
	int			days_found;
	int			days_expected;
	List	   *missing;		/* of DateADT: not there, or not as they
								 * closed */
	DateADT		first;			/* the first day that should be there */
	int64		rows;			/* as the ledger says; once made, as proved */
	int64		bytes;
	int			locks;			/* taken until the commit */
	TimestampTz as_of;			/* the latest of the sources */
	double		lock_ms;
} WhRollup;

/*
 * Look the roll-up up in the ledger.  22008 for a period that has not ended in
 * the tenant's zone, 22023 for a template that is not daily, 42710 when
 * something that is not ours has the table's name.
 */
extern WhRollup *wh_rollup_find(const WhTemplate *tmpl, const WhTenant *tenant,
								const WhPeriod *period);

/*
 * Throw 55000 when there is nothing to combine, or days are missing and gaps
 * are not allowed.
 */
extern void wh_rollup_check(const WhRollup *rollup, bool allow_gaps);

/*
 * Combine the sources, prove it, and publish the table in their place: ledger
 * and tenant's view change together.  The sources are put out of use, not
 * dropped.  Caller: owner, pair's object lock held, READ COMMITTED; a commit
 * should follow at once, since the view's readers wait for it.
 */
extern void wh_rollup_make(WhRollup *rollup, int64 run_id);

/* Is that error one that says no, rather than one of having failed? */
extern bool wh_rollup_refuses(int sqlerrcode);

/* The relations put out of use, as far as they are left to drop. */
typedef struct WhTidy
{
	const char *template_name;
	const char *tenant;
	List	   *retired;		/* of WhRetired * */
	int			next;
	bool		may_wait;		/* for readers, up to lock_deadline */
} WhTidy;

/*
 * Drop what roll-ups of a pair have put out of use: a few relations a step,
 * which belongs in a transaction of its own if there can be one; false when
 * nothing is left to try, or another session is at that pair.  What people
 * still read stays for the next time.
 */
extern void wh_tidy_begin(WhTidy *tidy, const char *template_name,
						  const char *tenant, bool may_wait);
extern bool wh_tidy_step(WhTidy *tidy);

#endif							/* WH_ROLLUP_H */
