/*
 * refill.c
 *		Give a relation new contents in new files, while others read the old.
 *
 * This is a transactional TRUNCATE and REINDEX whose strong lock comes last.
 * Until then ExclusiveLock keeps other writers and VACUUM away and lets
 * readers through: for them the catalogs still name the old files.  OID,
 * grants, comments, dependents and statistics stay, since the relation stays.
 *
 * Whatever would make the commit slow happens before AccessExclusiveLock:
 * indexes, statistics, and flushing the WAL, or under wal_level=minimal the
 * files themselves.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/multixact.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/visibilitymap.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "commands/matview.h"
#include "commands/tablecmds.h"
#include "commands/vacuum.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/predicate.h"
#include "storage/smgr.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "flat.h"
#include "lock.h"
#include "refill.h"

static void await_grants(Relation rel);
static void renew(WhRefill *refill);
static void renew_toast(WhRefill *refill, Oid toastid);
static void build(WhRefill *refill, Relation rel, Relation index);
static void set_statistics(Relation rel, int64 rows);
static void leave(WhRefill *refill);

/*
 * Begin; see refill.h.
 */
void
wh_refill_begin(WhRefill *refill, Relation rel)
{
	refill->rel = rel;
	refill->context = CurrentMemoryContext;
	refill->owner = CurrentResourceOwner;
	refill->locks = list_make1_oid(RelationGetRelid(rel));
	refill->unread = !rel->rd_rel->relispopulated;
	await_grants(rel);

	BeginInternalSubTransaction(NULL);
	refill->open = true;
	MemoryContextSwitchTo(refill->context);

	LockRelation(rel, ExclusiveLock);
	CheckTableNotInUse(rel, "refill");
	renew(refill);
	refill->fill = wh_fill_begin(rel, WH_FILL_NEW);
}

/*
 * Finish, or say that readers did not let us; see refill.h.
 */
bool
wh_refill_finish(WhRefill *refill, int64 *rows, double *lock_ms)
{
	Relation	rel = refill->rel;
	ListCell   *lc;

	*rows = wh_fill_end(refill->fill);
	CommandCounterIncrement();
	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), RowExclusiveLock);

		build(refill, rel, index);
		wh_make_durable(index);
		index_close(index, NoLock);
	}
	if (refill->unread)
		SetMatViewPopulatedState(rel, true);
	set_statistics(rel, *rows);
	wh_make_durable(rel);
	XLogFlush(XactLastRecEnd);

	if (refill->unread)
		*lock_ms = wh_lock_unread(refill->locks);
	else if (!wh_lock_relations(refill->locks, lock_ms))
		return false;

	ReleaseCurrentSubTransaction();
	leave(refill);

	return true;
}

/*
 * Go back, keeping the rows; see refill.h.
 */
void
wh_refill_undo(WhRefill *refill, Tuplestorestate *spool)
{
	Relation	rel = refill->rel;
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan_strat(rel, snapshot, 0, NULL,
											   true, false);
	MemoryContext row = AllocSetContextCreate(refill->context,
											  "pg_warehouse undo",
											  ALLOCSET_DEFAULT_SIZES);

	MemoryContextSwitchTo(row);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		tuplestore_puttuple(spool,
							wh_flat_row(ExecFetchSlotHeapTuple(slot, false, NULL),
										RelationGetDescr(rel)));
		MemoryContextReset(row);
	}
	MemoryContextSwitchTo(refill->context);
	MemoryContextDelete(row);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);

	wh_refill_cancel(refill);

	/* Only opening it shows an open relation its old files again. */
	relation_close(relation_open(RelationGetRelid(rel), NoLock), NoLock);
}

/*
 * Go back; see refill.h.
 */
void
wh_refill_cancel(WhRefill *refill)
{
	if (!refill->open)
		return;

	RollbackAndReleaseCurrentSubTransaction();
	leave(refill);
}

/*
 * Wait for those who have changed the relation's row of pg_class under no lock
 * that we would have waited for, as GRANT does: to update it from under them
 * would be an error.  Bounded by lock_timeout.
 */
static void
await_grants(Relation rel)
{
	Relation	catalog = table_open(RelationRelationId, AccessShareLock);
	TransactionId busy;

	do
	{
		SnapshotData dirty;
		ScanKeyData key;
		SysScanDesc scan;
		ItemPointerData tid;
		HeapTuple	tuple;

		InitDirtySnapshot(dirty);
		ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(RelationGetRelid(rel)));
		busy = InvalidTransactionId;
		scan = systable_beginscan(catalog, ClassOidIndexId, true, &dirty, 1, &key);
		while (!TransactionIdIsValid(busy) &&
			   HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			busy = TransactionIdIsValid(dirty.xmin) ? dirty.xmin : dirty.xmax;
			tid = tuple->t_self;
		}
		systable_endscan(scan);
		if (TransactionIdIsValid(busy))
			XactLockTableWait(busy, catalog, &tid, XLTW_Update);
	} while (TransactionIdIsValid(busy));

	table_close(catalog, AccessShareLock);
	AcceptInvalidationMessages();
}

/*
 * Give the relation and its toast table new, empty files.
 */
static void
renew(WhRefill *refill)
{
	Oid			toastid = refill->rel->rd_rel->reltoastrelid;

	CheckTableForSerializableConflictIn(refill->rel);
	wh_new_storage(refill->rel);
	pgstat_count_truncate(refill->rel);
	if (OidIsValid(toastid))
		renew_toast(refill, toastid);
}

/*
 * The same for the toast table, whose index must work while it is filled.
 */
static void
renew_toast(WhRefill *refill, Oid toastid)
{
	Relation	toast = table_open(toastid, ExclusiveLock);
	ListCell   *lc;

	wh_new_storage(toast);
	pgstat_count_truncate(toast);
	refill->locks = lappend_oid(refill->locks, toastid);
	foreach(lc, RelationGetIndexList(toast))
	{
		Relation	index = index_open(lfirst_oid(lc), RowExclusiveLock);

		build(refill, toast, index);
		index_close(index, NoLock);
	}
	table_close(toast, NoLock);
}

/*
 * Build an index anew.  "Concurrent" has a parallel build lock the relations
 * as we do: otherwise its workers would shut readers out.
 */
static void
build(WhRefill *refill, Relation rel, Relation index)
{
	IndexInfo  *info;

	TransferPredicateLocksToHeapRelation(index);
	wh_new_storage(index);
	info = BuildIndexInfo(index);
	info->ii_Concurrent = true;
	index_build(rel, index, info, true, true);
	refill->locks = lappend_oid(refill->locks, RelationGetRelid(index));
	CommandCounterIncrement();
}

/*
 * Tell the planner the size; what the columns hold is autoanalyze's to see.
 */
static void
set_statistics(Relation rel, int64 rows)
{
	BlockNumber visible;

	visibilitymap_count(rel, &visible, NULL);
	vac_update_relstats(rel, RelationGetNumberOfBlocks(rel), (double) rows,
						visible, rel->rd_rel->relhasindex,
						InvalidTransactionId, InvalidMultiXactId,
						NULL, NULL, false);
}

/*
 * Write the files out where no WAL has their contents; else commit would, and
 * readers would wait for it.
 */
void
wh_make_durable(Relation rel)
{
	if (RelationNeedsWAL(rel))
		return;

	FlushRelationBuffers(rel);
	smgrimmedsync(RelationGetSmgr(rel), MAIN_FORKNUM);
}

/*
 * Stand where the caller of wh_refill_begin() stood.
 */
static void
leave(WhRefill *refill)
{
	refill->open = false;
	refill->fill = NULL;
	MemoryContextSwitchTo(refill->context);
	CurrentResourceOwner = refill->owner;
}
