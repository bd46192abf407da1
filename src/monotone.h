/*
 * monotone.h
 *		Expressions that never step back as a time column goes forward.
 */
#ifndef WH_MONOTONE_H
#define WH_MONOTONE_H

#include "nodes/primnodes.h"

/*
 * Return within how many days of its argument the expression, of one variable
 * (column "attr"), may step back: 0 never, and -1 when nothing is known of it.
 * So for times x and y at least that many days apart, x < y, its value at x is
 * not above that at y.  "needed" is what a function around it asks of its
 * argument: values at least so many days apart stay in order; 0 at the top.
 */
extern int	wh_monotone_radius(const Node *expr, AttrNumber attr, int needed);

/* Does local time in the session's zone step back at times? */
extern bool wh_session_zone_varies(void);

#endif							/* WH_MONOTONE_H */
