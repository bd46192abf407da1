/*
 * fetch.h
 *		Stream one slice from a tenant: binary COPY, decoded row by row.
 */
#ifndef WH_FETCH_H
#define WH_FETCH_H

#include "executor/tuptable.h"
#include "template.h"
#include "period.h"
#include "tenant.h"

/* What a fetch saw. */
typedef struct WhFetched
{
	int64		rows;
	int64		bytes;
	double		fetch_ms;
	TimestampTz as_of;			/* source clock in the reading snapshot */
} WhFetched;

/*
 * Where rows go.  "row" is called for each; values live in a per-batch
 * context, copy what you keep.  A sink that compares with stored rows may say
 * which one it would meet next (deformed; NULL: none): a row that equals it is
 * not made, and "met" is called in place of "row".
 */
typedef struct WhRowSink
{
	void		(*row) (void *arg, Datum *values, bool *isnull);
	TupleTableSlot *(*stored) (void *arg);	/* or NULL, as is met */
	void		(*met) (void *arg);
	void	   *arg;
} WhRowSink;

/*
 * Connect, describe and compare, then stream the period's rows to "sink".
 * The caller has become the owner.  Everything lives in a context of its own
 * below CurrentMemoryContext; throws as conn.h and describe.h say, 23514 for a
 * row outside the period, 22021 for bad encoding, 54000 over a cap.
 */
extern void wh_fetch(const WhTemplate *tmpl, const WhTenant *tenant,
					 const WhPeriod *period, const WhRowSink *sink,
					 WhFetched *fetched);

/*
 * The SELECT that a tenant is sent for the period, rendered and wrapped with
 * casts, for _wh.wh_plan(); nothing is connected.
 */
extern char *wh_fetch_sql(const WhTemplate *tmpl, const WhTenant *tenant,
						  const WhPeriod *period);

#endif							/* WH_FETCH_H */
