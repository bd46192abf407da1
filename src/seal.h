/*
 * seal.h
 *		Seal and open bytes: libsodium XChaCha20-Poly1305 under a key of the
 *		ring file.  Knows no table.
 */
#ifndef WH_SEAL_H
#define WH_SEAL_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* A sealed value as it is stored. */
typedef struct WhSealed
{
	char	   *key_id;
	uint8	   *nonce;			/* WH_NONCE_BYTES */
	uint8	   *bytes;			/* ciphertext and tag */
	Size		len;
} WhSealed;

#define WH_NONCE_BYTES 24

/*
 * Make the ring file with one fresh key; return the key's id.  55000 when the
 * file exists or would lie under the data directory.
 */
extern char *wh_key_create(void);

/*
 * Seal "secret" under the ring's last key, bound to the strings of "aad" and
 * to that key's id.  Throws 55000 when the ring cannot be used.
 */
extern WhSealed *wh_seal(const char *secret, const char *const *aad, int naad);

/*
 * Open a sealed value with the very same binding; NULL when it does not fit.
 * 55000 when its key is not in the ring.  The result is memory of
 * wh_alloc_secret(), to be wiped as soon as it is done with.
 */
extern char *wh_unseal(const WhSealed *sealed, const char *const *aad, int naad);

/*
 * List the ids of the ring's keys, the one that seals last, and tell when the
 * file was last changed; 55000 as above.
 */
extern List *wh_key_ids(TimestampTz *changed);

/*
 * Allocate zeroed memory for clear text in CurrentMemoryContext, which wipes
 * it when it is reset or deleted, that is after any error, too.  Wipe the text
 * earlier with wh_wipe_secret(); never free it.
 */
extern char *wh_alloc_secret(Size size);
extern void wh_wipe_secret(char *secret);

#endif							/* WH_SEAL_H */
