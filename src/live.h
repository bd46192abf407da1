/*
 * live.h
 *		Live templates: per tenant a view over foreign tables of the source,
 *		made and mended; no row is ever read.
 */
#ifndef WH_LIVE_H
#define WH_LIVE_H

#include "describe.h"
#include "load.h"
#include "matview.h"

typedef struct WhLived
{
	const char *reason;			/* what was done, a constant */
	List	   *drift;			/* of char *: columns adapted to */
	TimestampTz as_of;			/* the source's clock when it was asked */
	double		fetch_ms;		/* asking the source */
	double		load_ms;
	double		lock_ms;
	char	   *schema;
	char	   *name;
} WhLived;

/*
 * Make the view, or make it what template and source want now.  Throws what
 * bridge and source have to say, 55000 without a bridge or where a table that
 * carries what its owner put on it would go, 42804 for drift, 2BP01 for what
 * people built on a relation that has to be replaced.  Caller: owner, pair's
 * object lock held.
 */
extern void wh_live_load(const WhTemplate *tmpl, const WhTenant *tenant,
						 const WhLoadRules *rules, WhLived *lived);

/* Foretell it, asking nobody. */
extern void wh_live_plan(const WhTemplate *tmpl, const WhTenant *tenant,
						 const WhLoadRules *rules, WhMatviewPlan *plan);

/*
 * The columns that the query returns with the source as it is now; nothing
 * that had to be made for it stays.
 */
extern WhRemoteColumns *wh_live_describe(const WhTemplate *tmpl, const WhTenant *tenant);

/*
 * Write the view anew for a tenant who has another name now, asking nobody; a
 * query that does not speak of the tenant needs that not.
 */
extern void wh_live_renamed(const WhTemplate *tmpl, const WhTenant *tenant);

#endif							/* WH_LIVE_H */
