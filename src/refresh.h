/*
 * refresh.h
 *		Which units a call means, in what order, and how one is run.
 */
#ifndef WH_REFRESH_H
#define WH_REFRESH_H

#include "load.h"
#include "nodes/pg_list.h"
#include "run.h"
#include "template.h"
#include "tenant.h"

/* What a caller asked for. */
typedef struct WhRequest
{
	List	   *templates;		/* of WhTemplate * */
	List	   *tenants;		/* of WhTenant * */
	bool		named;			/* one template and one tenant, by name */
	bool		has_from;
	bool		has_to;
	DateADT		from;
	DateADT		to;				/* inclusive */
	bool		newest_first;
	bool		missing_only;	/* leave out what is loaded and final */
	bool		lost_only;		/* nothing but slices of the range that hold
								 * no rows any more, newest first */
	bool		old_versions;	/* without a range: slices of older versions
								 * of the template too, newest first */
	bool		recheck;		/* without a range: closed days whose recheck
								 * is due, too */
	WhLoadRules rules;			/* for every unit */
} WhRequest;

/* What a unit is to do. */
typedef enum WhPurpose
{
	WH_LOAD,
	WH_MEND,					/* load: it was found to differ */
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
	WhPurpose	purpose;
	WhLoadRules rules;			/* may_refill is for whoever runs it to say */
} WhUnit;

/*
 * Resolve names to records; NULL means all that are enabled.  42704 for
 * unknown ones, 55000 for a disabled one that was named, 22023 for a template
 * that does not apply to the tenant.  Caller: owner.
 */
extern void wh_request_resolve(WhRequest *request, const char *template_name,
							   const char *tenant);

/*
 * List the units of a request.  Throws 22008 for a day that has begun
 * nowhere, 22023 for a range the wrong way round, 54000 for more days than fit.
 */
extern List *wh_units(const WhRequest *request);

/*
 * Throw 54000 when one transaction has no room for the locks of the units,
 * 55000 when it would hold readers up for several refills.
 */
extern void wh_check_one_transaction(const List *units);

/*
 * Put the units of one tenant and day next to each other, for a run that
 * reads these under one snapshot.
 */
extern void wh_units_by_tenant_day(List *units);

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

/* The reason to skip a unit whose tenant is no longer there by that name. */
extern const char *wh_unit_tenant_gone(const char *tenant);

/*
 * Find the first day that a pair should have: the template's start date, else
 * the first day in the ledger; false when there is neither.
 */
extern bool wh_first_day(const WhTemplate *tmpl, const WhTenant *tenant,
						 DateADT *day);

/* What the log calls such a unit. */
extern const char *wh_unit_kind(const WhUnit *unit);

/* Begin a run with the unit's names; the log does not hear of it. */
extern void wh_unit_name(const WhUnit *unit, WhRun *run);

/* The two halves of wh_unit_run(), for callers that commit in between. */
extern void wh_unit_start(const WhUnit *unit, WhRun *run);
extern void wh_unit_work(const WhUnit *unit, WhRun *run);

/*
 * Prepare the commit that follows a unit's work at once, in a transaction that
 * is the unit's own.  Caller: no longer switched to another role.
 */
extern void wh_unit_commits(const WhRun *run);

/*
 * Add the unit's template to those whose views may be out of date by now;
 * not for a skipped unit: another session is at it, and holds their locks.
 */
extern List *wh_touch(List *templates, const WhUnit *unit, const WhRun *run);

/*
 * Bring the views of these templates up to date; contained: a failure is
 * logged, warned of and makes the result false.  Caller: owner, after the last
 * byte.
 */
extern bool wh_publish(List *templates);

#endif							/* WH_REFRESH_H */
