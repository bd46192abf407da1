/*
 * load.h
 *		The ways that rows take from a tenant into one relation, and the choice
 *		among them.
 */
#ifndef WH_LOAD_H
#define WH_LOAD_H

#include "delta.h"
#include "fetch.h"

typedef enum WhMethod
{
	WH_CHOOSE,
	WH_FIRST_FILL,
	WH_DELTA,
	WH_REFILL,
	WH_UPSERT,
	WH_LIVE
} WhMethod;

/* What a caller allows. */
typedef struct WhLoadRules
{
	WhMethod	method;			/* forced, or WH_CHOOSE */
	bool		may_refill;		/* a commit follows at once, so readers may be
								 * locked out until then */
	bool		prove;			/* what is stored must be what the source has */
	bool		accept_shrink;	/* a closed day may lose its rows */
	const WhRange *range;		/* the part of the relation that the rows
								 * belong to; NULL: all of it */
	bool		drop_gone;		/* incremental: rows of the days asked for
								 * that the source has no more go, too */
	bool		settle;			/* no deferred constraint but the unit's own
								 * is waiting */
	const char *session_path;	/* see wh_owner_session_path() */
	struct WhArchive *archive;	/* keeps what is read; NULL: nothing does */
	struct WhExtract *extract;	/* is read in place of the source, or NULL */
} WhLoadRules;

typedef struct WhLoaded
{
	WhMethod	method;
	const char *reason;			/* for it, a constant */
	WhFetched	fetched;
	WhDeltaCounts counts;
	double		lock_ms;
} WhLoaded;

/* The words of the API; WH_CHOOSE for one that is unknown. */
extern WhMethod wh_method_parse(const char *word);
extern const char *wh_method_name(WhMethod method);

/*
 * Fill a relation that this very subtransaction created, and mark it
 * populated.  Indexes are the caller's, afterwards.
 */
extern void wh_load_new(Relation rel, const WhTemplate *tmpl,
						const WhTenant *tenant, const WhPeriod *period,
						const WhLoadRules *rules, WhLoaded *loaded);

/*
 * Bring a relation of ours, opened once and under RowExclusiveLock, to the
 * source's present rows; "stored" is how many it has.  Throws 55P03 where one
 * that is not populated cannot be locked.
 */
extern void wh_load_again(Relation rel, const WhTemplate *tmpl,
						  const WhTenant *tenant, const WhPeriod *period,
						  const WhLoadRules *rules, int64 stored,
						  WhLoaded *loaded);

/*
 * Stream rows to a sink from where the rules say, in any of these ways, or from
 * the query of a derived template; what is archived comes by there.  Between the two others, of which the first returns
 * the level that the second is given.
 */
extern int	wh_load_rows_begin(const WhLoadRules *rules);
extern void wh_load_rows(const WhTemplate *tmpl, const WhTenant *tenant,
						 const WhPeriod *period, const WhLoadRules *rules,
						 WhRowSink *sink, WhFetched *fetched);
extern void wh_load_rows_end(int level);

/* Have the archive see the rows that come by a sink. */
extern void wh_load_tee(const WhLoadRules *rules, WhRowSink *sink);

/*
 * Throw 23000 when a closed period that has "stored" rows came back empty, or
 * with much fewer, and the rules do not accept that.  Called after the last
 * row has arrived and before anything is replaced.
 */
extern void wh_load_check_shrink(const WhTemplate *tmpl, const WhTenant *tenant,
								 const WhPeriod *period,
								 const WhLoadRules *rules, int64 stored,
								 const WhFetched *fetched);

/*
 * The same for a period that had "known" rows when it was loaded last, which
 * are not here any more: before the ledger forgets them.
 */
extern void wh_load_check_lost(const WhTemplate *tmpl, const WhTenant *tenant,
							   const WhPeriod *period,
							   const WhLoadRules *rules, int64 known,
							   const WhFetched *fetched);

/*
 * Throw 22000 unless the relation, or the range of it (NULL: all), has the rows
 * that the source had in the reading snapshot.
 */
extern void wh_load_prove(Relation rel, const WhRange *range,
						  const WhTemplate *tmpl, const WhTenant *tenant,
						  const WhPeriod *period, const WhFetched *fetched);

#endif							/* WH_LOAD_H */
