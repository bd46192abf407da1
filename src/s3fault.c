/*
 * s3fault.c
 *		A bucket's failures as errors of ours.
 *
 * S3 says what is wrong by a word in the body of its answer; the status alone
 * is coarse, and all there is where something else than S3 answers.  Of the
 * server's text one line is shown, cleaned: it is not ours.
 */
#include "postgres.h"

#include <curl/curl.h>

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "fault.h"
#include "guc.h"
#include "remote.h"
#include "s3fault.h"
#include "xml.h"

typedef enum Meaning
{
	REFUSES_KEYS,
	DENIES,
	NO_BUCKET,
	NO_OBJECT,
	OTHER_REGION,
	OTHER_TIME,
	NO_ROOM,
	ANOTHER_TIME,				/* it may do better soon */
	FAILS
} Meaning;

/* S3's words. */
static const struct
{
	const char *code;
	Meaning		meaning;
}			words[] = {
	{"SignatureDoesNotMatch", REFUSES_KEYS},
	{"InvalidAccessKeyId", REFUSES_KEYS},
	{"InvalidToken", REFUSES_KEYS},
	{"ExpiredToken", REFUSES_KEYS},
	{"AccessDenied", DENIES},
	{"AllAccessDisabled", DENIES},
	{"AccountProblem", DENIES},
	{"NotSignedUp", DENIES},
	{"NoSuchBucket", NO_BUCKET},
	{"NoSuchKey", NO_OBJECT},
	{"AuthorizationHeaderMalformed", OTHER_REGION},
	{"PermanentRedirect", OTHER_REGION},
	{"TemporaryRedirect", OTHER_REGION},
	{"IllegalLocationConstraintException", OTHER_REGION},
	{"RequestTimeTooSkewed", OTHER_TIME},
	{"RequestExpired", OTHER_TIME},
	{"EntityTooLarge", NO_ROOM},
	{"QuotaExceeded", NO_ROOM},
	{"InsufficientStorage", NO_ROOM},
	{"XMinioStorageFull", NO_ROOM},
	{"RequestTimeout", ANOTHER_TIME},
	{"OperationAborted", ANOTHER_TIME},
	{"InternalError", ANOTHER_TIME},
	{"ServiceUnavailable", ANOTHER_TIME},
	{"SlowDown", ANOTHER_TIME},
	{"BadDigest", ANOTHER_TIME},
	{"XAmzContentSHA256Mismatch", ANOTHER_TIME},
	{"IncompleteBody", ANOTHER_TIME},
};

static Meaning meaning_of(const WhHttpAnswer *answer);
static char *element(const WhHttpAnswer *answer, const char *name);
static char *detail_of(const WhS3Attempt *attempt, const WhHttpAnswer *answer);
static void raise_unanswered(const WhS3Attempt *attempt, const WhHttpAnswer *answer)
			pg_attribute_noreturn();
static void raise_region(const WhS3Attempt *attempt, WhHttp *http,
						 const WhHttpAnswer *answer) pg_attribute_noreturn();
static void raise_time(const WhS3Attempt *attempt, WhHttp *http,
					   const WhHttpAnswer *answer) pg_attribute_noreturn();

/*
 * Tell whether to ask again; see s3fault.h.  A server that was silent has had
 * its time, and one that is not trusted will not be.
 */
bool
wh_s3_may_pass(const WhHttpAnswer *answer)
{
	switch (answer->outcome)
	{
		case WH_HTTP_UNREACHABLE:
		case WH_HTTP_CUT:
			return true;
		case WH_HTTP_SILENT:
		case WH_HTTP_UNTRUSTED:
		case WH_HTTP_SLOW:
			return false;
		case WH_HTTP_ANSWERED:
			break;
	}

	return meaning_of(answer) == ANOTHER_TIME;
}

/*
 * Raise what an answer means; see s3fault.h.
 */
void
wh_s3_raise(const WhS3Attempt *attempt, WhHttp *http, const WhHttpAnswer *answer)
{
	const char *detail;

	wh_archive_failed_mark();
	if (answer->outcome != WH_HTTP_ANSWERED)
		raise_unanswered(attempt, answer);

	detail = detail_of(attempt, answer);
	switch (meaning_of(answer))
	{
		case REFUSES_KEYS:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PASSWORD),
					 errmsg("the archive's server refuses the keys for bucket \"%s\"", attempt->bucket),
					 errdetail("%s", detail),
					 errhint("SELECT _wh.set_tenant_password('archive:s3', 'KEYID:SECRET');")));
			break;
		case DENIES:
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("could not %s: the archive's server denies it", attempt->doing),
					 errdetail("%s", detail),
					 errhint("Let the owner of the keys list bucket \"%s\", and get, put and delete its objects.",
							 attempt->bucket)));
			break;
		case NO_BUCKET:
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("bucket \"%s\" does not exist", attempt->bucket),
					 errdetail("%s", detail),
					 errhint("Make it at the server, or as a superuser: ALTER SYSTEM SET pg_warehouse.s3_bucket = '...';"
							 " SELECT pg_reload_conf(); then set the keys of 'archive:s3' again.")));
			break;
		case NO_OBJECT:
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FILE),
					 errmsg("archive file \"%s\" does not exist", attempt->key ? attempt->key : ""),
					 errdetail("%s", detail),
					 errhint("It was removed, or is in another bucket or under another prefix.")));
			break;
		case OTHER_REGION:
			raise_region(attempt, http, answer);
			break;
		case OTHER_TIME:
			raise_time(attempt, http, answer);
			break;
		case NO_ROOM:
			ereport(ERROR,
					(errcode(ERRCODE_DISK_FULL),
					 errmsg("could not %s: the archive's server has no room for it", attempt->doing),
					 errdetail("%s", detail),
					 errhint("Make room at the server, raise the bucket's quota, or archive less.")));
			break;
		case ANOTHER_TIME:
		case FAILS:
			break;
	}

	ereport(ERROR,
			(errcode(ERRCODE_IO_ERROR),
			 errmsg("could not %s: the archive's server failed", attempt->doing),
			 attempt->tries > 1 ?
			 errdetail("%s Tried %d times.", detail, attempt->tries) :
			 errdetail("%s", detail),
			 errhint("See the log of that server; SELECT * FROM _wh.wh_doctor() tries it again.")));
}

/*
 * Find out what an answer that is no success means.
 */
static Meaning
meaning_of(const WhHttpAnswer *answer)
{
	char	   *code = element(answer, "Code");

	for (int i = 0; code != NULL && i < (int) lengthof(words); i++)
	{
		if (strcmp(code, words[i].code) != 0)
			continue;

		/* It is the region that is wrong where it says which is right. */
		if (words[i].meaning == OTHER_REGION && answer->status == 400 &&
			element(answer, "Region") == NULL)
			return FAILS;
		return words[i].meaning;
	}

	switch (answer->status)
	{
		case 301:
		case 307:
			return OTHER_REGION;
		case 401:
		case 403:
			return DENIES;
		case 404:
			return NO_OBJECT;
		case 413:
		case 507:
			return NO_ROOM;
		case 408:
		case 429:
			return ANOTHER_TIME;
		default:

			/* A success that is none, as of a copy, says why in its words. */
			return answer->status >= 500 || answer->status < 300 ? ANOTHER_TIME : FAILS;
	}
}

/*
 * Copy an element of the server's words, cleaned; NULL: there is none.
 */
static char *
element(const WhHttpAnswer *answer, const char *name)
{
	char	   *text = wh_xml_text(answer->body, strlen(answer->body), name);

	return text != NULL ? wh_clean_text(text) : NULL;
}

static char *
detail_of(const WhS3Attempt *attempt, const WhHttpAnswer *answer)
{
	char	   *code = element(answer, "Code");
	char	   *message = element(answer, "Message");

	if (code == NULL)
		return psprintf("Bucket \"%s\", HTTP status %d.", attempt->bucket, answer->status);

	return psprintf("Bucket \"%s\", HTTP status %d, %s: %s", attempt->bucket,
					answer->status, code, message != NULL ? message : "no more was said.");
}

/*
 * Raise that there was no answer.
 */
static void
raise_unanswered(const WhS3Attempt *attempt, const WhHttpAnswer *answer)
{
	switch (answer->outcome)
	{
		case WH_HTTP_CUT:
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("could not %s: the connection to the archive's server was lost", attempt->doing),
					 errdetail("Bucket \"%s\": %s", attempt->bucket, answer->problem),
					 errhint("SELECT * FROM _wh.wh_doctor() tries it again.")));
			break;
		case WH_HTTP_SLOW:
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("could not %s: the archive's server did nothing for %d ms",
							attempt->doing, wh_no_progress_timeout),
					 errdetail("Bucket \"%s\".", attempt->bucket),
					 errhint("Raise pg_warehouse.no_progress_timeout, or see what the server is at.")));
			break;
		case WH_HTTP_UNTRUSTED:
			ereport(ERROR,
					(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					 errmsg("could not trust the archive's server"),
					 errdetail("Bucket \"%s\": %s", attempt->bucket, answer->problem),
					 errhint("Have pg_warehouse.sslrootcert name the file of the authority that signed its certificate; its host must be that of pg_warehouse.s3_endpoint.")));
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					 errmsg("could not connect to the archive's server"),
					 errdetail("Bucket \"%s\": %s", attempt->bucket,
							   answer->outcome == WH_HTTP_SILENT ?
							   "No answer within pg_warehouse.connect_timeout." : answer->problem),
					 errhint("SHOW pg_warehouse.s3_endpoint; SELECT * FROM _wh.wh_doctor() tries it again.")));
	}
}

/*
 * Raise that the bucket is elsewhere.  Which region that is servers say in
 * one of three places, or only in their message.
 */
static void
raise_region(const WhS3Attempt *attempt, WhHttp *http, const WhHttpAnswer *answer)
{
	const char *header = wh_http_header(http, "x-amz-bucket-region");
	char	   *region = header != NULL ? wh_clean_text(header) : element(answer, "Region");

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("bucket \"%s\" is not in region \"%s\" of the archive's server",
					attempt->bucket, attempt->region),
			 errdetail("%s", detail_of(attempt, answer)),
			 errhint("As a superuser: ALTER SYSTEM SET pg_warehouse.s3_region = %s; SELECT pg_reload_conf();"
					 " then set the keys of 'archive:s3' again. An endpoint may belong to one region.",
					 region != NULL && region[0] != '\0' ? quote_literal_cstr(region) : "'...'")));
}

/*
 * Raise that the two clocks are too far apart for a signature to be worth
 * anything.
 */
static void
raise_time(const WhS3Attempt *attempt, WhHttp *http, const WhHttpAnswer *answer)
{
	const char *date = wh_http_header(http, "Date");
	time_t		theirs = date != NULL ? curl_getdate(date, NULL) : -1;
	char	   *ours = pstrdup(timestamptz_to_str(GetCurrentTimestamp()));

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the archive's server takes the clock of this one to be wrong"),
			 errdetail("Bucket \"%s\": the clock there is at %s, here at %s.", attempt->bucket,
					   theirs != -1 ? timestamptz_to_str(time_t_to_timestamptz(theirs)) : "(not told)",
					   ours),
			 errhint("Have both follow a time server; signatures are good for some minutes only.")));
}
