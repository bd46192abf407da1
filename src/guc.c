/*
 * guc.c
 *		The settings of pg_warehouse.*; everything that names a file or an
 *		endpoint is the server's (SIGHUP, superuser), the rest any session's.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "guc.h"
#include "url.h"

#define MAX_WORKERS 1000
#define MAX_SLICES 1000000
#define MAX_FAILURES 1000
#define LONGEST_COOLDOWN (60 * 60 * 1000)
#define MINUTES_PER_DAY (24 * 60)

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

char	   *wh_key_file = NULL;
char	   *wh_sslrootcert = NULL;
char	   *wh_archive_directory = NULL;
char	   *wh_s3_endpoint = NULL;
char	   *wh_s3_bucket = NULL;
char	   *wh_s3_region = NULL;
char	   *wh_s3_prefix = NULL;
int			wh_log_retention = 90 * MINUTES_PER_DAY;
int			wh_failure_retention = 365 * MINUTES_PER_DAY;
int			wh_breaker_failures = 3;
int			wh_breaker_cooldown = 60000;
int			wh_retry_time = 60000;
int			wh_max_workers = 4;
int			wh_connect_timeout = 10000;
int			wh_no_progress_timeout = 60000;
int			wh_run_timeout = 0;
int			wh_lock_deadline = 30000;
int			wh_lock_retry = 20;
int			wh_delta_memory = 64 * 1024;
bool		wh_expand_views = true;
int			wh_expand_max_slices = 300;
int			wh_expand_chunk_size = 32;

static void define_s3(void);
static bool check_endpoint(char **value, void **extra, GucSource source);
static bool check_bucket(char **value, void **extra, GucSource source);
static bool check_region(char **value, void **extra, GucSource source);
static bool check_prefix(char **value, void **extra, GucSource source);
static void define_retention(const char *name, const char *what, int *value);
static void define_duration(const char *name, const char *what, const char *more,
							int *value, int normal, int least);

/*
 * Define all settings and reserve the prefix.
 */
void
wh_guc_define(void)
{
	DefineCustomStringVariable("pg_warehouse.key_file",
							   "Sets the file that holds the ring of sealing keys.",
							   "Empty means pg_warehouse.key beside the data directory.",
							   &wh_key_file,
							   "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   NULL, NULL, NULL);
	DefineCustomStringVariable("pg_warehouse.sslrootcert",
							   "Sets the certificate authorities that certificates of tenants and of the archive's server are verified against.",
							   "A tenant's own sslrootcert comes first; empty means libpq's default file, and the system's for the archive.",
							   &wh_sslrootcert,
							   "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   NULL, NULL, NULL);
	define_s3();

	DefineCustomStringVariable("pg_warehouse.archive_directory",
							   "Sets the folder that extracts are archived in.",
							   "An absolute path outside the data directory, owned by the server's user; empty means none.",
							   &wh_archive_directory,
							   "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   NULL, NULL, NULL);

	define_retention("pg_warehouse.log_retention",
					 "Sets how long the log keeps runs that succeeded or were skipped.",
					 &wh_log_retention);
	define_retention("pg_warehouse.failure_retention",
					 "Sets how long the log keeps runs that failed or were lost.",
					 &wh_failure_retention);

	DefineCustomIntVariable("pg_warehouse.breaker_failures",
							"Sets after how many failures in a row a tenant's server is left alone for a while.",
							"Zero asks it every time.",
							&wh_breaker_failures, 3, 0, MAX_FAILURES,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("pg_warehouse.breaker_cooldown",
							"Sets for how long it is left alone the first time.",
							"Doubled each time that it fails again, up to an hour.",
							&wh_breaker_cooldown, 60000, 1, LONGEST_COOLDOWN,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	define_duration("pg_warehouse.retry_time",
					"Sets for how long a unit whose failure may pass is tried again.",
					"From its first failure on; zero means one attempt.",
					&wh_retry_time, 60000, 0);
	DefineCustomIntVariable("pg_warehouse.max_workers",
							"Sets how many background workers one call may use.",
							"Zero makes the session do all the work itself.",
							&wh_max_workers, 4, 0, MAX_WORKERS,
							PGC_USERSET, 0,
							NULL, NULL, NULL);
	define_duration("pg_warehouse.connect_timeout",
					"Sets how long connecting to a tenant may take.",
					"Name resolution, TLS and authentication included.",
					&wh_connect_timeout, 10000, 1);
	define_duration("pg_warehouse.no_progress_timeout",
					"Sets how long a tenant may send nothing.",
					"Any byte starts the time anew.",
					&wh_no_progress_timeout, 60000, 1);
	define_duration("pg_warehouse.run_timeout",
					"Sets how long one unit may read from a tenant.",
					"Zero means no limit.",
					&wh_run_timeout, 0, 0);
	define_duration("pg_warehouse.lock_deadline",
					"Sets how long a refill or a change of a view tries for its lock.",
					NULL,
					&wh_lock_deadline, 30000, 0);
	define_duration("pg_warehouse.lock_retry",
					"Sets the first pause between two tries for a lock.",
					"Doubled after each try, up to 200 ms.",
					&wh_lock_retry, 20, 1);
	DefineCustomIntVariable("pg_warehouse.delta_memory",
							"Sets the memory in which a refresh matches rows that come in another order than they are stored.",
							"A refresh that needs more writes the relation anew.",
							&wh_delta_memory,
							64 * 1024, 1024, MAX_KILOBYTES,
							PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);

	DefineCustomBoolVariable("pg_warehouse.expand_views",
							 "Plans queries on union views as queries on the slices that they need.",
							 "Off, the slices are scanned by the foreign table of the template.",
							 &wh_expand_views, true,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("pg_warehouse.expand_max_slices",
							"Sets how many slices of one template a query is planned over.",
							"More than that are scanned by the foreign table of the template.",
							&wh_expand_max_slices, 300, 0, MAX_SLICES,
							PGC_USERSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("pg_warehouse.expand_chunk_size",
							"Sets how many slices are planned at one level of a query.",
							"For developers; the result is the same.",
							&wh_expand_chunk_size, 32, 2, MAX_SLICES,
							PGC_USERSET, GUC_NOT_IN_SAMPLE,
							NULL, NULL, NULL);

	MarkGUCPrefixReserved("pg_warehouse");
}

/*
 * Return the key ring's path, palloc'd: the setting, else beside the data
 * directory, so that a copy of the data directory holds no key.
 */
char *
wh_guc_key_file(void)
{
	char	   *parent;

	if (wh_key_file != NULL && wh_key_file[0] != '\0')
		return pstrdup(wh_key_file);

	parent = pstrdup(DataDir);
	get_parent_directory(parent);

	return psprintf("%s/pg_warehouse.key", parent);
}

/*
 * Define where the archive's bucket is.  These decide where data goes, and
 * whether it goes there in clear: a superuser's, in a file.
 */
static void
define_s3(void)
{
	DefineCustomStringVariable("pg_warehouse.s3_endpoint",
							   "Sets the server of the archive's bucket, such as https://s3.eu-central-1.amazonaws.com.",
							   "With http:// data goes there in clear.",
							   &wh_s3_endpoint,
							   "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   check_endpoint, NULL, NULL);
	DefineCustomStringVariable("pg_warehouse.s3_bucket",
							   "Sets the bucket that the archive is kept in.",
							   "pg_warehouse.archive_directory comes first.",
							   &wh_s3_bucket,
							   "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   check_bucket, NULL, NULL);
	DefineCustomStringVariable("pg_warehouse.s3_region",
							   "Sets the region of the archive's bucket.",
							   NULL,
							   &wh_s3_region,
							   "us-east-1",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   check_region, NULL, NULL);
	DefineCustomStringVariable("pg_warehouse.s3_prefix",
							   "Sets what the names of all objects in the archive's bucket begin with.",
							   "Two warehouses can share a bucket by it.",
							   &wh_s3_prefix,
							   "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   check_prefix, NULL, NULL);
}

static bool
check_endpoint(char **value, void **extra, GucSource source)
{
	WhUrl		url;

	if (*value[0] == '\0')
		return true;
	if (!wh_url_parse(*value, &url))
	{
		GUC_check_errdetail("It must be https://host or https://host:port, without a path.");
		return false;
	}
	pfree(url.host);

	return true;
}

static bool
check_bucket(char **value, void **extra, GucSource source)
{
	size_t		len = strlen(*value);

	if (len == 0 ||
		(len >= 3 && len <= 63 && strspn(*value, LOWER DIGITS ".-") == len &&
		 strspn(*value, LOWER DIGITS) > 0))
		return true;
	GUC_check_errdetail("It must be 3 to 63 lower-case letters, digits, dots and hyphens, a letter or digit first.");

	return false;
}

static bool
check_region(char **value, void **extra, GucSource source)
{
	size_t		len = strlen(*value);

	if (len > 0 && strspn(*value, LOWER UPPER DIGITS "-_") == len)
		return true;
	GUC_check_errdetail("It must be letters, digits and hyphens, such as us-east-1.");

	return false;
}

/*
 * Accept what can be the beginning of a path and of an address as it stands.
 */
static bool
check_prefix(char **value, void **extra, GucSource source)
{
	const char *at = *value;

	while (*at != '\0')
	{
		size_t		len = strspn(at, LOWER UPPER DIGITS "-_.~=");

		if (len == 0 || at[0] == '.' || (at[len] != '\0' && at[len] != '/') ||
			(at[len] == '/' && at[len + 1] == '\0'))
		{
			GUC_check_errdetail("It must be names of letters, digits and any of -_~=., none beginning with a dot, with '/' between them.");
			return false;
		}
		at += len + (at[len] == '/' ? 1 : 0);
	}

	return true;
}

/*
 * Define how long rows of the log are kept.
 */
static void
define_retention(const char *name, const char *what, int *value)
{
	DefineCustomIntVariable(name, what,
							"The last one of each unit is kept for ever; -1 keeps all.",
							value, *value, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MIN,
							NULL, NULL, NULL);
}

/*
 * Define one duration in milliseconds that any session may set.
 */
static void
define_duration(const char *name, const char *what, const char *more,
				int *value, int normal, int least)
{
	DefineCustomIntVariable(name, what, more, value, normal, least, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
}
