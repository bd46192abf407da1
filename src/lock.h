/*
 * lock.h
 *		Locks that are tried, never queued for: a writer that waits in a lock
 *		queue stops every reader who comes after it.
 */
#ifndef WH_LOCK_H
#define WH_LOCK_H

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

/*
 * Take the object lock of "key" in a ledger table of _wh until the end of the
 * transaction; false at once when another session has it.  No SQL statement
 * can take it.
 */
extern bool wh_lock_key_try(const char *ledger, const char *key);

/*
 * The same, tried for so many milliseconds; and letting go of one earlier.
 */
extern bool wh_lock_key_within(const char *ledger, const char *key, int ms);
extern void wh_lock_key_release(const char *ledger, const char *key);

/*
 * The same, and AccessExclusiveLock on a relation, tried again and again until
 * lock_deadline: then 55P03 naming "what" (view "a.b").  Returns the
 * milliseconds it took.
 */
extern double wh_lock_key(const char *ledger, const char *key, const char *what);
extern double wh_lock_relation(Oid relid, const char *what);

/* The same for a weaker lock on a relation. */
extern double wh_lock_relation_in(Oid relid, LOCKMODE mode, const char *what);

/* Try once for AccessExclusiveLock; false when somebody else has the relation in use. */
extern bool wh_lock_relation_try(Oid relid);

/*
 * The same for several relations at once, by OID, of which the first is under
 * ExclusiveLock already; false when lock_deadline has passed, or others queue
 * for that one.  "ms" says how long it took either way.
 */
extern bool wh_lock_relations(List *relids, double *ms);

/*
 * Queue for AccessExclusiveLock on relations that hold nothing to be read, so
 * that nobody's reading waits behind us; bounded by wh_lock_bound().  Returns
 * the milliseconds it took.
 */
extern double wh_lock_unread(List *relids);

/*
 * The same for several relations, holding none while any is missing; but when
 * lock_deadline has passed, those that are free at that moment are taken and
 * the others returned.  The second one says of such a relation what
 * wh_lock_relation() would have: 55P03.
 */
extern List *wh_lock_at_once(List *relids);
extern void wh_lock_missed(Oid relid, const char *what) pg_attribute_noreturn();

/*
 * Bound the locks that DDL takes by itself: lock_timeout is lock_deadline
 * until wh_lock_unbound() is given the level returned, or an error.
 */
extern int	wh_lock_bound(void);
extern void wh_lock_unbound(int nestlevel);

#endif							/* WH_LOCK_H */
