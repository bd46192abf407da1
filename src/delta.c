/*
 * delta.c
 *		Write only the difference between a relation and the rows that arrive.
 *
 * Both come in the order in which they lie, so they are walked in step: rows
 * that are equal where they meet are dropped, without a hash and without a
 * write.  Where they differ, each goes to the window, a table by content in
 * which either side finds its partner later, whatever the order and however
 * often a row occurs.  A row found there means that the other side is ahead,
 * so that side waits, and both are in step again.
 *
 * What is in the window at the end is the difference.  Deletes come first,
 * else a changed row would be its own duplicate.
 *
 * The snapshot is taken after the relation's lock, in any isolation level: the
 * statement's own may be older than another refresh, whose rows would then be
 * added twice.  Nobody else can write while we hold the pair's object lock and
 * RowExclusiveLock, since REFRESH, with and without CONCURRENTLY, conflicts.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "common/pg_prng.h"
#include "executor/tuptable.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "delta.h"
#include "fill.h"
#include "flat.h"
#include "guc.h"

/* A row without a partner. */
typedef struct Row
{
	dlist_node	in_order;		/* with those of its side, as they came */
	struct Row *next;			/* of the same side and hash */
	ItemPointerData tid;		/* of a stored row */
	HeapTuple	tuple;			/* of one that arrived; NULL: stored */
} Row;

/* How many stored rows of one key are without a partner. */
typedef struct KeyEntry
{
	uint64		hash;
	int64		stored;
} KeyEntry;

/* The rows of one hash. */
typedef struct Entry
{
	uint64		hash;
	Row		   *stored;
	Row		   *arrived;
} Entry;

struct WhDelta
{
	Relation	rel;
	TupleDesc	desc;
	Snapshot	snapshot;
	WhRangeScan *scan;
	TupleTableSlot *slot;		/* of the scan; NULL at its end */
	TupleTableSlot *probe;		/* of single rows */
	HeapTuple	stored;			/* the row to meet next; NULL: none left */
	HeapTuple	flat;			/* the same, flat; NULL: not made yet */
	uint64		flat_hash;
	int64		passed;			/* rows that the scan has left behind */

	MemoryContext scratch;		/* of one row that arrived */
	MemoryContext flats;		/* of delta->flat */

	MemoryContext memory;		/* of the window */
	HTAB	   *window;
	uint64		seed;
	dlist_head	stored_rows;
	dlist_head	arrived_rows;
	int64		unmatched;		/* in the window, of either side */
	int64		many;			/* too many of them */

	Tuplestorestate *waiting;	/* arrived, written at the end; or NULL */
	WhDeltaCounts counts;
};

static void open_window(WhDelta *delta);
static void advance(WhDelta *delta);
static void make_flat(WhDelta *delta);
static bool take_stored(WhDelta *delta, HeapTuple arrived, uint64 hash);
static bool take_arrived(WhDelta *delta);
static void keep(WhDelta *delta, uint64 hash, HeapTuple arrived);
static void forget(WhDelta *delta, Entry *entry, Row **link);
static bool is_at(WhDelta *delta, ItemPointer tid, HeapTuple arrived);
static void put_flat(WhDelta *delta, Tuplestorestate *spool);
static int64 count_updates(WhDelta *delta, const Bitmapset *key);
static uint64 key_hash(WhDelta *delta, HeapTuple tuple, const Bitmapset *key);
static void delete_stored(WhDelta *delta);
static void insert_arrived(WhDelta *delta);
static void end(WhDelta *delta);

/*
 * Begin; see delta.h.
 */
WhDelta *
wh_delta_begin(Relation rel, const WhRange *range, int64 many)
{
	WhDelta    *delta = (WhDelta *) palloc0(sizeof(WhDelta));

	delta->rel = rel;
	delta->desc = RelationGetDescr(rel);
	delta->many = many;
	delta->seed = pg_prng_uint64(&pg_global_prng_state);
	delta->scratch = AllocSetContextCreate(CurrentMemoryContext,
										   "pg_warehouse delta row",
										   ALLOCSET_DEFAULT_SIZES);
	delta->flats = AllocSetContextCreate(CurrentMemoryContext,
										 "pg_warehouse delta stored row",
										 ALLOCSET_DEFAULT_SIZES);
	delta->memory = AllocSetContextCreate(CurrentMemoryContext,
										  "pg_warehouse delta window",
										  ALLOCSET_DEFAULT_SIZES);
	open_window(delta);

	/* What this transaction wrote before is to be met, too. */
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	delta->snapshot = GetActiveSnapshot();
	delta->probe = table_slot_create(rel, NULL);
	delta->scan = wh_range_scan_begin(rel, delta->snapshot, range);
	advance(delta);

	return delta;
}

/*
 * Take one row that arrived; see delta.h.
 */
void
wh_delta_row(WhDelta *delta, Datum *values, bool *isnull)
{
	MemoryContext context = MemoryContextSwitchTo(delta->scratch);
	HeapTuple	arrived = heap_form_tuple(delta->desc, values, isnull);
	bool		hashed = false;
	uint64		hash = 0;

	for (;;)
	{
		if (delta->stored != NULL && wh_flat_equal(delta->stored, arrived))
		{
			delta->counts.unchanged++;
			advance(delta);
			break;
		}

		if (!hashed)
			hash = wh_flat_hash(arrived, delta->seed);
		hashed = true;
		if (delta->stored != NULL)
		{
			make_flat(delta);
			if (delta->flat_hash == hash && wh_flat_equal(delta->flat, arrived))
			{
				delta->counts.unchanged++;
				advance(delta);
				break;
			}
		}

		/* The stored rows are ahead: let the next one arrive. */
		if (take_stored(delta, arrived, hash))
			break;

		/* Those that arrive are ahead: meet the next stored one. */
		if (delta->stored != NULL && take_arrived(delta))
			continue;

		keep(delta, hash, arrived);
		if (delta->stored != NULL)
		{
			keep(delta, delta->flat_hash, NULL);
			advance(delta);
		}
		break;
	}

	MemoryContextSwitchTo(context);
	MemoryContextReset(delta->scratch);
}

/*
 * Show the stored row that is met next; see delta.h.
 */
TupleTableSlot *
wh_delta_next(WhDelta *delta)
{
	if (delta->stored == NULL)
		return NULL;
	slot_getallattrs(delta->slot);

	return delta->slot;
}

void
wh_delta_met(WhDelta *delta)
{
	delta->counts.unchanged++;
	advance(delta);
}

/*
 * Go through the stored rows that are left; see delta.h.
 */
bool
wh_delta_rest(WhDelta *delta)
{
	while (delta->stored != NULL)
	{
		if (wh_delta_size(delta) != WH_DELTA_FITS)
			return false;

		CHECK_FOR_INTERRUPTS();
		make_flat(delta);
		if (!take_arrived(delta))
		{
			keep(delta, delta->flat_hash, NULL);
			advance(delta);
		}
	}

	return true;
}

WhDeltaSize
wh_delta_size(const WhDelta *delta)
{
	if (delta->unmatched == 0)
		return WH_DELTA_FITS;
	if (MemoryContextMemAllocated(delta->memory, true) > (Size) wh_delta_memory * 1024)
		return WH_DELTA_MEMORY;

	return delta->unmatched > delta->many ? WH_DELTA_MANY_ROWS : WH_DELTA_FITS;
}

/*
 * Empty the window; see delta.h.
 */
void
wh_delta_make_room(WhDelta *delta)
{
	dlist_iter	iter;

	if (delta->waiting == NULL)
		delta->waiting = wh_flat_spool(CurrentResourceOwner);

	delete_stored(delta);
	dlist_foreach(iter, &delta->arrived_rows)
		tuplestore_puttuple(delta->waiting,
							dlist_container(Row, in_order, iter.cur)->tuple);

	MemoryContextReset(delta->memory);
	open_window(delta);
}

/*
 * Apply the difference and end; see delta.h.
 */
void
wh_delta_apply(WhDelta *delta, const Bitmapset *key, WhDeltaCounts *counts)
{
	int64		updated = count_updates(delta, key);

	delete_stored(delta);
	if (delta->waiting != NULL || !dlist_is_empty(&delta->arrived_rows))
		insert_arrived(delta);
	*counts = delta->counts;
	counts->updated = updated;
	counts->inserted -= updated;
	counts->deleted -= updated;
	end(delta);
}

/*
 * End without applying; see delta.h.  The stored rows without a partner are
 * in the order of the scan, which a second scan repeats.
 */
void
wh_delta_give_up(WhDelta *delta, Tuplestorestate *spool)
{
	dlist_node *node = dlist_is_empty(&delta->stored_rows) ? NULL :
	dlist_head_node(&delta->stored_rows);
	dlist_iter	iter;

	wh_range_scan_again(delta->scan);
	for (int64 i = 0; i < delta->passed; i++)
	{
		CHECK_FOR_INTERRUPTS();
		delta->slot = wh_range_scan_next(delta->scan);
		if (delta->slot == NULL)
			elog(ERROR, "stored rows ended before their second scan");
		if (node != NULL &&
			ItemPointerEquals(&delta->slot->tts_tid,
							  &dlist_container(Row, in_order, node)->tid))
		{
			node = dlist_has_next(&delta->stored_rows, node) ?
				dlist_next_node(&delta->stored_rows, node) : NULL;
			continue;
		}
		put_flat(delta, spool);
	}
	dlist_foreach(iter, &delta->arrived_rows)
		tuplestore_puttuple(spool,
							dlist_container(Row, in_order, iter.cur)->tuple);

	end(delta);
}

static void
open_window(WhDelta *delta)
{
	HASHCTL		control = {0};

	control.keysize = sizeof(uint64);
	control.entrysize = sizeof(Entry);
	control.hcxt = delta->memory;
	delta->window = hash_create("pg_warehouse delta", 256, &control,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	dlist_init(&delta->stored_rows);
	dlist_init(&delta->arrived_rows);
	delta->unmatched = 0;
}

/*
 * Leave the stored row behind and meet the next one.
 */
static void
advance(WhDelta *delta)
{
	if (delta->stored != NULL)
		delta->passed++;
	if (delta->flat != NULL)
		MemoryContextReset(delta->flats);

	delta->flat = NULL;
	delta->slot = wh_range_scan_next(delta->scan);
	delta->stored = delta->slot == NULL ? NULL :
		ExecFetchSlotHeapTuple(delta->slot, false, NULL);
}

/*
 * Make what the stored row is compared and found by.
 */
static void
make_flat(WhDelta *delta)
{
	MemoryContext context;

	if (delta->flat != NULL)
		return;

	context = MemoryContextSwitchTo(delta->flats);
	delta->flat = wh_flat_row(delta->stored, delta->desc);
	delta->flat_hash = wh_flat_hash(delta->flat, delta->seed);
	MemoryContextSwitchTo(context);
}

/*
 * Match a row that arrived with a stored one in the window.
 */
static bool
take_stored(WhDelta *delta, HeapTuple arrived, uint64 hash)
{
	Entry	   *entry = (Entry *) hash_search(delta->window, &hash,
											  HASH_FIND, NULL);

	if (entry == NULL)
		return false;

	for (Row **link = &entry->stored; *link != NULL; link = &(*link)->next)
	{
		if (!is_at(delta, &(*link)->tid, arrived))
			continue;
		forget(delta, entry, link);
		delta->counts.unchanged++;
		return true;
	}

	return false;
}

/*
 * Match the stored row with one in the window that arrived before.
 */
static bool
take_arrived(WhDelta *delta)
{
	Entry	   *entry = (Entry *) hash_search(delta->window, &delta->flat_hash,
											  HASH_FIND, NULL);

	if (entry == NULL)
		return false;

	for (Row **link = &entry->arrived; *link != NULL; link = &(*link)->next)
	{
		if (!wh_flat_equal((*link)->tuple, delta->flat))
			continue;
		forget(delta, entry, link);
		delta->counts.unchanged++;
		advance(delta);
		return true;
	}

	return false;
}

/*
 * Put a row into the window: the one that arrived, or, for NULL, the stored
 * one.
 */
static void
keep(WhDelta *delta, uint64 hash, HeapTuple arrived)
{
	MemoryContext context = MemoryContextSwitchTo(delta->memory);
	Row		   *row = (Row *) palloc0(sizeof(Row));
	bool		found;
	Entry	   *entry = (Entry *) hash_search(delta->window, &hash,
											  HASH_ENTER, &found);
	Row		  **side;

	if (!found)
		entry->stored = entry->arrived = NULL;
	if (arrived != NULL)
	{
		row->tuple = heap_copytuple(arrived);
		dlist_push_tail(&delta->arrived_rows, &row->in_order);
		side = &entry->arrived;
	}
	else
	{
		row->tid = delta->slot->tts_tid;
		dlist_push_tail(&delta->stored_rows, &row->in_order);
		side = &entry->stored;
	}
	row->next = *side;
	*side = row;
	delta->unmatched++;
	MemoryContextSwitchTo(context);
}

/*
 * Take a row, which has found its partner, out of the window.
 */
static void
forget(WhDelta *delta, Entry *entry, Row **link)
{
	Row		   *row = *link;

	*link = row->next;
	dlist_delete(&row->in_order);
	if (row->tuple != NULL)
		heap_freetuple(row->tuple);
	pfree(row);
	delta->unmatched--;

	if (entry->stored == NULL && entry->arrived == NULL)
		(void) hash_search(delta->window, &entry->hash, HASH_REMOVE, NULL);
}

/*
 * Is the stored row at that place the one that arrived?  The hash alone would
 * let a tenant make rows that hide a change.
 */
static bool
is_at(WhDelta *delta, ItemPointer tid, HeapTuple arrived)
{
	bool		equal;

	if (!table_tuple_fetch_row_version(delta->rel, tid, delta->snapshot,
									   delta->probe))
		elog(ERROR, "stored row vanished under its lock");
	equal = wh_flat_equal(wh_flat_row(ExecFetchSlotHeapTuple(delta->probe, false, NULL),
									  delta->desc), arrived);
	ExecClearTuple(delta->probe);

	return equal;
}

static void
put_flat(WhDelta *delta, Tuplestorestate *spool)
{
	MemoryContext context = MemoryContextSwitchTo(delta->scratch);

	tuplestore_puttuple(spool,
						wh_flat_row(ExecFetchSlotHeapTuple(delta->slot, false, NULL),
									delta->desc));
	MemoryContextSwitchTo(context);
	MemoryContextReset(delta->scratch);
}

/*
 * Count the rows of the window that are there on both sides under one key.
 * It is a count, so the hash decides.
 */
static int64
count_updates(WhDelta *delta, const Bitmapset *key)
{
	HASHCTL		control = {0};
	HTAB	   *keys;
	int64		updated = 0;
	dlist_iter	iter;

	if (key == NULL || dlist_is_empty(&delta->stored_rows) ||
		dlist_is_empty(&delta->arrived_rows))
		return 0;

	control.keysize = sizeof(uint64);
	control.entrysize = sizeof(KeyEntry);
	control.hcxt = delta->memory;
	keys = hash_create("pg_warehouse delta keys", 256, &control,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	dlist_foreach(iter, &delta->stored_rows)
	{
		uint64		hash;
		bool		found;
		KeyEntry   *entry;

		CHECK_FOR_INTERRUPTS();
		if (!table_tuple_fetch_row_version(delta->rel,
										   &dlist_container(Row, in_order, iter.cur)->tid,
										   delta->snapshot, delta->probe))
			elog(ERROR, "stored row vanished under its lock");
		hash = key_hash(delta, ExecFetchSlotHeapTuple(delta->probe, false, NULL), key);
		entry = (KeyEntry *) hash_search(keys, &hash, HASH_ENTER, &found);
		entry->stored = found ? entry->stored + 1 : 1;
	}
	ExecClearTuple(delta->probe);

	dlist_foreach(iter, &delta->arrived_rows)
	{
		uint64		hash = key_hash(delta, dlist_container(Row, in_order, iter.cur)->tuple,
									key);
		KeyEntry   *entry = (KeyEntry *) hash_search(keys, &hash, HASH_FIND, NULL);

		CHECK_FOR_INTERRUPTS();
		if (entry == NULL || entry->stored == 0)
			continue;
		entry->stored--;
		updated++;
	}
	hash_destroy(keys);

	return updated;
}

/*
 * Hash a row's key: the row without its other columns.
 */
static uint64
key_hash(WhDelta *delta, HeapTuple tuple, const Bitmapset *key)
{
	MemoryContext context = MemoryContextSwitchTo(delta->scratch);
	Datum	   *values = (Datum *) palloc(sizeof(Datum) * delta->desc->natts);
	bool	   *isnull = (bool *) palloc(sizeof(bool) * delta->desc->natts);
	uint64		hash;

	heap_deform_tuple(tuple, delta->desc, values, isnull);
	for (int i = 0; i < delta->desc->natts; i++)
		isnull[i] |= !bms_is_member(i + 1, key);
	hash = wh_flat_hash(wh_flat_row(heap_form_tuple(delta->desc, values, isnull),
									delta->desc), delta->seed);
	MemoryContextSwitchTo(context);
	MemoryContextReset(delta->scratch);

	return hash;
}

static void
delete_stored(WhDelta *delta)
{
	dlist_iter	iter;

	dlist_foreach(iter, &delta->stored_rows)
	{
		CHECK_FOR_INTERRUPTS();
		simple_table_tuple_delete(delta->rel,
								  &dlist_container(Row, in_order, iter.cur)->tid,
								  delta->snapshot);
		delta->counts.deleted++;
	}
}

static void
insert_arrived(WhDelta *delta)
{
	WhFill	   *fill = wh_fill_begin(delta->rel, WH_FILL_LIVE);
	Datum	   *values = (Datum *) palloc(sizeof(Datum) * delta->desc->natts);
	bool	   *isnull = (bool *) palloc(sizeof(bool) * delta->desc->natts);
	dlist_iter	iter;

	if (delta->waiting != NULL)
		wh_fill_spool(fill, delta->waiting);
	dlist_foreach(iter, &delta->arrived_rows)
	{
		heap_deform_tuple(dlist_container(Row, in_order, iter.cur)->tuple,
						  delta->desc, values, isnull);
		wh_fill_row(fill, values, isnull);
	}
	delta->counts.inserted = wh_fill_end(fill);
}

static void
end(WhDelta *delta)
{
	wh_range_scan_end(delta->scan);
	ExecDropSingleTupleTableSlot(delta->probe);
	PopActiveSnapshot();
	CommandCounterIncrement();
	MemoryContextDelete(delta->memory);
	MemoryContextDelete(delta->flats);
	MemoryContextDelete(delta->scratch);
}
