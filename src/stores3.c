/*
 * stores3.c
 *		A store that is a bucket.
 *
 * S3 replaces an object that is there, and moves none: so whether one is there
 * is asked before, and to move is to copy, to compare and to delete.  What was
 * put is looked at again, since not every server compares sums.
 */
#include "postgres.h"

#include "fault.h"
#include "s3.h"
#include "stores3.h"

typedef struct S3Store
{
	WhStore		store;
	WhS3	   *s3;
} S3Store;

static WhS3 *bucket_of(WhStore *store);
static void put_object(WhStore *store, const char *key, File file, int64 size,
					   const char *sha256);
static int64 get_object(WhStore *store, const char *key, File file);
static void move_object(WhStore *store, const char *key, const char *new_key);
static bool remove_object(WhStore *store, const char *key);
static bool stat_object(WhStore *store, const char *key, int64 *size);
static List *list_objects(WhStore *store, const char *prefix, const char *after,
						  int limit);
static bool find(WhS3 *s3, const char *key, WhS3Object *object);
static bool is_copy(const WhS3Object *one, const WhS3Object *other);
static void raise_there(const char *key) pg_attribute_noreturn();
static void raise_different(WhS3 *s3, const char *key) pg_attribute_noreturn();

/*
 * Open the bucket; see stores3.h.
 */
WhStore *
wh_stores3_open(void)
{
	S3Store    *bucket = (S3Store *) palloc0(sizeof(S3Store));

	bucket->s3 = wh_s3_open();
	bucket->store.place = wh_s3_place(bucket->s3);
	bucket->store.put = put_object;
	bucket->store.get = get_object;
	bucket->store.move = move_object;
	bucket->store.remove = remove_object;
	bucket->store.stat = stat_object;
	bucket->store.list = list_objects;

	return &bucket->store;
}

static WhS3 *
bucket_of(WhStore *store)
{
	return ((S3Store *) store)->s3;
}

static void
put_object(WhStore *store, const char *key, File file, int64 size,
		   const char *sha256)
{
	WhS3	   *s3 = bucket_of(store);
	WhS3Object	object;

	wh_store_check_key(key);
	if (wh_s3_head(s3, key, &object))
		raise_there(key);

	wh_s3_put(s3, key, file, size, sha256);
	if (!wh_s3_head(s3, key, &object) || object.size != size ||
		(object.sha256[0] != '\0' && strcmp(object.sha256, sha256) != 0))
		raise_different(s3, key);
}

static int64
get_object(WhStore *store, const char *key, File file)
{
	wh_store_check_key(key);

	return wh_s3_get(bucket_of(store), key, file);
}

/*
 * Move an object.  Once the copy is seen to be the same, the old one is not
 * needed; cut short before that, both are there and the copy is made again.
 */
static void
move_object(WhStore *store, const char *key, const char *new_key)
{
	WhS3	   *s3 = bucket_of(store);
	WhS3Object	old;
	WhS3Object	new;
	bool		is_old;
	bool		is_new;

	wh_store_check_key(key);
	wh_store_check_key(new_key);
	is_old = wh_s3_head(s3, key, &old);
	is_new = wh_s3_head(s3, new_key, &new);
	if (is_new && !is_old)
		return;
	if (is_new && old.size != new.size)
		raise_there(new_key);

	/* Where there is none, the server says that, or that it has no bucket. */
	if (!is_new)
	{
		wh_s3_copy(s3, key, new_key);
		if (!wh_s3_head(s3, new_key, &new) || !is_copy(&old, &new))
			raise_different(s3, new_key);
	}
	wh_s3_delete(s3, key);
}

static bool
remove_object(WhStore *store, const char *key)
{
	WhS3Object	object;

	wh_store_check_key(key);
	if (!find(bucket_of(store), key, &object))
		return false;
	wh_s3_delete(bucket_of(store), key);

	return true;
}

static bool
stat_object(WhStore *store, const char *key, int64 *size)
{
	WhS3Object	object;

	wh_store_check_key(key);
	if (!find(bucket_of(store), key, &object))
		return false;
	*size = object.size;

	return true;
}

static List *
list_objects(WhStore *store, const char *prefix, const char *after, int limit)
{
	return wh_s3_list(bucket_of(store), prefix, after, limit);
}

/*
 * Look for an object.  That one is not there is answered without words, so
 * make sure that it is not the bucket.
 */
static bool
find(WhS3 *s3, const char *key, WhS3Object *object)
{
	if (wh_s3_head(s3, key, object))
		return true;
	(void) wh_s3_list(s3, key, NULL, 1);

	return false;
}

/*
 * Is the one a copy of the other?  By the sum that goes with them; where
 * somebody else put them there, by what the server makes of their bytes.
 */
static bool
is_copy(const WhS3Object *one, const WhS3Object *other)
{
	return one->size == other->size &&
		(one->sha256[0] != '\0' ? strcmp(one->sha256, other->sha256) == 0 :
		 strcmp(one->etag, other->etag) == 0);
}

static void
raise_there(const char *key)
{
	wh_archive_failed_mark();
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_FILE),
			 errmsg("archive file \"%s\" already exists", key),
			 errhint("Look at who made it, and move it out of the way.")));
}

static void
raise_different(WhS3 *s3, const char *key)
{
	wh_archive_failed_mark();
	ereport(ERROR,
			(errcode(ERRCODE_IO_ERROR),
			 errmsg("archive file \"%s\" is not what was written", key),
			 errdetail("It is in %s, of another size or sum.", wh_s3_place(s3)),
			 errhint("Use a bucket without rules that change or remove objects, and nobody else who writes there.")));
}
