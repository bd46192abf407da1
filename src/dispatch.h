/*
 * dispatch.h
 *		Run many units: side by side in background workers, or one after the
 *		other here.
 */
#ifndef WH_DISPATCH_H
#define WH_DISPATCH_H

#include "refresh.h"

/* How a caller wants its units run. */
typedef struct WhRunOptions
{
	int			parallel;		/* at most so many workers; 0: none */
	bool		stop_on_failure;	/* let no further unit start */
	bool		commits;		/* what runs here commits unit by unit */
	bool		consistent;		/* one snapshot for each tenant and day */
	bool		even_one;		/* a worker is wanted for a single unit, too */
	const char *session_path;	/* see wh_owner_session_path() */
} WhRunOptions;

/*
 * Called for each unit that was run, in the order of the list, as the owner or
 * not; the run's strings live in CurrentMemoryContext.
 */
typedef void (*WhOnResult) (void *arg, const WhUnit *unit, const WhRun *run);

/*
 * Run units and return the templates whose views may be out of date by now.
 *
 * Workers do it when there are several units and options and settings let
 * them (or a single one that needs a session of the owner's, which this is
 * not), unless the caller's transaction has written something or keeps one
 * snapshot: a worker would not see the same rows.  What a worker has done is
 * committed, whatever becomes of the caller's transaction.  Else, and where no
 * worker can be had, the units run here: in the caller's transaction, or, with
 * "commits", in transactions of their own (SPI is connected non-atomically
 * then, and nobody has switched roles).
 *
 * With "consistent" one worker has all units of a tenant, since one connection
 * of its own keeps the snapshot that the others read under; the list has the
 * units of a tenant and day next to each other (wh_units_by_tenant_day).
 *
 * 54000 or 55000 when the units do not fit into one transaction and would run
 * in one (wh_check_one_transaction).
 */
extern List *wh_run_units(const List *units, const WhRunOptions *options,
						  WhOnResult on_result, void *arg);

/*
 * Foretell whether wh_run_units(units, options) would let the unit be a refill.
 */
extern bool wh_may_refill(const WhUnit *unit, const List *units,
						  const WhRunOptions *options);

/*
 * Drop what roll-ups of a template and tenant have put out of use, a few
 * relations at a time, each step committed; as run_refresh() runs.
 */
extern void wh_tidy_committed(const char *template_name, const char *tenant);

#endif							/* WH_DISPATCH_H */
