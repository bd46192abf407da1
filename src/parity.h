/*
 * parity.h
 *		How many rows a relation of ours has, and how many the source has.
 */
#ifndef WH_PARITY_H
#define WH_PARITY_H

#include "nodes/pg_list.h"
#include "slice.h"

/* How many rows there are, and how many of each geometry column are null. */
typedef struct WhCounts
{
	int64		rows;
	int64		later;			/* of them: after the watermark */
	int64	   *nulls;
} WhCounts;

typedef struct WhParity
{
	const WhSlice *slice;		/* what is counted */
	List	   *geometries;		/* of char *, columns of PostGIS's types */
	WhCounts	source;
	WhCounts	stored;
} WhParity;

/*
 * Find the slice of a pair to count: the one there is, or the last day that was
 * loaded after it had closed, else the last day; NULL for none.  What has been
 * rolled up was proved then.
 */
extern const WhSlice *wh_parity_slice(const WhTemplate *tmpl, const WhTenant *tenant);

/*
 * Count parity->slice at both ends; throws as a fetch does.  Lives in
 * CurrentMemoryContext.  Caller: owner.
 */
extern void wh_parity_count(WhParity *parity, const WhTemplate *tmpl,
							const WhTenant *tenant);

#endif							/* WH_PARITY_H */
