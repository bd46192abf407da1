/*
 * depend.h
 *		Which templates come before which: the inputs of derived ones.
 */
#ifndef WH_DEPEND_H
#define WH_DEPEND_H

#include "period.h"
#include "template.h"
#include "tenant.h"

/*
 * Put each template of a list after those that it depends on, however far
 * removed, and leave the order else; fills in their depth, which is 0 for one
 * that depends on none.
 */
extern List *wh_depend_order(List *templates);

/*
 * Check what a template that is about to be written depends on: 42704 for one
 * that does not exist, 22023 for a circle.
 */
extern void wh_depend_check(const WhTemplate *tmpl);

/* The templates that a template names as its inputs, as far as they exist. */
extern List *wh_depend_inputs(const WhTemplate *tmpl);	/* of WhTemplate * */

/* The names of these, of their inputs, and so on. */
extern List *wh_depend_chain(const WhTemplate *tmpl);	/* of char * */

/* The templates that name this one as an input. */
extern List *wh_depend_readers(const char *name);	/* of WhTemplate * */

/*
 * Say why a unit of a template cannot be made of what its inputs hold now, and
 * which of them it is: one failed and was not mended since, or was never
 * loaded.  NULL when nothing is in the way.
 */
extern char *wh_depend_hindrance(const WhTemplate *tmpl, const WhTenant *tenant,
								 const WhPeriod *period, const char **input);

/* The words for an input that failed. */
extern char *wh_depend_failed(const WhTemplate *tmpl, const WhTenant *tenant,
							  const char *input);

/*
 * Say up to when the inputs of a period have been read, by the clock of the
 * source that is furthest behind; not after "now".
 */
extern TimestampTz wh_depend_as_of(const WhTemplate *tmpl, const WhTenant *tenant,
								   const WhPeriod *period, TimestampTz now);

/* Have rows of an input changed since this slice was made? */
extern bool wh_depend_changed(const WhTemplate *tmpl, const WhTenant *tenant,
							  const WhPeriod *period, int64 run_id);

#endif							/* WH_DEPEND_H */
