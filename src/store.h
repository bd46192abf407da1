/*
 * store.h
 *		Where the archive keeps its objects: a folder of this machine, or a
 *		bucket.
 *
 * Keys are made by whoever uses a store, as in
 * exports/tenant_a/orders/20260424T110000Z_000012345.csv.zst: segments of
 * letters, digits, '.', '-', '_' and '~', none beginning with a dot, with '/'
 * in between.  So a key is a path, and a URL, as it stands.
 *
 * Every operation throws what went wrong, with what a user can do about it in
 * the HINT: 58P01 an object that is not there, 58P02 one that already is, 53100
 * no room, 42501 refused, 58030 any other trouble of a disk, 08001 a server
 * that cannot be reached, 08006 one that breaks off or is too slow.  57014 and
 * 57P01 are the user's word and nothing else.  An operation leaves neither
 * sockets nor file descriptors behind, can be cancelled, and writes to no
 * table.  Caller: owner.
 */
#ifndef WH_STORE_H
#define WH_STORE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "storage/fd.h"

/* What a listing says of one object. */
typedef struct WhObject
{
	char	   *key;
	int64		size;
	TimestampTz changed;
} WhObject;

typedef struct WhStore WhStore;

struct WhStore
{
	const char *place;			/* for messages: the folder, or
								 * s3://bucket/prefix */

	/*
	 * Make an object of the first "size" bytes of a file of ours, whose
	 * SHA-256 is "sha256", in 64 hexadecimal digits.  All of it is there and
	 * safe from a crash when this returns, or nothing is there by that key.
	 * An object that is already there is not touched: 58P02.
	 */
	void		(*put) (WhStore *store, const char *key, File file, int64 size,
						const char *sha256);

	/*
	 * Write an object's bytes to an empty file of ours; returns how many.
	 * Their sum is the caller's to check.
	 */
	int64		(*get) (WhStore *store, const char *key, File file);

	/*
	 * Give an object another key.  At no moment it has neither; it may have
	 * both when this is cut short, and to call it again completes it: one of
	 * the same size that is already at the new key is the one that is meant,
	 * and 58P02 any other.  One that has only the new key has been moved
	 * before.
	 */
	void		(*move) (WhStore *store, const char *key, const char *new_key);

	/* Remove an object; false: it was not there. */
	bool		(*remove) (WhStore *store, const char *key);

	/* Tell an object's size; false: it is not there. */
	bool		(*stat) (WhStore *store, const char *key, int64 *size);

	/*
	 * List the objects whose keys begin with "prefix", which ends with '/',
	 * and come after "after" (NULL: from the first): a WhObject * each, by
	 * key as strcmp() sorts, "limit" at most.
	 */
	List	   *(*list) (WhStore *store, const char *prefix, const char *after,
						 int limit);
};

/*
 * Is there anything to keep an archive in: pg_warehouse.archive_directory, or
 * else pg_warehouse.s3_bucket?
 */
extern bool wh_store_configured(void);

/*
 * Open the store that the settings name; 55000 when there is none, or when it
 * cannot be used as it is.  Lives in CurrentMemoryContext and ends with it.
 */
extern WhStore *wh_store_open(void);

/* Throw 22023 unless "key" is one as described above. */
extern void wh_store_check_key(const char *key);

/*
 * Write a name, which may hold any character, as one segment of a key: what a
 * key cannot hold as ~ and two hexadecimal digits.
 */
extern char *wh_store_segment(const char *name);

#endif							/* WH_STORE_H */
