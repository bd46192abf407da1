/*
 * httpwait.h
 *		Waiting for the sockets of libcurl.
 */
#ifndef WH_HTTPWAIT_H
#define WH_HTTPWAIT_H

#include <curl/curl.h>

#include "datatype/timestamp.h"

/* One connection, tried over two addresses at a time. */
#define WH_HTTP_SOCKETS 3

typedef struct WhHttpWait WhHttpWait;

/*
 * Have "multi" tell what it waits for, in CurrentMemoryContext, and end that
 * after the last call of "multi", its end included.
 */
extern WhHttpWait *wh_http_wait_open(CURLM *multi);
extern void wh_http_wait_close(WhHttpWait *wait);

/*
 * Wait until there is something to do for libcurl, or the deadline, and let it
 * do it.  Interruptible.
 */
extern void wh_http_wait(WhHttpWait *wait, TimestampTz deadline);

/* Wait for so long, interruptible. */
extern void wh_http_pause(long ms);

#endif							/* WH_HTTPWAIT_H */
