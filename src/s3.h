/*
 * s3.h
 *		WhS3: requests to one bucket, as S3 has them.
 */
#ifndef WH_S3_H
#define WH_S3_H

#include "nodes/pg_list.h"
#include "storage/fd.h"

typedef struct WhS3 WhS3;

/* What a bucket says of an object. */
typedef struct WhS3Object
{
	int64		size;
	char	   *etag;			/* "": not told */
	char	   *sha256;			/* as given when it was put; "": not told */
} WhS3Object;

/*
 * Make ready to use the bucket that the settings name, with the keys sealed
 * for it, from CurrentMemoryContext: what is open closes itself with that.
 * Throws 55000 where there are none, or where nothing may go out.  Caller:
 * owner.
 *
 * Keys of objects are without the prefix of the settings, and are made of
 * what needs no quoting: store.h.  Each request is tried again, for a while,
 * where the server or the network may do better the next time.  Errors are the
 * archive's failures (fault.h): 28P01 keys refused, 42501 not allowed, 42704
 * no such bucket, 22023 another region, 58P01 no such object, 53100 no room,
 * 55000 clocks too far apart, 08001 nobody answered, 08006 the connection was
 * cut or too slow, 58030 anything else.
 */
extern WhS3 *wh_s3_open(void);

/* s3://bucket/prefix, for messages. */
extern const char *wh_s3_place(const WhS3 *s3);

/*
 * Make an object of the first bytes of a file, in place of an older one.  The
 * server compares the sum (64 hexadecimal digits) with what it got.
 */
extern void wh_s3_put(WhS3 *s3, const char *key, File file, int64 size,
					  const char *sha256);

/* Write an object to a file, from its first byte; returns how many. */
extern int64 wh_s3_get(WhS3 *s3, const char *key, File file);

/*
 * Tell of an object; false: it is not there, or the bucket is not, which an
 * answer without words does not tell apart.
 */
extern bool wh_s3_head(WhS3 *s3, const char *key, WhS3Object *object);

/* Have the server copy an object, in place of an older one. */
extern void wh_s3_copy(WhS3 *s3, const char *key, const char *new_key);

/* Delete an object, if it is there. */
extern void wh_s3_delete(WhS3 *s3, const char *key);

/* List objects, as a store does: WhObject *. */
extern List *wh_s3_list(WhS3 *s3, const char *prefix, const char *after, int limit);

/*
 * Find out whether the bucket can be used: put an object, look at it, list it
 * and delete it again.
 */
extern void wh_s3_probe(void);

#endif							/* WH_S3_H */
