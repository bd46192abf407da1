/*
 * due.h
 *		Which days are due without being asked for, and which never are.
 */
#ifndef WH_DUE_H
#define WH_DUE_H

#include "nodes/pg_list.h"
#include "template.h"
#include "tenant.h"

/*
 * List the closed days (of DateADT) that are to be compared with the source
 * once more, since late data comes.  A day is due at each age of recheck_days,
 * and for a week after that, for jobs that did not run.
 */
extern List *wh_due_rechecks(const WhTemplate *tmpl, const WhTenant *tenant,
							 DateADT today);

/*
 * List the days (of DateADT) of a derived template whose inputs have changed
 * since they were made, as by late data; newest first.
 */
extern List *wh_due_overtaken(const WhTemplate *tmpl, const WhTenant *tenant);

/*
 * List the days (of DateADT) that an older version of the template made,
 * newest first.
 */
extern List *wh_due_old_versions(const WhTemplate *tmpl, const WhTenant *tenant);

/*
 * List the days (of DateADT) that the ledger has rows of and that nobody can
 * read, as after a restore, or that are derived from such; newest first.
 */
extern List *wh_due_lost(const WhTemplate *tmpl, const WhTenant *tenant);

/*
 * Is the day closed, stored, and by its template never to be fetched again?  A
 * source is asked once more after the day has closed; what is made here tells
 * how things stood then, so the last of the day's own stays.
 */
extern bool wh_due_is_frozen(const WhTemplate *tmpl, const WhTenant *tenant,
							 DateADT day);

#endif							/* WH_DUE_H */
