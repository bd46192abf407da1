/*
 * secret.h
 *		_wh.sealed_secrets: one sealed password per tenant, and the keys of the
 *		archive.  No grants; read by catalog scan, never through SPI.
 */
#ifndef WH_SECRET_H
#define WH_SECRET_H

#include "tenant.h"

extern void wh_secret_store(const WhTenant *tenant, const char *password);
extern bool wh_secret_exists(const WhTenant *tenant);
extern void wh_secret_drop(const WhTenant *tenant);

/*
 * Open the tenant's password: 55000 when there is none, the endpoint changed
 * since it was sealed, or the key is not in the ring.  Wipe with
 * wh_wipe_secret().  For endpoint only.
 */
extern char *wh_secret_open(const WhTenant *tenant);

/*
 * Tell one sealing of the tenant's password from any other, without opening
 * it: palloc'd hexadecimal digits, NULL when there is none.
 */
extern char *wh_secret_mark(const WhTenant *tenant);

/* Would a password sealed for the one open for the other? */
extern bool wh_secret_fits(const WhTenant *a, const WhTenant *b);

/* The id of the key that the tenant's password is sealed with; NULL: none. */
extern char *wh_secret_key_id(const WhTenant *tenant);

/*
 * The same for the archive: access key and secret key of its bucket, as one
 * text KEYID:SECRET.  They are bound to pg_warehouse.s3_endpoint, _bucket and
 * _region; 55000 where these are not set.  wh_archive_secret_open() is for s3
 * only.
 */
extern void wh_archive_secret_store(const char *keys);
extern char *wh_archive_secret_open(void);
extern char *wh_archive_secret_key_id(void);

/*
 * Seal every one of them anew under the current key, all or none, and return how
 * many.  Caller: owner.
 */
extern int	wh_secrets_reseal(void);

#endif							/* WH_SECRET_H */
