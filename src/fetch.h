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
#include "tally.h"
#include "tenant.h"

/* What a fetch saw. */
typedef struct WhFetched
{
	int64		rows;
	int64		bytes;
	double		fetch_ms;
	TimestampTz as_of;			/* source clock in the reading snapshot */
	List	   *drift;			/* what was adapted to, a char * per column */
	WhTally		source;			/* of the reading snapshot, where asked for */
	char	   *inputs;			/* derived: which runs of its inputs were seen
								 * (wh_inputlog_seen()); else NULL */
} WhFetched;

/*
 * Where rows go.  "row" is called for each; values live in a per-batch
 * context, copy what you keep.  A sink that compares with stored rows may say
 * which one it would meet next (deformed; NULL: none): a row that equals it is
 * not made, and "met" is called in place of "row".  "every" is shown each row
 * before either, and made or not.
 */
typedef struct WhRowSink
{
	void		(*row) (void *arg, Datum *values, bool *isnull);
	TupleTableSlot *(*stored) (void *arg);	/* or NULL, as is met */
	void		(*met) (void *arg);
	void	   *arg;
	void		(*every) (void *arg, const Datum *values, const bool *isnull);
	void	   *every_arg;		/* or NULL, as is every */
} WhRowSink;

/*
 * Connect, describe and compare, then stream the period's rows to "sink";
 * "prove": then count and hash them at the source, in the same snapshot.
 * The caller has become the owner.  Everything lives in a context of its own
 * below CurrentMemoryContext; throws as conn.h and describe.h say, 23514 for a
 * row outside the period, 22021 for bad encoding, 54000 over a cap.
 */
extern void wh_fetch(const WhTemplate *tmpl, const WhTenant *tenant,
					 const WhPeriod *period, bool prove,
					 const WhRowSink *sink, WhFetched *fetched);

/* The template's query, rendered for one tenant and period. */
extern char *wh_fetch_query(const WhTemplate *tmpl, const WhTenant *tenant,
							const WhPeriod *period);

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
						  const WhFetchPart *part, const WhRowSink *sink,
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
