/*
 * slice.h
 *		_wh.slices: the coverage ledger, one row per template, tenant and
 *		period.  Says what exists; names are never parsed.
 */
#ifndef WH_SLICE_H
#define WH_SLICE_H

#include "nodes/pg_list.h"
#include "period.h"

typedef struct WhSlice
{
	char	   *template_name;
	char	   *tenant_name;
	WhPeriod	period;
	char	   *relation_schema;
	char	   *relation_name;
	char	   *state;			/* empty, loaded, rolled_up */
	int64		row_count;
	int64		size_bytes;
	TimestampTz as_of;			/* the source's clock; DT_NOBEGIN: unknown */
	TimestampTz last_refresh;	/* DT_NOBEGIN: never */
	char	   *method;
	int64		run_id;			/* 0: none */
	int			template_version;
	char	   *content_hash;	/* NULL: not known */
	TransactionId written_by;	/* what wrote the row; not for wh_slice_put() */
} WhSlice;

/* Find the slice of exactly this period; NULL when there is none. */
extern WhSlice *wh_slice_find(const char *template_name, const char *tenant,
							  const WhPeriod *period);

/* Find the day, month or year slice whose range holds that day; NULL. */
extern WhSlice *wh_slice_covering(const char *template_name, const char *tenant,
								  DateADT day);

/*
 * List slices in order of tenant and period; NULL means all.  Reads as the
 * current user, who has become the owner.
 */
extern List *wh_slices(const char *template_name, const char *tenant);

/*
 * Insert or replace the row of slice->period, as the installer.  Its writer is
 * younger than whatever wrote the rows of the relation before, so that
 * wh_check() can tell who came later.
 */
extern void wh_slice_put(const WhSlice *slice);

/*
 * Note that what is stored was found to be what the source had: row_count and
 * content_hash, at as_of.  Nothing is noted when the row is no longer the one
 * that was read (last_refresh).
 */
extern void wh_slice_confirm(const WhSlice *slice);

/* Delete rows as the installer; returns how many.  NULL means all. */
extern int64 wh_slices_forget(const char *template_name, const char *tenant);

/* The relation behind the slice, or InvalidOid when it is gone. */
extern Oid	wh_slice_relid(const WhSlice *slice);

/* Is the relation there, and can it be read (relispopulated)? */
extern bool wh_slice_is_populated(const WhSlice *slice);

/*
 * Take the object lock of (template, tenant) until the end of the
 * transaction; false at once when another session has it.  SQL users cannot
 * take it.
 */
extern bool wh_slice_try_lock(const char *template_name, const char *tenant);

#endif							/* WH_SLICE_H */
