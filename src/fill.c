/*
 * fill.c
 *		Write rows into a relation's storage in batches.
 *
 * New storage is filled past everything that serves other sessions: no free
 * space map, no index, rows frozen and pages all-visible from the start.  That
 * is right only as long as nobody else can see the storage, and while its end
 * is the end of the (sub)transaction that made it: frozen rows of one that is
 * rolled back alone would stay visible.  This file demands both.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "compat.h"
#include "fill.h"

/* More slots in a batch gain nothing and cost memory. */
#define BATCH_ROWS 1000
#define BATCH_BYTES (64 * 1024)
#define BATCH_KEPT (128 * 1024)

struct WhFill
{
	Relation	rel;
	TupleDesc	desc;			/* a copy: a thousand slots share it */
	int			options;
	BulkInsertState bulk;
	CommandId	command;
	int64		rows;

	/* Set for WH_FILL_LIVE where there are indexes. */
	ResultRelInfo *indexes;
	EState	   *estate;

	MemoryContext batch;
	Size		batch_bytes;
	int			batch_rows;
	TupleTableSlot *slots[BATCH_ROWS];	/* made as they are needed */
};

static void check_new(Relation rel);
static void open_indexes(WhFill *fill);
static void flush(WhFill *fill);

/*
 * Begin to write; see fill.h.
 */
WhFill *
wh_fill_begin(Relation rel, WhFillKind kind)
{
	WhFill	   *fill = (WhFill *) palloc0(sizeof(WhFill));

	if (kind == WH_FILL_NEW)
		check_new(rel);

	fill->rel = rel;
	fill->desc = CreateTupleDescCopy(RelationGetDescr(rel));
	fill->options = kind == WH_FILL_NEW ?
		TABLE_INSERT_SKIP_FSM | TABLE_INSERT_FROZEN : 0;
	fill->bulk = GetBulkInsertState();
	fill->command = GetCurrentCommandId(true);
	fill->batch = AllocSetContextCreate(CurrentMemoryContext,
										"pg_warehouse fill", 0, BATCH_KEPT,
										ALLOCSET_DEFAULT_MAXSIZE);
	if (kind == WH_FILL_LIVE && rel->rd_rel->relhasindex)
		open_indexes(fill);

	return fill;
}

/*
 * Add one row; see fill.h.
 */
void
wh_fill_row(WhFill *fill, const Datum *values, const bool *isnull)
{
	MemoryContext context = MemoryContextSwitchTo(fill->batch);
	HeapTuple	tuple = heap_form_tuple(fill->desc,
										unconstify(Datum *, values),
										unconstify(bool *, isnull));
	TupleTableSlot **slot = &fill->slots[fill->batch_rows];

	MemoryContextSwitchTo(context);

	if (*slot == NULL)
	{
		context = MemoryContextSwitchTo(GetMemoryChunkContext(fill));
		*slot = MakeSingleTupleTableSlot(fill->desc, &TTSOpsHeapTuple);
		MemoryContextSwitchTo(context);
	}
	ExecStoreHeapTuple(tuple, *slot, false);

	fill->batch_rows++;
	fill->batch_bytes += tuple->t_len;
	if (fill->batch_rows == BATCH_ROWS || fill->batch_bytes >= BATCH_BYTES)
		flush(fill);
}

/*
 * Add all rows of a store; see fill.h.
 */
void
wh_fill_spool(WhFill *fill, Tuplestorestate *spool)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(fill->desc,
													&TTSOpsMinimalTuple);

	while (tuplestore_gettupleslot(spool, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		wh_fill_row(fill, slot->tts_values, slot->tts_isnull);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(spool);
}

/*
 * Finish; see fill.h.
 */
int64
wh_fill_end(WhFill *fill)
{
	if (fill->batch_rows > 0)
		flush(fill);
	table_finish_bulk_insert(fill->rel, fill->options);
	FreeBulkInsertState(fill->bulk);
	if (fill->indexes != NULL)
	{
		ExecCloseIndices(fill->indexes);
		FreeExecutorState(fill->estate);
	}
	for (int i = 0; i < BATCH_ROWS && fill->slots[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(fill->slots[i]);
	MemoryContextDelete(fill->batch);

	return fill->rows;
}

static void
check_new(Relation rel)
{
	SubTransactionId current = GetCurrentSubTransactionId();

	if (rel->rd_createSubid != current && wh_storage_subid(rel) != current)
		elog(ERROR, "storage of \"%s\" was not made in this subtransaction",
			 RelationGetRelationName(rel));
}

static void
open_indexes(WhFill *fill)
{
	fill->estate = CreateExecutorState();
	fill->indexes = makeNode(ResultRelInfo);
	InitResultRelInfo(fill->indexes, fill->rel, 1, NULL, 0);
	ExecOpenIndices(fill->indexes, false);
}

/*
 * Write the batch.
 */
static void
flush(WhFill *fill)
{
	MemoryContext context = MemoryContextSwitchTo(fill->batch);

	CHECK_FOR_INTERRUPTS();

	/* No page without rows: new storage has no map to find it again. */
	wh_extend_as_needed(fill->bulk);
	table_multi_insert(fill->rel, fill->slots, fill->batch_rows, fill->command,
					   fill->options, fill->bulk);
	for (int i = 0; i < fill->batch_rows; i++)
	{
		if (fill->indexes != NULL)
		{
			(void) wh_insert_index_tuples(fill->indexes, fill->slots[i],
										  fill->estate);
			ResetPerTupleExprContext(fill->estate);
		}
		ExecClearTuple(fill->slots[i]);
	}
	MemoryContextSwitchTo(context);

	MemoryContextReset(fill->batch);
	fill->rows += fill->batch_rows;
	fill->batch_rows = 0;
	fill->batch_bytes = 0;
}
