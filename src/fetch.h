/*
 * fetch.h
 *		Stream one slice from a tenant: binary COPY, decoded row by row.
 */
#ifndef WH_FETCH_H
#define WH_FETCH_H

#include "describe.h"
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
 * Called per row; values live in a per-batch context, copy what you keep.
 */
typedef void (*WhRowSink) (void *arg, Datum *values, bool *isnull);

/*
 * Connect, describe and compare, then stream the period's rows to "sink".
 * The caller has become the owner.  Everything lives in a context of its own
 * below CurrentMemoryContext; throws as conn.h and describe.h say, 23514 for a
 * row outside the period, 22021 for bad encoding, 54000 over a cap.
 */
extern void wh_fetch(const WhTemplate *tmpl, const WhTenant *tenant,
					 const WhPeriod *period, WhRowSink sink, void *arg,
					 WhFetched *fetched);

/*
 * What a fetch of part of the rows asks besides.  "bound" is called before the
 * reading transaction begins, and returns the condition on q that rows must
 * meet, or NULL; "check" within it, before the columns are compared.
 */
typedef struct WhFetchPart
{
	char	   *(*bound) (void *arg, WhConn *conn);
	void		(*check) (void *arg, WhConn *conn, const char *query,
						  const WhRemoteColumns *remote);
	void	   *arg;
} WhFetchPart;

/*
 * The same as wh_fetch() for those rows only, of the whole, always under a
 * snapshot of its own.
 */
extern void wh_fetch_part(const WhTemplate *tmpl, const WhTenant *tenant,
						  const WhFetchPart *part, WhRowSink sink, void *arg,
						  WhFetched *fetched);

/*
 * The SELECT that a tenant is sent for the period, rendered and wrapped with
 * casts, for _wh.wh_plan(); nothing is connected.  "condition" as WhFetchPart
 * has it.
 */
extern char *wh_fetch_sql(const WhTemplate *tmpl, const WhTenant *tenant,
						  const WhPeriod *period, const char *condition);

/*
 * Name what is fetched, for the DETAIL of errors: Tenant "x", template "y",
 * day 2001-01-01.
 */
extern char *wh_fetch_subject(const WhTemplate *tmpl, const WhTenant *tenant,
							  const WhPeriod *period);

#endif							/* WH_FETCH_H */
