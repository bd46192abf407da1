/*
 * endpoint.h
 *		Whom libpq is to call for a tenant, and with what credentials.
 */
#ifndef WH_ENDPOINT_H
#define WH_ENDPOINT_H

#include "libpq-fe.h"
#include "tenant.h"

/* Throw 22023 for what libpq would read as something else than one endpoint. */
extern void wh_endpoint_check(const WhTenant *tenant);

/*
 * Have libpq begin a connection to a numeric address of the tenant's host,
 * NULL for a socket.  Never NULL; throws 55000 when the password cannot be
 * opened.
 */
extern PGconn *wh_endpoint_connect(const WhTenant *tenant, const char *address);

/*
 * Write down all that a connection depends on, password included by its seal:
 * where two texts are equal, a new connection would be the same as the old.
 */
extern char *wh_endpoint_text(const WhTenant *tenant);

#endif							/* WH_ENDPOINT_H */
