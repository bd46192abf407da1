/*
 * retention.h
 *		How long the log, _wh.extract_runs, keeps what it has.
 */
#ifndef WH_RETENTION_H
#define WH_RETENTION_H

#include "datatype/timestamp.h"

/*
 * Delete rows that have had their time, of the next few thousand after run
 * "after", which moves on, and add how many.  The last success and the last
 * failure of each unit stay, and what is still open.  False when there are no
 * further rows.  Caller: owner, who commits in between.
 */
extern bool wh_retention_prune(int64 *after, int64 *deleted);

/*
 * Count the rows that would be deleted, and would have been some days ago:
 * whoever deletes once a day leaves none.  Caller: owner.
 */
extern int64 wh_retention_overdue(int days);

/* The time before which nothing of the log is kept for its age's sake. */
extern TimestampTz wh_retention_horizon(void);

#endif							/* WH_RETENTION_H */
