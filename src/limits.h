/*
 * limits.h
 *		What a tenant's options allow: budgets, hours, and the load of its
 *		server; pure.
 */
#ifndef WH_LIMITS_H
#define WH_LIMITS_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* Minutes of the tenant's day; one that begins later than it ends is at night. */
typedef struct WhHours
{
	int			from;
	int			to;				/* exclusive */
} WhHours;

/* Zero and NIL: no limit. */
typedef struct WhLimits
{
	int64		bytes_per_day;
	int64		seconds_per_day;
	List	   *windows;		/* of WhHours * */
	int64		min_free_slots;
	int64		max_lag;		/* microseconds */
	int64		max_xmin_age;	/* transactions */
} WhLimits;

/*
 * Read the options; false for what none can be, with the reason and what to
 * give instead.
 */
extern bool wh_limits_read(Jsonb *options, WhLimits *limits,
						   const char **problem, const char **advice);

/* Read options that are stored, and so were checked. */
extern void wh_limits(Jsonb *options, WhLimits *limits);

/*
 * Does the minute of the tenant's day lie in one of the windows?  No window is
 * all day.
 */
extern bool wh_limits_open(const WhLimits *limits, int minute);

/* The windows as people write them: 22:00-06:00, 12:00-13:00. */
extern char *wh_limits_windows(const WhLimits *limits);

#endif							/* WH_LIMITS_H */
