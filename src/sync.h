/*
 * sync.h
 *		Bring one incremental template's table up to what a tenant has
 *		committed.
 */
#ifndef WH_SYNC_H
#define WH_SYNC_H

#include "load.h"
#include "matview.h"
#include "upsert.h"

typedef struct WhSynced
{
	WhMethod	method;
	const char *reason;			/* for it, a constant */
	WhFetched	fetched;
	WhUpsertCounts counts;
	int64		deleted;
	double		load_ms;
	double		lock_ms;
	char	   *schema;
	char	   *name;
	int64		stored;			/* rows in the table, as far as we know */
	int64		size_bytes;
	int			version;		/* of the template, that all rows are of */
	bool		news;			/* the ledger has to hear of it */
} WhSynced;

/*
 * Load what is new, or the rows of the days asked for, and move the watermark.
 * The table is made or adopted when the ledger has none; key and watermark are
 * proved at the source before the first row.  55000 and 42710 when they, or
 * the table, do not serve; 0A000 when the table's own triggers need a session
 * of the owner's and rules->session_path says that this is none.  Caller:
 * owner, pair's object lock held.
 */
extern void wh_sync_load(const WhTemplate *tmpl, const WhTenant *tenant,
						 const WhDays *days, const WhLoadRules *rules,
						 WhSynced *synced);

/* Is there a table that the template's present version has filled? */
extern bool wh_sync_is_filled(const WhTemplate *tmpl, const WhTenant *tenant);

/* Does the pair's table need a session of the owner's? */
extern bool wh_sync_needs_session(const WhTemplate *tmpl, const WhTenant *tenant);

/*
 * Foretell a load, and return the condition that rows must meet, as far as it
 * is known without asking the source; NULL for none.
 */
extern char *wh_sync_plan(const WhTemplate *tmpl, const WhTenant *tenant,
						  const WhDays *days, const WhLoadRules *rules,
						  WhMatviewPlan *plan);

#endif							/* WH_SYNC_H */
