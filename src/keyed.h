/*
 * keyed.h
 *		Whether a source can be read by what changed: proof of key and
 *		watermark, before the first row.
 */
#ifndef WH_KEYED_H
#define WH_KEYED_H

#include "describe.h"
#include "template.h"

/*
 * Throw 55000 unless the key of the rendered query is unique and never null at
 * the source, and its watermark a timestamp that is never null and belongs to
 * the row.  DETAIL lists all that is missing, a line each.  The connection is
 * in its reading transaction.
 */
extern void wh_keyed_check(WhConn *conn, const WhTemplate *tmpl, const char *query,
						   const WhRemoteColumns *remote);

#endif							/* WH_KEYED_H */
