/*
 * local.h
 *		The query of a derived template: written out for one tenant and period,
 *		and run here.
 */
#ifndef WH_LOCAL_H
#define WH_LOCAL_H

#include "fetch.h"

/*
 * The query with placeholders filled in, as people wrote it: unqualified names
 * mean the tenant's relations, then pg_catalog's.
 */
extern char *wh_local_text(const WhTemplate *tmpl, const WhTenant *tenant,
						   const WhPeriod *period);

/* What tells it from any other text. */
extern char *wh_local_hash(const WhTemplate *tmpl, const WhTenant *tenant,
						   const WhPeriod *period);

/*
 * The body of the materialized view that keeps it: every name resolved and
 * qualified, columns as the template declares them, and no row outside the
 * period even when somebody else runs it.  Throws what PostgreSQL says of the
 * query, 42P01 for an input that is not there, 42804 for drift.
 */
extern char *wh_local_body(const WhTemplate *tmpl, const WhTenant *tenant,
						   const WhPeriod *period);

/* What columns it returns; no row is read. */
extern TupleDesc wh_local_columns(const WhTemplate *tmpl, const WhTenant *tenant,
								  const WhPeriod *period);

/*
 * Run it and hand its rows to "sink", checked as those of a fetch; "prove":
 * count and hash them under the same snapshot.  "as_of" is how far the inputs
 * had been read.
 */
extern void wh_local_rows(const WhTemplate *tmpl, const WhTenant *tenant,
						  const WhPeriod *period, bool prove,
						  const WhRowSink *sink, WhFetched *fetched);

/* Count and hash what it would return, and say how far the inputs are read. */
extern void wh_local_tally(const WhTemplate *tmpl, const WhTenant *tenant,
						   const WhPeriod *period, WhTally *tally,
						   TimestampTz *as_of);

#endif							/* WH_LOCAL_H */
