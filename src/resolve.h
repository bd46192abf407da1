/*
 * resolve.h
 *		Host names to numeric addresses, without ever blocking.
 */
#ifndef WH_RESOLVE_H
#define WH_RESOLVE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/*
 * Return the numeric addresses (char *, palloc'd) of a host, best first; an
 * IP literal is its own.  NIL with the reason in *problem when there is none
 * or the deadline passes.  Interruptible.  Uses one external file descriptor
 * more than it acquires: the caller's, who is about to connect.
 */
extern List *wh_resolve(const char *host, TimestampTz deadline,
						const char **problem);

#endif							/* WH_RESOLVE_H */
