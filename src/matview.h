/*
 * matview.h
 *		Create, index, own, grant, fill and refresh ONE materialized view.
 */
#ifndef WH_MATVIEW_H
#define WH_MATVIEW_H

#include "kept.h"
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

/*
 * Let the relation "fresh" of the same schema take name and place of one of
 * ours, which is dropped; the public view follows.  Indexes, and then what is
 * returned (wh_kept_restore), come afterwards.  Throws 2BP01 for what people
 * built on the old one, 55P03 when readers do not make room.  Not for a daily
 * template.
 */
extern WhKept *wh_matview_swap(const WhTemplate *tmpl, const WhTenant *tenant,
							   Oid relid, const char *fresh, double *lock_ms);

/* The CREATE MATERIALIZED VIEW statement, for _wh.wh_plan(). */
extern char *wh_matview_sql(const WhTemplate *tmpl, const WhTenant *tenant,
							const WhPeriod *period);

extern int64 wh_relation_bytes(Oid relid);	/* heap, toast and indexes */

#endif							/* WH_MATVIEW_H */
