/*
 * extract.h
 *		An extract of the archive, read again.
 */
#ifndef WH_EXTRACT_H
#define WH_EXTRACT_H

#include "fetch.h"
#include "upload.h"

typedef struct WhExtract WhExtract;

/*
 * Get an extract from the archive to a temporary file of
 * CurrentResourceOwner's, and prove its sum, where the log knows it.  58P01
 * when it is not there, XX001 when it is not what was put there, with HINT.
 */
extern WhExtract *wh_extract_open(const WhUpload *upload);

/* Say what it is, by its own note. */
extern void wh_extract_described(const WhExtract *extract, WhArchived *archived);

/*
 * Stream its rows to a sink, as wh_fetch() does those of a tenant; within
 * wh_csv_settings().  42804 when the template has other columns by now, 23514
 * for a row outside the period, XX001 unless all rows were there.
 */
extern void wh_extract_rows(WhExtract *extract, const WhTemplate *tmpl,
							const WhTenant *tenant, const WhPeriod *period,
							const WhRowSink *sink, WhFetched *fetched);

extern void wh_extract_close(WhExtract *extract);

#endif							/* WH_EXTRACT_H */
