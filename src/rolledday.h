/*
 * rolledday.h
 *		Refresh one day that a month's or a year's table holds.
 */
#ifndef WH_ROLLEDDAY_H
#define WH_ROLLEDDAY_H

#include "matview.h"
#include "slice.h"

/*
 * Bring the day inside the table to the source's present content, and the
 * table's row of the ledger up to date.  55000 for a method that cannot serve,
 * a template without a time column, or a day that lies outside the table by
 * the tenant's present zone; 42710 when the table is not ours any more.
 * Caller: owner, pair's object lock held.
 */
extern void wh_rolledday_load(const WhTemplate *tmpl, const WhTenant *tenant,
							  const WhPeriod *day, const WhSlice *table,
							  const WhLoadRules *rules, int64 run_id,
							  WhMatviewResult *result);

/* Foretell that, as wh_matview_plan() does. */
extern void wh_rolledday_plan(const WhTemplate *tmpl, const WhTenant *tenant,
							  const WhPeriod *day, const WhSlice *table,
							  const WhLoadRules *rules, WhMatviewPlan *plan);

#endif							/* WH_ROLLEDDAY_H */
