/*
 * slice.h
 *		_wh.slices: the coverage ledger, one row per template, tenant and
 *		period.  Says what exists; names are never parsed.
 */
#ifndef WH_SLICE_H
#define WH_SLICE_H

#include "nodes/pg_list.h"
#include "period.h"
#include "template.h"

typedef struct WhSlice
{
	char	   *template_name;
	char	   *tenant_name;
	WhPeriod	period;
	char	   *relation_schema;
	char	   *relation_name;
	char	   *state;			/* empty, loaded, rolled_up */
	int64		row_count;		/* to be put: less than 0 is not known */
	int64		size_bytes;
	TimestampTz as_of;			/* the source's clock; DT_NOBEGIN: unknown */
	TimestampTz last_refresh;	/* DT_NOBEGIN: never */
	char	   *method;
	int64		run_id;			/* 0: none */
	int			template_version;
	char	   *content_hash;	/* see content.h; NULL: not known */
	char	   *query_hash;		/* of the query that is its body; NULL: asks
								 * _wh.fetch() */
	List	   *missing;		/* of DateADT: days of a month or year that it
								 * does not hold, or not as they closed */
	char	   *bounds_of;		/* wh_slice_bounds_of(); NULL: rows can lie
								 * anywhere */
	WhSpan		bounds;			/* only with bounds_of */
	TransactionId written_by;	/* what wrote the row; not for wh_slice_put() */
} WhSlice;

/* Find the slice of exactly this period; NULL when there is none. */
extern WhSlice *wh_slice_find(const char *template_name, const char *tenant,
							  const WhPeriod *period);

/* Find the day, month or year slice whose range holds that day; NULL. */
extern WhSlice *wh_slice_covering(const char *template_name, const char *tenant,
								  DateADT day);

/* List the slices of a pair that lie within a period, in order. */
extern List *wh_slices_within(const char *template_name, const char *tenant,
							  const WhPeriod *period);

/*
 * List slices in order of tenant and period; NULL means all.  Reads as the
 * current user, who has become the owner.
 */
extern List *wh_slices(const char *template_name, const char *tenant);

/*
 * Count the populated relations that these slices stand for, and the indexes
 * they carry; NULL means all.
 */
extern void wh_slices_extent(const char *template_name, const char *tenant,
							 int64 *relations, int64 *indexes);

/* A tenant that has slices of a template, and the schema they are in. */
typedef struct WhSliceTenant
{
	char	   *name;
	char	   *schema;
} WhSliceTenant;

/* List these, in order of name, without reading every slice. */
extern List *wh_slice_tenants(const char *template_name);

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

/* Delete the rows of a pair within a period; no relation is touched. */
extern void wh_slices_forget_within(const char *template_name, const char *tenant,
									const WhPeriod *period);

/*
 * Name a time column and its type, as bounds hold for no other: a template's
 * column can change while slices stay.
 */
extern char *wh_slice_bounds_of(const char *column, Oid typid);

/*
 * Say where the rows of a slice that is being loaded lie: in its period, as it
 * is in that time zone, where the template has a time column.
 */
extern void wh_slice_bind(WhSlice *slice, const WhTemplate *tmpl,
						  const char *time_zone);

/*
 * Return the instants that a slice's rows lie between: as it was loaded, where
 * the ledger says so of the template's present time column, else as its period
 * is in that time zone.
 */
extern WhSpan wh_slice_span(const WhSlice *slice, const WhTemplate *tmpl,
							const char *time_zone);

/*
 * Widen the bounds in the ledger before rows of that period come into the
 * relation past it, as by a plain REFRESH: the template's time column or the
 * tenant's time zone may not be what they were.
 */
extern void wh_slice_admit(const WhTemplate *tmpl, const char *tenant,
						   const WhPeriod *period, const char *time_zone);

/* Delete rows as the installer; returns how many.  NULL means all. */
extern int64 wh_slices_forget(const char *template_name, const char *tenant);

/* The relation behind the slice, or InvalidOid when it is gone. */
extern Oid	wh_slice_relid(const WhSlice *slice);

/* Is the relation there, and can it be read (relispopulated)? */
extern bool wh_slice_is_populated(const WhSlice *slice);

/* The first day that the slice holds. */
extern DateADT wh_slice_first_day(const WhSlice *slice);

/*
 * Take the object lock of (template, tenant) until the end of the
 * transaction; false at once when another session has it.  SQL users cannot
 * take it.
 */
extern bool wh_slice_try_lock(const char *template_name, const char *tenant);

#endif							/* WH_SLICE_H */
