/*
 * calendar.h
 *		The days of an incremental template's table, by its watermark, against
 *		the same days at the source.
 */
#ifndef WH_CALENDAR_H
#define WH_CALENDAR_H

#include "compare.h"

/*
 * Compare the days of a range, either end of which may be infinite, that have
 * rows here or there; returns a list of WhComparison *, by day.  Rows whose
 * watermark is infinite belong to no day.  The table is there.  Throws as a
 * fetch does.  Caller: owner.
 */
extern List *wh_calendar_compare(const WhTemplate *tmpl, const WhTenant *tenant,
								 DateADT from, DateADT to);

#endif							/* WH_CALENDAR_H */
