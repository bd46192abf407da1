/*
 * matview.h
 *		Create, index, own, grant, fill and refresh ONE materialized view.
 */
#ifndef WH_MATVIEW_H
#define WH_MATVIEW_H

#include "load.h"

typedef struct WhMatviewResult
{
	WhLoaded	loaded;
	char	   *schema;
	char	   *name;
	int64		size_bytes;		/* as loaded, with toast and indexes */
	double		load_ms;
	bool		replaced;		/* a relation with other columns took its
								 * place */
} WhMatviewResult;

/*
 * Make the tenant's schema if it is missing: owner's, reader granted with
 * default privileges.  42710 when it is somebody else's.
 */
extern void wh_matview_schema(const WhTenant *tenant);

/* Is it there?  Throws 42710 when it is somebody else's. */
extern bool wh_matview_schema_exists(const WhTenant *tenant);

/*
 * Bring the slice's materialized view to the source's present content:
 * created when missing, with indexes, grants and ANALYZE.  A relation of that
 * name that is not ours is 42710, a forced method that does not fit 55000.
 * Caller: owner, pair's object lock held.
 */
extern void wh_matview_load(const WhTemplate *tmpl, const WhTenant *tenant,
							const WhPeriod *period, const WhLoadRules *rules,
							WhMatviewResult *result);

/* The CREATE MATERIALIZED VIEW statement, for _wh.wh_plan(). */
extern char *wh_matview_sql(const WhTemplate *tmpl, const WhTenant *tenant,
							const WhPeriod *period);

extern int64 wh_relation_bytes(Oid relid);	/* heap, toast and indexes */

#endif							/* WH_MATVIEW_H */
