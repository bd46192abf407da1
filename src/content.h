/*
 * content.h
 *		What a relation holds, as one number: an additive hash of its rows,
 *		whatever their order.
 */
#ifndef WH_CONTENT_H
#define WH_CONTENT_H

#include "access/tupdesc.h"
#include "range.h"
#include "utils/rel.h"

/*
 * Rows counted and hashed.  Two of them add up: what a year holds is the sum
 * of what its days hold.
 */
typedef struct WhContent
{
	int64		rows;
	uint64		hash;
} WhContent;

/* How the rows of one description are hashed; lives in CurrentMemoryContext. */
typedef struct WhHasher WhHasher;

extern WhHasher *wh_hasher(TupleDesc desc);

/* Count and hash one row, whose values may be toasted. */
extern void wh_content_row(WhHasher *hasher, const Datum *values,
						   const bool *isnull, WhContent *content);

/*
 * Read the stored rows of a relation in one pass, all of them or those of a
 * range (NULL: all), with a snapshot taken now.  The caller holds a lock that
 * lets him read, and keeps writers away if the answer is to last.
 */
extern WhContent wh_content_of(Relation rel, const WhRange *range);

/*
 * The same as the text that _wh.slices.content_hash holds ("h1:" and 16 hex
 * digits); "rows", unless NULL, is told how many there are.
 */
extern char *wh_content_hash(Relation rel, const WhRange *range, int64 *rows);

/* Write and read that text; false when it is not of this version. */
extern char *wh_content_text(uint64 hash);
extern bool wh_content_parse(const char *text, uint64 *hash);

#endif							/* WH_CONTENT_H */
