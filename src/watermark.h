/*
 * watermark.h
 *		_wh.extract_watermarks: how far each incremental template has been
 *		read, per tenant.
 */
#ifndef WH_WATERMARK_H
#define WH_WATERMARK_H

#include "datatype/timestamp.h"

typedef struct WhWatermark
{
	TimestampTz last_extracted_at;	/* DT_NOBEGIN: nothing yet */
	TimestampTz reread_from;	/* the next run reads on from here where that
								 * is earlier; DT_NOEND: nowhere */
	TimestampTz last_loaded_at; /* our clock; DT_NOBEGIN: never */
	TimestampTz source_clock;
	TimestampTz asked_at;		/* our clock when the source's was read */
	int64		rows_loaded;	/* by the last run */
	char	   *lag_reason;		/* NULL: not held back */
} WhWatermark;

/*
 * Read the pair's row as the current user, who has become the owner; a pair
 * without one has read nothing yet.
 */
extern WhWatermark *wh_watermark(const char *template_name, const char *tenant);

/*
 * Write the pair's row as the installer.  Where people have moved the
 * watermark since it was read as "before", it stays where they put it.
 */
extern void wh_watermark_advance(const char *template_name, const char *tenant,
								 const char *table_name,
								 const WhWatermark *before,
								 const WhWatermark *now);

/* Delete rows as the installer; NULL means all. */
extern void wh_watermarks_forget(const char *template_name, const char *tenant);

#endif							/* WH_WATERMARK_H */
