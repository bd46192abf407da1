/*
 * s3.c
 *		WhS3: requests to one bucket, as S3 has them.
 *
 * Names are put into the path (endpoint/bucket/key), which every server
 * understands.  The rule kept here: what a request sends is said with its
 * SHA-256, so that a server that took something else refuses it; and the sum
 * of an object stays with it, as metadata, so that a copy can be told from
 * another object whatever its ETag is made of.
 *
 * Every request can be made twice.  One that fails for a reason that may pass
 * is, until its time is over.
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/pg_prng.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "fault.h"
#include "guc.h"
#include "http.h"
#include "httpwait.h"
#include "remote.h"
#include "s3.h"
#include "s3fault.h"
#include "seal.h"
#include "secret.h"
#include "settings.h"
#include "store.h"
#include "xml.h"

/* Of nothing, what most requests send. */
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

#define MAX_TRIES 5
#define FIRST_PAUSE_MS 200

/* The most that S3 lists at a time. */
#define MAX_LIST 1000

struct WhS3
{
	WhHttp	   *http;
	const char *bucket;
	const char *region;
	const char *place;
	const char *root;			/* of every name: /bucket, encoded */
	const char *prefix;			/* "" or name/ */
};

static WhHttpRequest begin(const char *target, const char *sha256);
static void add_header(WhHttpRequest *request, const char *name, const char *value);
static void ask(WhS3 *s3, const WhHttpRequest *request, const char *doing,
				const char *key, WhHttpAnswer *answer);
static bool is_done(const WhHttpRequest *request, const WhHttpAnswer *answer);
static char *path_of(const WhS3 *s3, const char *key);
static char *header_of(WhS3 *s3, const char *name);
static char *list_target(const WhS3 *s3, const char *prefix, const char *after, int limit);
static List *read_list(WhS3 *s3, const char *xml);
static TimestampTz read_time(const char *text);
static char *object_doing(const char *verb, const char *key);
static File make_probe(int64 *size, char *sha256);
static void sum(const char *text, int len, char *sha256);

/*
 * Make ready to use the bucket; see s3.h.
 */
WhS3 *
wh_s3_open(void)
{
	WhS3	   *s3 = (WhS3 *) palloc0(sizeof(WhS3));
	char	   *keys;
	char	   *colon;
	WhUrl		server;
	StringInfoData root;

	wh_check_outbound();
	keys = wh_archive_secret_open();
	if (!wh_url_parse(wh_s3_endpoint, &server))
		elog(ERROR, "invalid pg_warehouse.s3_endpoint");

	initStringInfo(&root);
	appendStringInfoChar(&root, '/');
	wh_url_path(&root, wh_s3_bucket);
	s3->root = root.data;
	s3->bucket = pstrdup(wh_s3_bucket);
	s3->region = pstrdup(wh_s3_region);
	s3->prefix = wh_s3_prefix[0] != '\0' ? psprintf("%s/", wh_s3_prefix) : "";
	s3->place = psprintf("s3://%s/%s", wh_s3_bucket, s3->prefix);

	/* The last colon, as where they are set. */
	colon = strrchr(keys, ':');
	if (colon == NULL)
		elog(ERROR, "keys of the archive are not two");
	*colon = '\0';
	s3->http = wh_http_open(&server, psprintf("aws:amz:%s:s3", s3->region), keys, colon + 1);
	wh_wipe_secret(colon + 1);
	wh_wipe_secret(keys);

	return s3;
}

const char *
wh_s3_place(const WhS3 *s3)
{
	return s3->place;
}

void
wh_s3_put(WhS3 *s3, const char *key, File file, int64 size, const char *sha256)
{
	WhHttpRequest request = begin(path_of(s3, key), sha256);
	WhHttpAnswer answer;

	request.method = WH_HTTP_PUT;
	request.body = file;
	request.body_size = size;
	add_header(&request, "x-amz-meta-sha256", sha256);
	add_header(&request, "Content-Type", "application/octet-stream");
	ask(s3, &request, object_doing("write", key), key, &answer);
}

int64
wh_s3_get(WhS3 *s3, const char *key, File file)
{
	WhHttpRequest request = begin(path_of(s3, key), EMPTY_SHA256);
	WhHttpAnswer answer;

	request.sink = file;
	ask(s3, &request, object_doing("read", key), key, &answer);

	return answer.sunk;
}

bool
wh_s3_head(WhS3 *s3, const char *key, WhS3Object *object)
{
	WhHttpRequest request = begin(path_of(s3, key), EMPTY_SHA256);
	WhHttpAnswer answer;

	request.method = WH_HTTP_HEAD;
	ask(s3, &request, object_doing("look for", key), key, &answer);
	if (answer.status == 404)
		return false;

	object->size = strtoll(header_of(s3, "Content-Length"), NULL, 10);
	object->etag = header_of(s3, "ETag");
	object->sha256 = header_of(s3, "x-amz-meta-sha256");

	return true;
}

void
wh_s3_copy(WhS3 *s3, const char *key, const char *new_key)
{
	WhHttpRequest request = begin(path_of(s3, new_key), EMPTY_SHA256);
	WhHttpAnswer answer;

	request.method = WH_HTTP_PUT;
	add_header(&request, "x-amz-copy-source", path_of(s3, key));
	ask(s3, &request, object_doing("copy", key), key, &answer);
}

void
wh_s3_delete(WhS3 *s3, const char *key)
{
	WhHttpRequest request = begin(path_of(s3, key), EMPTY_SHA256);
	WhHttpAnswer answer;

	request.method = WH_HTTP_DELETE;
	ask(s3, &request, object_doing("remove", key), key, &answer);
}

List *
wh_s3_list(WhS3 *s3, const char *prefix, const char *after, int limit)
{
	List	   *objects = NIL;

	while (list_length(objects) < limit)
	{
		int			page = Min(limit - list_length(objects), MAX_LIST);
		WhHttpRequest request = begin(list_target(s3, prefix, after, page), EMPTY_SHA256);
		WhHttpAnswer answer;
		List	   *some;
		char	   *more;

		ask(s3, &request, psprintf("list objects of \"%s\"", s3->place), NULL, &answer);
		some = read_list(s3, answer.body);
		objects = list_concat(objects, some);
		more = wh_xml_text(answer.body, strlen(answer.body), "IsTruncated");

		/* Whoever promises more and gives nothing would do so for ever. */
		if (some == NIL || more == NULL || strcmp(more, "true") != 0)
			break;
		after = ((const WhObject *) llast(some))->key;
	}

	return objects;
}

void
wh_s3_probe(void)
{
	char		sha256[PG_SHA256_DIGEST_STRING_LENGTH];
	WhS3	   *s3 = wh_s3_open();
	int64		size;
	File		file = make_probe(&size, sha256);
	char	   *key = psprintf("probe/%s", sha256);
	WhS3Object	object;

	wh_s3_put(s3, key, file, size, sha256);
	FileClose(file);
	if (!wh_s3_head(s3, key, &object) || object.size != size ||
		wh_s3_list(s3, key, NULL, 1) == NIL)
	{
		wh_archive_failed_mark();
		ereport(ERROR,
				(errcode(ERRCODE_IO_ERROR),
				 errmsg("bucket \"%s\" does not give back what was put into it", s3->bucket),
				 errdetail("Object \"%s%s\".", s3->prefix, key),
				 errhint("Use a bucket without rules that remove or change objects.")));
	}
	wh_s3_delete(s3, key);
}

/*
 * Begin a request, as GET, that sends what has this sum.
 */
static WhHttpRequest
begin(const char *target, const char *sha256)
{
	WhHttpRequest request = {WH_HTTP_GET};

	request.target = target;
	add_header(&request, "x-amz-content-sha256", sha256);

	return request;
}

static void
add_header(WhHttpRequest *request, const char *name, const char *value)
{
	request->headers = lappend(request->headers, psprintf("%s: %s", name, value));
}

/*
 * Ask until there is an answer that is none of "try again", or time is over.
 * Throws what is no success, but for 404 in answer to HEAD.
 */
static void
ask(WhS3 *s3, const WhHttpRequest *request, const char *doing, const char *key,
	WhHttpAnswer *answer)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   wh_no_progress_timeout);
	long		pause = FIRST_PAUSE_MS;
	WhS3Attempt attempt = {doing, key, s3->bucket, s3->region, 0};

	for (;;)
	{
		wh_http_request(s3->http, request, answer);
		attempt.tries++;
		if (is_done(request, answer))
			return;

		if (!wh_s3_may_pass(answer) || attempt.tries == MAX_TRIES ||
			TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause) >= deadline)
			break;

		/* Others may have been sent away at the same moment. */
		wh_http_pause(pause / 2 + (long) (pg_prng_double(&pg_global_prng_state) * pause));
		pause *= 2;
	}

	/* HEAD is answered without words; the bucket itself gets them. */
	if (request->method == WH_HTTP_HEAD && answer->outcome == WH_HTTP_ANSWERED)
		(void) wh_s3_list(s3, key, NULL, 1);
	wh_s3_raise(&attempt, s3->http, answer);
}

/*
 * Is an answer what was asked for?  A copy that takes long begins as a success
 * and may end otherwise.
 */
static bool
is_done(const WhHttpRequest *request, const WhHttpAnswer *answer)
{
	size_t		len;

	if (answer->outcome != WH_HTTP_ANSWERED)
		return false;
	if (request->method == WH_HTTP_HEAD && answer->status == 404)
		return true;
	if (answer->status < 200 || answer->status >= 300)
		return false;

	return request->method != WH_HTTP_PUT ||
		wh_xml_element(answer->body, "Error", &len) == NULL;
}

/*
 * Write the path of an object: /bucket/prefix/key.
 */
static char *
path_of(const WhS3 *s3, const char *key)
{
	StringInfoData path;

	initStringInfo(&path);
	appendStringInfo(&path, "%s/", s3->root);
	wh_url_path(&path, s3->prefix);
	wh_url_path(&path, key);

	return path.data;
}

/*
 * Copy a header of the answer, cleaned; "" when it is not there.
 */
static char *
header_of(WhS3 *s3, const char *name)
{
	const char *value = wh_http_header(s3->http, name);

	return wh_clean_text(value != NULL ? value : "");
}

/*
 * Write path and query of a listing; what signs it wants them sorted.
 */
static char *
list_target(const WhS3 *s3, const char *prefix, const char *after, int limit)
{
	StringInfoData target;

	initStringInfo(&target);
	appendStringInfo(&target, "%s?list-type=2&max-keys=%d&prefix=", s3->root, limit);
	wh_url_value(&target, s3->prefix);
	wh_url_value(&target, prefix);
	if (after != NULL)
	{
		appendStringInfoString(&target, "&start-after=");
		wh_url_value(&target, s3->prefix);
		wh_url_value(&target, after);
	}

	return target.data;
}

/*
 * Read the objects of a listing.
 */
static List *
read_list(WhS3 *s3, const char *xml)
{
	List	   *objects = NIL;
	size_t		len;

	for (const char *at = wh_xml_element(xml, "Contents", &len); at != NULL;
		 at = wh_xml_element(at + len, "Contents", &len))
	{
		char	   *key = wh_xml_text(at, len, "Key");
		char	   *size = wh_xml_text(at, len, "Size");
		char	   *changed = wh_xml_text(at, len, "LastModified");
		WhObject   *object;

		CHECK_FOR_INTERRUPTS();
		if (key == NULL || size == NULL ||
			strncmp(key, s3->prefix, strlen(s3->prefix)) != 0)
			continue;
		object = (WhObject *) palloc(sizeof(WhObject));
		object->key = pstrdup(key + strlen(s3->prefix));
		object->size = strtoll(size, NULL, 10);
		object->changed = changed != NULL ? read_time(changed) : DT_NOBEGIN;
		objects = lappend(objects, object);
	}

	return objects;
}

/*
 * Read S3's form of a time, 2026-04-24T11:00:00.000Z; DT_NOBEGIN: it is none.
 */
static TimestampTz
read_time(const char *text)
{
	struct pg_tm tm = {0};
	int			utc = 0;
	TimestampTz at;

	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
			   &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6 ||
		tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
		tm2timestamp(&tm, 0, &utc, &at) != 0)
		return DT_NOBEGIN;

	return at;
}

static char *
object_doing(const char *verb, const char *key)
{
	return psprintf("%s archive file \"%s\"", verb, key);
}

/*
 * Make a small file that nobody has made before, and tell its sum.
 */
static File
make_probe(int64 *size, char *sha256)
{
	File		file = OpenTemporaryFile(false);
	char	   *text = psprintf("pg_warehouse was here: %s, process %d\n",
								timestamptz_to_str(GetCurrentTimestamp()), MyProcPid);
	int			len = strlen(text);

	sum(text, len, sha256);
	if (FileWrite(file, text, len, 0, WAIT_EVENT_BUFFILE_WRITE) != len)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", FilePathName(file))));
	*size = len;

	return file;
}

/*
 * Write the SHA-256 of a text, in hexadecimal digits.
 */
static void
sum(const char *text, int len, char *sha256)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) text, len) < 0 ||
		pg_cryptohash_final(context, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute a SHA-256");
	pg_cryptohash_free(context);
	sha256[hex_encode((const char *) digest, sizeof(digest), sha256)] = '\0';
}
