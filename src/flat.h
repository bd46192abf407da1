/*
 * flat.h
 *		Rows as bytes that can be compared, hashed and kept: flat tuples.
 */
#ifndef WH_FLAT_H
#define WH_FLAT_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "utils/resowner.h"
#include "utils/tuplestore.h"

/*
 * The tuple with every value in line and uncompressed: itself, or a copy in
 * CurrentMemoryContext.  Flat tuples of one relation hold the same values
 * when, and as good as only when, their bytes are the same.
 */
extern HeapTuple wh_flat_row(HeapTuple tuple, TupleDesc desc);

extern bool wh_flat_equal(HeapTuple a, HeapTuple b);
extern uint64 wh_flat_hash(HeapTuple tuple, uint64 seed);

/*
 * Make a store for rows, on disk but for its first part, that outlives
 * subtransactions inside the one that "owner" belongs to.
 */
extern Tuplestorestate *wh_flat_spool(ResourceOwner owner);

#endif							/* WH_FLAT_H */
