/*
 * refresh.h
 *		Which units a call means, in what order.
 */
#ifndef WH_REFRESH_H
#define WH_REFRESH_H

#include "unit.h"

/* What a caller asked for. */
typedef struct WhRequest
{
	List	   *templates;		/* of WhTemplate * */
	List	   *tenants;		/* of WhTenant * */
	bool		named;			/* one template and one tenant, by name */
	bool		scheduled;		/* by a job, names or not */
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

/*
 * Resolve names to records; NULL means all that are enabled.  42704 for
 * unknown ones, 55000 for a disabled one that was named, 22023 for a template
 * that does not apply to the tenant.  Caller: owner.
 */
extern void wh_request_resolve(WhRequest *request, const char *template_name,
							   const char *tenant);

/*
 * List the units of a request, those of derived templates after those that
 * they are made of.  Throws 22008 for a day that has begun
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
 * Find the first day that a pair should have: the template's start date, else
 * the first day in the ledger; false when there is neither.
 */
extern bool wh_first_day(const WhTemplate *tmpl, const WhTenant *tenant,
						 DateADT *day);

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
