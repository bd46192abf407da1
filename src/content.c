/*
 * content.c
 *		What a relation holds, as one number: an additive hash of its rows,
 *		whatever their order.
 *
 * A row's hash is made of its values under the names of their columns: the
 * order of columns, a column that is null everywhere, padding, compression and
 * toast do not show in it.  Values count by their stored bytes, detoasted, as
 * they do for the delta method.  Sums of rows stay comparable across
 * relations, so a month equals the days that it was made of.  It guards
 * against loss and accident, not against somebody who makes rows to collide.
 *
 * The text form carries a version: whoever changes what is hashed raises it,
 * so that an old number reads as unknown and never as different.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "content.h"

#define VERSION "h1:"
#define HEX_DIGITS 16

/* So that a row of nulls counts for something, too. */
#define ROW_SALT UINT64CONST(0x9e3779b97f4a7c15)

struct WhHasher
{
	TupleDesc	desc;
	uint64	   *seeds;			/* one per column, of its name */
	MemoryContext values;		/* of one row's detoasted values */
};

static uint64 mix(uint64 x);
static uint64 hash_value(WhHasher *hasher, Form_pg_attribute att,
						 Datum value, uint64 seed);
static uint64 hash_varlena(WhHasher *hasher, Datum value, uint64 seed);

/*
 * Prepare to hash rows of that description, which must outlive it.
 */
WhHasher *
wh_hasher(TupleDesc desc)
{
	WhHasher   *hasher = (WhHasher *) palloc(sizeof(WhHasher));

	hasher->desc = desc;
	hasher->seeds = (uint64 *) palloc(sizeof(uint64) * Max(desc->natts, 1));
	hasher->values = AllocSetContextCreate(CurrentMemoryContext,
										   "pg_warehouse content",
										   ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < desc->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(desc, i)->attname);

		hasher->seeds[i] = hash_bytes_extended((const unsigned char *) name,
											   (int) strlen(name), 0);
	}

	return hasher;
}

/*
 * Count and hash one row.
 */
void
wh_content_row(WhHasher *hasher, const Datum *values, const bool *isnull,
			   WhContent *content)
{
	uint64		sum = ROW_SALT;

	for (int i = 0; i < hasher->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(hasher->desc, i);

		if (isnull[i] || att->attisdropped)
			continue;
		sum += hash_value(hasher, att, values[i], hasher->seeds[i]);
	}

	/* Bind the values of a row to each other: they are summed once more. */
	content->hash += mix(sum);
	content->rows++;
}

/*
 * Read the stored rows of a relation; see content.h.
 */
WhContent
wh_content_of(Relation rel, const WhRange *range)
{
	WhContent	content = {0};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "pg_warehouse content scan",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	WhHasher   *hasher = wh_hasher(RelationGetDescr(rel));
	WhRangeScan *scan;
	TupleTableSlot *slot;

	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	scan = wh_range_scan_begin(rel, GetActiveSnapshot(), range);
	while ((slot = wh_range_scan_next(scan)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		wh_content_row(hasher, slot->tts_values, slot->tts_isnull, &content);
	}
	wh_range_scan_end(scan);
	PopActiveSnapshot();

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);

	return content;
}

char *
wh_content_hash(Relation rel, const WhRange *range, int64 *rows)
{
	WhContent	content = wh_content_of(rel, range);

	if (rows != NULL)
		*rows = content.rows;

	return wh_content_text(content.hash);
}

char *
wh_content_text(uint64 hash)
{
	return psprintf(VERSION "%016llx", (unsigned long long) hash);
}

/*
 * Read what wh_content_text() wrote; false for anything else.
 */
bool
wh_content_parse(const char *text, uint64 *hash)
{
	const char *digits = text + strlen(VERSION);

	if (strncmp(text, VERSION, strlen(VERSION)) != 0 ||
		strlen(digits) != HEX_DIGITS ||
		strspn(digits, "0123456789abcdef") != HEX_DIGITS)
		return false;
	*hash = strtoull(digits, NULL, 16);

	return true;
}

/*
 * Spread a number's bits over all 64: a bijection, so nothing is lost.
 */
static uint64
mix(uint64 x)
{
	x ^= x >> 30;
	x *= UINT64CONST(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64CONST(0x94d049bb133111eb);
	x ^= x >> 31;

	return x;
}

static uint64
hash_value(WhHasher *hasher, Form_pg_attribute att, Datum value, uint64 seed)
{
	if (att->attbyval)
		return mix(seed ^ (uint64) value);
	if (att->attlen == -1)
		return hash_varlena(hasher, value, seed);

	return hash_bytes_extended((const unsigned char *) DatumGetPointer(value),
							   att->attlen > 0 ? att->attlen :
							   (int) strlen(DatumGetCString(value)), seed);
}

static uint64
hash_varlena(WhHasher *hasher, Datum value, uint64 seed)
{
	struct varlena *bytes = (struct varlena *) DatumGetPointer(value);
	bool		packed = VARATT_IS_EXTERNAL(bytes) || VARATT_IS_COMPRESSED(bytes);
	uint64		hash;

	if (packed)
	{
		MemoryContext context = MemoryContextSwitchTo(hasher->values);

		bytes = detoast_attr(bytes);
		MemoryContextSwitchTo(context);
	}
	hash = hash_bytes_extended((const unsigned char *) VARDATA_ANY(bytes),
							   (int) VARSIZE_ANY_EXHDR(bytes), seed);
	if (packed)
		MemoryContextReset(hasher->values);

	return hash;
}
