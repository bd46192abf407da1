/*
 * refill.h
 *		Give a relation new contents in new files, while others read the old.
 */
#ifndef WH_REFILL_H
#define WH_REFILL_H

#include "fill.h"
#include "nodes/pg_list.h"
#include "utils/resowner.h"

/*
 * A refill at work; zeroed by its owner, who on an error calls
 * wh_refill_cancel() in any state.
 */
typedef struct WhRefill
{
	Relation	rel;
	WhFill	   *fill;			/* where the rows go */
	List	   *locks;			/* relations to lock at the end, by OID */
	bool		open;			/* in its own subtransaction */
	bool		unread;			/* nobody could read what was stored */
	MemoryContext context;
	ResourceOwner owner;		/* of the subtransaction around it */
} WhRefill;

/*
 * Begin a subtransaction and make new, empty storage in it, under
 * ExclusiveLock.  The caller has seen that the relation is ours, has it open
 * once and scans it nowhere.
 */
extern void wh_refill_begin(WhRefill *refill, Relation rel);

/*
 * Build the indexes, make all of it durable, and take AccessExclusiveLock by
 * trying until lock_deadline; but by queueing, or 55P03, where the relation was
 * not populated.  True ends the subtransaction: the relation has
 * the new rows, and a commit should follow at once.  False leaves it open for
 * wh_refill_undo().
 */
extern bool wh_refill_finish(WhRefill *refill, int64 *rows, double *lock_ms);

/* Go back to the old contents, with the new ones in "spool". */
extern void wh_refill_undo(WhRefill *refill, Tuplestorestate *spool);

/* Go back to the old contents after an error, which is no longer pending. */
extern void wh_refill_cancel(WhRefill *refill);

/*
 * Write a relation's files out now where no WAL has their contents, rather
 * than at the commit.
 */
extern void wh_make_durable(Relation rel);

#endif							/* WH_REFILL_H */
