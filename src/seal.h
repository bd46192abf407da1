/*
 * seal.h
 *		Seal and open bytes: libsodium XChaCha20-Poly1305 under a key of the
 *		ring file.  Knows no table.
 */
#ifndef WH_SEAL_H
#define WH_SEAL_H

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

/* The id that new values are sealed under: the ring's last line. */
extern char *wh_key_current(void);

/*
 * Seal "secret" bound to "aad" (length-prefixed fields, made by
 * wh_seal_aad()), which includes the key id added here.  Opening needs the
 * very same binding, else 55000.  wh_unseal() returns memory that the caller
 * must wipe with wh_wipe_secret() on every path; it registers a reset callback on
 * CurrentMemoryContext that wipes it in any case.
 */
extern WhSealed *wh_seal(const char *secret, const char *const *aad, int naad);
extern char *wh_unseal(const WhSealed *sealed, const char *const *aad, int naad);
extern void wh_wipe_secret(char *secret);

#endif							/* WH_SEAL_H */
