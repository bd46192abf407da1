/*
 * loadgate.h
 *		Whether a tenant's server has room for us right now.
 */
#ifndef WH_LOADGATE_H
#define WH_LOADGATE_H

#include "conn.h"

/*
 * Ask the server of a connection, no transaction of which is begun, for what
 * the tenant's options bound: free connection slots, replication lag, age of
 * the oldest snapshot.  Throws 55006 when it is over one of them, marked as
 * postponed (fault.h).  Without such options nothing is asked.
 */
extern void wh_load_gate(WhConn *conn, const WhTenant *tenant);

#endif							/* WH_LOADGATE_H */
