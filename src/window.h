/*
 * window.h
 *		Which rows of an incremental template a run reads, and how far that
 *		moves the watermark.
 */
#ifndef WH_WINDOW_H
#define WH_WINDOW_H

#include "bound.h"
#include "period.h"
#include "template.h"
#include "watermark.h"

/* The window (low, high] of one run, in the source's time. */
typedef struct WhWindow
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	const WhDays *days;
	bool		afresh;			/* what is stored is no base to go on from */
	const WhWatermark *before;
	WhWatermark now;			/* what it becomes, but for what was loaded */
	TimestampTz low;			/* DT_NOBEGIN: no bound */
	TimestampTz high;			/* DT_NOEND: not known yet */
	MemoryContext context;
} WhWindow;

/*
 * Begin in CurrentMemoryContext with what is known without the source.  A
 * table that was filled by the template's present version, or that nobody has
 * filled yet, is a base to go on from; "has_base" says of one that is there.
 */
extern void wh_window_begin(WhWindow *window, const WhTemplate *tmpl,
							const WhTenant *tenant, const WhDays *days,
							bool is_there, bool has_base);

/* Set the bounds by what the source said. */
extern void wh_window_set(WhWindow *window, const WhBound *bound);

/* Write the condition on q that rows must meet; NULL for none. */
extern char *wh_window_condition(const WhWindow *window);

/* Write the watermark, once "rows" have been inserted or updated. */
extern void wh_window_settle(WhWindow *window, int64 rows);

#endif							/* WH_WINDOW_H */
