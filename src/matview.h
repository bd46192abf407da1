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
	char	   *content_hash;	/* of what is stored; NULL unless proved */
	char	   *query_hash;		/* of a derived relation's query; else NULL */
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
 * ours, which is dropped; views follow.  Indexes, and then what is returned
 * (wh_kept_restore), come afterwards.  Throws 2BP01 for what people built on
 * the old one, 55P03 when readers do not make room.
 */
extern WhKept *wh_matview_swap(const WhTemplate *tmpl, const WhTenant *tenant,
							   Oid relid, const char *fresh, double *lock_ms);

/*
 * Throw 2BP01 listing what people built on a relation that wh_matview_swap()
 * is to replace; "what" as in: view "a.b".
 */
extern void wh_matview_check_dependents(const WhTemplate *tmpl, const WhTenant *tenant,
										Oid relid, const char *what);

/* What wh_matview_load() would do, as far as the catalogs tell. */
typedef struct WhMatviewPlan
{
	WhMethod	method;			/* WH_CHOOSE: it would fail */
	bool		may_go_over;	/* the delta to a refill */
	char	   *sql;			/* run as it stands; NULL: rows go straight
								 * into what is there */
	char	   *relation;		/* qualified and quoted */
	const char *locks;			/* what it takes of the relation */
	const char *reason;			/* for the method, or for the failure */
} WhMatviewPlan;

extern void wh_matview_plan(const WhTemplate *tmpl, const WhTenant *tenant,
							const WhPeriod *period, const WhLoadRules *rules,
							WhMatviewPlan *plan);

extern int64 wh_relation_bytes(Oid relid);	/* heap, toast and indexes */

/* Drop a slice's relation; 2BP01 when people built on it. */
extern void wh_relation_drop(Oid relid);

#endif							/* WH_MATVIEW_H */
