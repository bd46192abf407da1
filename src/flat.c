/*
 * flat.c
 *		Rows as bytes that can be compared, hashed and kept.
 *
 * A row that arrives is plain; the same row in a relation may have been
 * compressed or moved to the toast table.  So both are brought to one form
 * first, and then bytes decide: two rows with the same bytes are the same row,
 * and one whose bytes differ is at worst written once more.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "common/hashfn.h"

#include "flat.h"

/* Memory that a spool may use before it goes to disk. */
#define SPOOL_KB 1024

/* What follows the fixed header: the null bitmap and the values. */
#define BODY offsetof(HeapTupleHeaderData, t_bits)

static bool is_packed(Datum value);

/*
 * Bring a tuple to the comparable form; see flat.h.
 */
HeapTuple
wh_flat_row(HeapTuple tuple, TupleDesc desc)
{
	Datum		values[MaxHeapAttributeNumber];
	bool		isnull[MaxHeapAttributeNumber];
	bool		packed = false;

	if (!HeapTupleHasVarWidth(tuple))
		return tuple;

	heap_deform_tuple(tuple, desc, values, isnull);
	for (int i = 0; i < desc->natts; i++)
	{
		if (isnull[i] || TupleDescAttr(desc, i)->attlen != -1 ||
			!is_packed(values[i]))
			continue;
		values[i] = PointerGetDatum(detoast_attr((struct varlena *) DatumGetPointer(values[i])));
		packed = true;
	}

	return packed ? heap_form_tuple(desc, values, isnull) : tuple;
}

bool
wh_flat_equal(HeapTuple a, HeapTuple b)
{
	return a->t_len == b->t_len &&
		a->t_data->t_hoff == b->t_data->t_hoff &&
		HeapTupleHasNulls(a) == HeapTupleHasNulls(b) &&
		memcmp((char *) a->t_data + BODY, (char *) b->t_data + BODY,
			   a->t_len - BODY) == 0;
}

uint64
wh_flat_hash(HeapTuple tuple, uint64 seed)
{
	return hash_bytes_extended((unsigned char *) tuple->t_data + BODY,
							   (int) (tuple->t_len - BODY), seed);
}

/*
 * Make a store for rows; see flat.h.
 */
Tuplestorestate *
wh_flat_spool(ResourceOwner owner)
{
	ResourceOwner current = CurrentResourceOwner;
	Tuplestorestate *spool;

	CurrentResourceOwner = owner;
	spool = tuplestore_begin_heap(false, false, SPOOL_KB);
	CurrentResourceOwner = current;

	return spool;
}

static bool
is_packed(Datum value)
{
	return VARATT_IS_EXTERNAL(DatumGetPointer(value)) ||
		VARATT_IS_COMPRESSED(DatumGetPointer(value));
}
