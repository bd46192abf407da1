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
 * With "consistent" they run here, too, since one connection keeps the snapshot
 * that the others read under.
 *
 * 54000 or 55000 when the units do not fit into one transaction and would run
 * in one (wh_check_one_transaction).
 */
extern List *wh_run_units(const List *units, const WhRunOptions *options,
						  WhOnResult on_result, void *arg);

#endif							/* WH_DISPATCH_H */
