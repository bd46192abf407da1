/*
 * lock.c
 *		Locks that are tried, never queued for.
 *
 * PostgreSQL's lock queue is fair: an AccessExclusiveLock that waits behind
 * one long reader stops every reader after it.  So such a lock is tried,
 * given up, and tried again with back-off.  Who may lock what, and in which
 * order, is the caller's (src/README.md has the order).
 */
#include "postgres.h"

#include "access/twophase.h"
#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "guc.h"
#include "lock.h"

#define LONGEST_PAUSE 200		/* ms */
#define LONGEST_QUEUE 300		/* ms that somebody may wait behind us */

/* The state of one attempt to get a lock. */
typedef struct Patience
{
	instr_time	begun;
	long		pause;			/* before the next try, ms */
	const char *what;
	const char *holders;		/* condition on pg_locks that finds them */
} Patience;

static LOCKTAG key_tag(const char *ledger, const char *key);
static bool try_tag(const LOCKTAG *tag);
static char *holders_of(Oid relid);
static void begin(Patience *patience, const char *what,
				  const char *holders);
static double elapsed_ms(const Patience *patience);
static bool try_all(List *relids);
static bool is_waited_for(Oid relid);
static bool pause_again(Patience *patience);
static void pause_or_give_up(Patience *patience);
static void give_up(const Patience *patience) pg_attribute_noreturn();

/*
 * Try once for the object lock of a key; see lock.h.
 */
bool
wh_lock_key_try(const char *ledger, const char *key)
{
	LOCKTAG		tag = key_tag(ledger, key);

	return try_tag(&tag);
}

bool
wh_lock_key_within(const char *ledger, const char *key, int ms)
{
	LOCKTAG		tag = key_tag(ledger, key);
	Patience	patience;

	begin(&patience, NULL, NULL);
	while (!try_tag(&tag))
	{
		if (elapsed_ms(&patience) >= ms || !pause_again(&patience))
			return false;
	}

	return true;
}

void
wh_lock_key_release(const char *ledger, const char *key)
{
	LOCKTAG		tag = key_tag(ledger, key);

	(void) LockRelease(&tag, ExclusiveLock, false);
}

/*
 * Take the object lock of a key by trying; see lock.h.
 */
double
wh_lock_key(const char *ledger, const char *key, const char *what)
{
	LOCKTAG		tag = key_tag(ledger, key);
	Patience	patience;

	begin(&patience, what,
		  psprintf("classid = '_wh.%s'::regclass", ledger));
	while (!try_tag(&tag))
		pause_or_give_up(&patience);

	return elapsed_ms(&patience);
}

/*
 * Take AccessExclusiveLock by trying; see lock.h.
 */
double
wh_lock_relation(Oid relid, const char *what)
{
	return wh_lock_relation_in(relid, AccessExclusiveLock, what);
}

double
wh_lock_relation_in(Oid relid, LOCKMODE mode, const char *what)
{
	Patience	patience;

	begin(&patience, what, holders_of(relid));
	while (!ConditionalLockRelationOid(relid, mode))
		pause_or_give_up(&patience);

	return elapsed_ms(&patience);
}

bool
wh_lock_relation_try(Oid relid)
{
	return ConditionalLockRelationOid(relid, AccessExclusiveLock);
}

/*
 * Take AccessExclusiveLock on several relations at once; see lock.h.
 */
bool
wh_lock_relations(List *relids, double *ms)
{
	Patience	patience;
	bool		locked;

	begin(&patience, NULL, NULL);
	while (!(locked = try_all(relids)))
	{
		if (elapsed_ms(&patience) > LONGEST_QUEUE &&
			is_waited_for(linitial_oid(relids)))
			break;
		if (!pause_again(&patience))
			break;
	}
	*ms = elapsed_ms(&patience);

	return locked;
}

/*
 * Queue for AccessExclusiveLock; see lock.h.  Trying would not do: it never
 * passes those who wait for the lock that we have, and who would wait on.
 */
double
wh_lock_unread(List *relids)
{
	Patience	patience;
	ListCell   *lc;

	begin(&patience, NULL, NULL);
	foreach(lc, relids)
		LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);

	return elapsed_ms(&patience);
}

/*
 * Take what can be had of several relations; see lock.h.
 */
List *
wh_lock_at_once(List *relids)
{
	Patience	patience;
	List	   *missed = NIL;
	ListCell   *lc;

	begin(&patience, NULL, NULL);
	while (!try_all(relids))
	{
		if (pause_again(&patience))
			continue;
		foreach(lc, relids)
		{
			if (!ConditionalLockRelationOid(lfirst_oid(lc), AccessExclusiveLock))
				missed = lappend_oid(missed, lfirst_oid(lc));
		}
		break;
	}

	return missed;
}

/*
 * Say that a relation could not be locked; see lock.h.
 */
void
wh_lock_missed(Oid relid, const char *what)
{
	Patience	patience;

	begin(&patience, what, holders_of(relid));
	give_up(&patience);
}

/*
 * Bound the waits of what DDL locks by itself; see lock.h.
 */
int
wh_lock_bound(void)
{
	int			nestlevel = NewGUCNestLevel();
	char		timeout[32];

	/* Zero would mean no limit. */
	snprintf(timeout, sizeof(timeout), "%d", Max(wh_lock_deadline, 1));
	(void) set_config_option("lock_timeout", timeout,
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);

	return nestlevel;
}

/*
 * Put lock_timeout back.
 */
void
wh_lock_unbound(int nestlevel)
{
	AtEOXact_GUC(false, nestlevel);
}

/*
 * Make the tag of a key: the class is the ledger table's own OID, which no
 * catalog has, the object 48 bits of a hash.  Keys that collide only wait for
 * each other.
 */
static LOCKTAG
key_tag(const char *ledger, const char *key)
{
	Oid			classid = get_relname_relid(ledger,
											get_namespace_oid("_wh", false));
	uint64		hash = hash_bytes_extended((const unsigned char *) key,
										   (int) strlen(key), 0);
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, classid,
					   (uint32) hash, (uint16) (hash >> 32));

	return tag;
}

/*
 * Try once.  What the holder before us did to the catalogs must be seen by
 * whoever reads them under the lock.
 */
static bool
try_tag(const LOCKTAG *tag)
{
	if (LockAcquire(tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	AcceptInvalidationMessages();

	return true;
}

/*
 * Write the condition on pg_locks that finds who holds a relation.
 */
static char *
holders_of(Oid relid)
{
	char	   *name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
												  get_rel_name(relid));

	return psprintf("relation = %s::regclass", quote_literal_cstr(name));
}

static void
begin(Patience *patience, const char *what, const char *holders)
{
	INSTR_TIME_SET_CURRENT(patience->begun);
	patience->pause = wh_lock_retry;
	patience->what = what;
	patience->holders = holders;
}

static double
elapsed_ms(const Patience *patience)
{
	instr_time	elapsed;

	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, patience->begun);

	return INSTR_TIME_GET_MILLISEC(elapsed);
}

/*
 * Try once for all, holding none while others are missing.
 */
static bool
try_all(List *relids)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, relids)
	{
		if (!ConditionalLockRelationOid(lfirst_oid(lc), AccessExclusiveLock))
			break;
		n++;
	}
	if (n == list_length(relids))
		return true;

	while (n-- > 0)
		UnlockRelationOid(list_nth_oid(relids, n), AccessExclusiveLock);

	return false;
}

/*
 * Does somebody want a lock that our ExclusiveLock denies?  No reader does,
 * but readers queue behind such a one, and we would never get past it.
 */
static bool
is_waited_for(Oid relid)
{
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);

	return LockHasWaiters(&tag, ExclusiveLock, false);
}

/*
 * Sleep before the next try, interruptible; false when the deadline has
 * passed.
 */
static bool
pause_again(Patience *patience)
{
	static uint32 wait_event = 0;
	double		left = wh_lock_deadline - elapsed_ms(patience);

	if (left <= 0)
		return false;

	if (wait_event == 0)
		wait_event = wh_wait_event("WarehouseLock");
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 Max((long) Min((double) patience->pause, left), 1),
					 wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();

	patience->pause = Min(patience->pause * 2, LONGEST_PAUSE);

	return true;
}

/*
 * The same, but throw when the deadline has passed.
 */
static void
pause_or_give_up(Patience *patience)
{
	if (!pause_again(patience))
		give_up(patience);
}

static void
give_up(const Patience *patience)
{
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("could not lock %s", patience->what),
			 errdetail("Other sessions have held it for %d ms (pg_warehouse.lock_deadline).",
					   wh_lock_deadline),
			 errhint("Nothing was changed; run it again. Who holds it: SELECT pid, mode FROM pg_locks WHERE granted AND %s;",
					 patience->holders)));
}
