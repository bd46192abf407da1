/*
 * unit.h
 *		One piece of work: one template, tenant and period.
 */
#ifndef WH_UNIT_H
#define WH_UNIT_H

#include "load.h"
#include "nodes/pg_list.h"
#include "run.h"
#include "template.h"
#include "tenant.h"

/* What a unit is to do. */
typedef enum WhPurpose
{
	WH_LOAD,
	WH_MEND,					/* load: it was found to differ */
	WH_RESTORE,					/* load: nobody can read it any more; from the
								 * archive, if it was the archive's */
	WH_RECHECK					/* compare, and load if it differs */
} WhPurpose;

/* One piece of work: one transaction, one row of the log. */
typedef struct WhUnit
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	WhPeriod	period;
	WhDays		days;			/* incremental: those to read again; else what
								 * is new */
	bool		rollup;			/* combine the period's slices, ask no tenant */
	bool		allow_gaps;		/* of a roll-up: with days missing */
	int			locks;			/* of a roll-up in one transaction; else 0 */
	bool		begun;			/* the day has begun in the tenant's zone */
	bool		named;			/* somebody asked for the very pair, so no
								 * pause holds it up */
	int			attempts;		/* made before */
	WhPurpose	purpose;
	int64		replays;		/* a run whose extract is loaded, not the
								 * source; or 0 */
	WhLoadRules rules;			/* may_refill is for whoever runs it to say */
} WhUnit;

/* Make a unit that loads the period; "begun" as its field. */
extern WhUnit *wh_unit_make(const WhTemplate *tmpl, const WhTenant *tenant,
							WhPeriod period, bool begun);

/* How a caller commits: what lies between the two is one transaction. */
typedef struct WhTransactions
{
	void		(*begin) (void);	/* with a fresh snapshot */
	void		(*commit) (void);
} WhTransactions;

/*
 * Run one unit: log row, object lock, contained work, ledger.  Never throws
 * for the unit's own failure: run->status and run->error tell.  Caller: owner.
 * run's strings live in CurrentMemoryContext.
 */
extern void wh_unit_run(const WhUnit *unit, WhRun *run);

/*
 * Say why the unit's day is not to be fetched, whoever asks: it has not begun,
 * or it is frozen.  NULL: it may be.
 */
extern const char *wh_unit_kept_out(const WhUnit *unit);

/*
 * Say why the unit would be skipped if it were run now; NULL: it would not.
 * Whether the tenant is too busy is not asked.  Caller: owner.
 */
extern const char *wh_unit_held_up(const WhUnit *unit);

/* The reason to skip a unit whose tenant is no longer there by that name. */
extern const char *wh_unit_tenant_gone(const char *tenant);

/* Tell the log that a unit which has begun is skipped: an input was lost. */
extern void wh_unit_input_lost(const WhUnit *unit, WhRun *run, const char *input);

/* What the log calls such a unit. */
extern const char *wh_unit_kind(const WhUnit *unit);

/* Begin a run with the unit's names; the log does not hear of it. */
extern void wh_unit_name(const WhUnit *unit, WhRun *run);

/*
 * The two halves of wh_unit_run(), for callers that commit in between.  Where
 * the first one finds that the unit is not to be run, it says so in
 * run->reason and to the log, and the second has nothing to do.
 */
extern void wh_unit_start(const WhUnit *unit, WhRun *run);
extern void wh_unit_work(const WhUnit *unit, WhRun *run);

/*
 * The second half in transactions of its own: first what an earlier run of the
 * unit has left in the archive, then the unit.  Nobody has switched roles.
 */
extern void wh_unit_work_committed(const WhUnit *unit, WhRun *run,
								   const WhTransactions *transactions);

/* Then, in one more, tidy the archive; what fails now is no failure of it. */
extern void wh_unit_settle(const WhUnit *unit, const WhTransactions *transactions);

/*
 * Load the extract unit->replays for a run that the log knows already, whose
 * number is run->run_id, and tell the log how it ended.
 */
extern void wh_unit_load_again(const WhUnit *unit, WhRun *run);

/*
 * Prepare the commit that follows a unit's work at once, in a transaction that
 * is the unit's own.  Caller: no longer switched to another role.
 */
extern void wh_unit_commits(const WhRun *run);

#endif							/* WH_UNIT_H */
