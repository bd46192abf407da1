/*
 * stores3.h
 *		A store that is a bucket.
 */
#ifndef WH_STORES3_H
#define WH_STORES3_H

#include "store.h"

/*
 * Open the bucket that pg_warehouse.s3_* name: 55000 where there is none, or no
 * keys for it.
 */
extern WhStore *wh_stores3_open(void);

#endif							/* WH_STORES3_H */
