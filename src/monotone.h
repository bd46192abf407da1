/*
 * monotone.h
 *		Expressions that never step back as a time column goes forward.
 */
#ifndef WH_MONOTONE_H
#define WH_MONOTONE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"

/*
 * How far an expression of a time may step back.  For times x and y at least
 * "radius" days apart, x < y, its value at x is not above that at y.  Where the
 * clocks of all zones are left alone for that long, nearer ones are in order
 * too, if it is "steady" then.
 */
typedef struct WhMonotone
{
	int			radius;
	int			steps;			/* functions: each moves a time by a day or so */
	bool		steady;
	List	   *zones;			/* of pg_tz * */
} WhMonotone;

/*
 * Is the expression, of one variable (column "attr"), known not to step back
 * by more than some days?  "needed" is what is done with its value: values so
 * many days apart must be in order and as far apart.
 */
extern bool wh_is_monotone(const Node *expr, AttrNumber attr, int needed,
						   WhMonotone *monotone);

/* The radius at a time: 0 where it is steady. */
extern int	wh_monotone_radius(const WhMonotone *monotone, TimestampTz at);

/* Does local time in the session's zone step back at times? */
extern bool wh_session_zone_varies(void);

#endif							/* WH_MONOTONE_H */
