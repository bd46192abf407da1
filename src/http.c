/*
 * http.c
 *		WhHttp: signed requests to one HTTP server, one after the other, that
 *		cannot leak and cannot hang.
 *
 * libcurl does the talking, and no more: the waiting is ours (httpwait.c), so
 * that each wait ends at a deadline, on cancel and on termination.  Names are
 * resolved before (resolve.c): its own way would be a thread.
 *
 * The rule kept here: nothing is thrown, allocated or waited for inside of a
 * callback, since an error would jump over libcurl's own frames.  Callbacks move
 * bytes between libcurl and two buffers, and have it pause when there is
 * nothing to move; files are read and written, and errors raised, outside.
 *
 * What status and words of an answer mean is its caller's to say.
 */
#include "postgres.h"

#include <curl/curl.h>

#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "guc.h"
#include "http.h"
#include "httpwait.h"
#include "remote.h"
#include "resolve.h"

#define BUFFER_BYTES (256 * 1024)

/* What a server may say, other than what is written to a file. */
#define MAX_ANSWER_BYTES (8 * 1024 * 1024)

/* libcurl's own pair of sockets, and those that are waited for. */
#define MAX_DESCRIPTORS (2 + WH_HTTP_SOCKETS)

/* Bytes on their way between libcurl and us. */
typedef struct Flow
{
	char	   *data;			/* BUFFER_BYTES */
	Size		start;			/* the next one to be taken */
	Size		end;
	bool		paused;			/* libcurl waits for bytes, or for room */
} Flow;

struct WhHttp
{
	WhUrl		server;
	char	   *base;			/* scheme, host and port */
	CURLM	   *multi;
	CURL	   *easy;
	bool		busy;			/* "easy" was given to "multi" */
	struct curl_slist *addresses;
	struct curl_slist *headers;
	bool		resolved;
	int			descriptors;	/* AcquireExternalFD()s that are due a release */
	char		error[CURL_ERROR_SIZE];

	WhHttpWait *wait;			/* for its sockets; NULL: not yet made */

	/* The request in flight. */
	Flow		out;
	Flow		in;
	int64		body_size;
	int64		body_at;		/* of the file, what comes into "out" next */
	TimestampTz started_at;
	TimestampTz moved_at;		/* when a byte last came or went */

	MemoryContextCallback on_reset;
};

static void init_curl(void);
static void close_http(void *arg);
static void acquire_descriptors(WhHttp *http);
static void set_up(WhHttp *http, const char *signature, const char *user,
				   const char *password);
static const char *resolve(WhHttp *http);
static void prepare(WhHttp *http, const WhHttpRequest *request);
static void add_line(struct curl_slist **list, const char *line);
static size_t send_bytes(char *to, size_t size, size_t n, void *arg);
static int	seek_body(void *arg, curl_off_t offset, int origin);
static size_t take_header(char *line, size_t size, size_t n, void *arg);
static size_t take_bytes(char *from, size_t size, size_t n, void *arg);
static bool ended(WhHttp *http, CURLcode *code);
static void move_bytes(WhHttp *http, const WhHttpRequest *request,
					   WhHttpAnswer *answer, StringInfo body);
static void fill_out(WhHttp *http, const WhHttpRequest *request);
static void drain_in(WhHttp *http, const WhHttpRequest *request,
					 WhHttpAnswer *answer, StringInfo body);
static bool is_success(WhHttp *http);
static TimestampTz deadline_of(WhHttp *http);
static bool is_talking(WhHttp *http);
static void tell(WhHttp *http, CURLcode code, WhHttpAnswer *answer);

/*
 * Make ready to call a server; see http.h.
 */
WhHttp *
wh_http_open(const WhUrl *server, const char *signature, const char *user,
			 const char *password)
{
	bool		numeric = strchr(server->host, ':') != NULL;
	WhHttp	   *http = (WhHttp *) palloc0(sizeof(WhHttp));

	init_curl();
	http->server = *server;
	http->server.host = pstrdup(server->host);
	http->base = psprintf(numeric ? "%s://[%s]:%d" : "%s://%s:%d",
						  server->tls ? "https" : "http", server->host, server->port);
	http->out.data = (char *) palloc(BUFFER_BYTES);
	http->in.data = (char *) palloc(BUFFER_BYTES);
	http->on_reset.func = close_http;
	http->on_reset.arg = http;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &http->on_reset);
	acquire_descriptors(http);

	http->multi = curl_multi_init();
	http->easy = curl_easy_init();
	if (http->multi == NULL || http->easy == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	http->wait = wh_http_wait_open(http->multi);
	set_up(http, signature, user, password);

	return http;
}

/*
 * Do one request; see http.h.
 */
void
wh_http_request(WhHttp *http, const WhHttpRequest *request, WhHttpAnswer *answer)
{
	CURLcode	code = CURLE_OK;
	StringInfoData body;
	const char *problem;

	memset(answer, 0, sizeof(WhHttpAnswer));
	initStringInfo(&body);
	http->started_at = http->moved_at = GetCurrentTimestamp();

	problem = resolve(http);
	if (problem != NULL)
	{
		answer->outcome = WH_HTTP_UNREACHABLE;
		answer->problem = problem;
		answer->body = body.data;
		return;
	}
	prepare(http, request);
	fill_out(http, request);
	if (curl_multi_add_handle(http->multi, http->easy) != CURLM_OK)
		elog(ERROR, "could not begin a request");
	http->busy = true;

	while (!ended(http, &code))
	{
		TimestampTz deadline = deadline_of(http);

		if (GetCurrentTimestamp() >= deadline)
		{
			code = CURLE_OPERATION_TIMEDOUT;
			break;
		}
		wh_http_wait(http->wait, deadline);
		move_bytes(http, request, answer, &body);
		if (body.len > MAX_ANSWER_BYTES)
		{
			/* Of a refusal that is enough; anything else is not whole. */
			code = is_success(http) ? CURLE_FILESIZE_EXCEEDED : CURLE_OK;
			break;
		}
	}
	drain_in(http, request, answer, &body);

	answer->body = body.data;
	tell(http, code, answer);
	(void) curl_multi_remove_handle(http->multi, http->easy);
	http->busy = false;
}

const char *
wh_http_header(WhHttp *http, const char *name)
{
	struct curl_header *header;

	if (curl_easy_header(http->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return NULL;

	return header->value;
}

/*
 * Set the library up, once in a process and for its life.
 */
static void
init_curl(void)
{
	static bool done = false;

	if (!done && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		elog(ERROR, "could not initialize libcurl");
	done = true;
}

/*
 * Close what is open; called at the end of its memory context.  libcurl may say
 * once more what it waits for, which is only noted.
 */
static void
close_http(void *arg)
{
	WhHttp	   *http = (WhHttp *) arg;

	if (http->busy)
		(void) curl_multi_remove_handle(http->multi, http->easy);
	if (http->easy != NULL)
		curl_easy_cleanup(http->easy);
	if (http->multi != NULL)
		(void) curl_multi_cleanup(http->multi);
	if (http->wait != NULL)
		wh_http_wait_close(http->wait);
	curl_slist_free_all(http->headers);
	curl_slist_free_all(http->addresses);
	while (http->descriptors > 0)
	{
		ReleaseExternalFD();
		http->descriptors--;
	}
}

static void
acquire_descriptors(WhHttp *http)
{
	while (http->descriptors < MAX_DESCRIPTORS)
	{
		if (!AcquireExternalFD())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("could not connect to the archive's server: too many open files"),
					 errhint("Raise the server's max_files_per_process and its limit on open files.")));
		http->descriptors++;
	}
}

/*
 * Set what is the same for all requests.  What is not understood by this
 * libcurl must not be left out in silence, as with TLS it would matter.
 */
static void
set_up(WhHttp *http, const char *signature, const char *user, const char *password)
{
	CURL	   *easy = http->easy;
	int			failed = 0;

	failed |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, http->server.tls ? "https" : "http");
	failed |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	failed |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
	failed |= curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	failed |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	failed |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	failed |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	failed |= curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	failed |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "pg_warehouse");
	failed |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->error);

	failed |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	failed |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	failed |= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	if (wh_sslrootcert != NULL && wh_sslrootcert[0] != '\0')
		failed |= curl_easy_setopt(easy, CURLOPT_CAINFO, wh_sslrootcert);

	failed |= curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, signature);
	failed |= curl_easy_setopt(easy, CURLOPT_USERNAME, user);
	failed |= curl_easy_setopt(easy, CURLOPT_PASSWORD, password);

	failed |= curl_easy_setopt(easy, CURLOPT_READFUNCTION, send_bytes);
	failed |= curl_easy_setopt(easy, CURLOPT_READDATA, http);
	failed |= curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, seek_body);
	failed |= curl_easy_setopt(easy, CURLOPT_SEEKDATA, http);
	failed |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	failed |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, http);
	failed |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
	failed |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
	failed |= curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long) BUFFER_BYTES);

	failed |= curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, 1L);

	if (failed != 0)
		elog(ERROR, "libcurl refuses a setting");
}

/*
 * Tell libcurl the addresses of the server, once; NULL, or why there are none.
 */
static const char *
resolve(WhHttp *http)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(http->started_at, wh_connect_timeout);
	const char *reason;
	List	   *addresses;
	ListCell   *lc;
	StringInfoData line;

	if (http->resolved)
		return NULL;

	addresses = wh_resolve(http->server.host, deadline, &reason);
	if (addresses == NIL)
		return psprintf("Could not resolve host name \"%s\": %s.", http->server.host, reason);

	http->resolved = true;

	/* An address needs none. */
	if (strcmp((const char *) linitial(addresses), http->server.host) == 0)
		return NULL;

	initStringInfo(&line);
	appendStringInfo(&line, "%s:%d:", http->server.host, http->server.port);
	foreach(lc, addresses)
	{
		const char *address = (const char *) lfirst(lc);

		if (lc != list_head(addresses))
			appendStringInfoChar(&line, ',');
		appendStringInfo(&line, strchr(address, ':') != NULL ? "[%s]" : "%s", address);
	}
	add_line(&http->addresses, line.data);
	if (curl_easy_setopt(http->easy, CURLOPT_RESOLVE, http->addresses) != CURLE_OK)
		elog(ERROR, "libcurl refuses an address");

	return NULL;
}

/*
 * Set what this request is.  One before it may have been given up by an error.
 */
static void
prepare(WhHttp *http, const WhHttpRequest *request)
{
	CURL	   *easy = http->easy;
	ListCell   *lc;
	int			failed = 0;

	if (http->busy)
	{
		(void) curl_multi_remove_handle(http->multi, easy);
		http->busy = false;
	}
	curl_slist_free_all(http->headers);
	http->headers = NULL;
	foreach(lc, request->headers)
		add_line(&http->headers, (const char *) lfirst(lc));

	http->error[0] = '\0';
	http->out.start = http->out.end = 0;
	http->in.start = http->in.end = 0;
	http->out.paused = http->in.paused = false;
	http->body_size = request->body_size;
	http->body_at = 0;

	/* GET takes back whatever the last one was. */
	failed |= curl_easy_setopt(easy, CURLOPT_UPLOAD, 0L);
	failed |= curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	failed |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST,
							   request->method == WH_HTTP_DELETE ? "DELETE" : NULL);
	if (request->method == WH_HTTP_HEAD)
		failed |= curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	if (request->method == WH_HTTP_PUT)
	{
		failed |= curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		failed |= curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t) request->body_size);
	}
	failed |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) wh_connect_timeout);
	failed |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, http->headers);
	failed |= curl_easy_setopt(easy, CURLOPT_URL, psprintf("%s%s", http->base, request->target));
	if (failed != 0)
		elog(ERROR, "libcurl refuses a request");
}

static void
add_line(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (longer == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	*list = longer;
}

/*
 * Give libcurl what it may send next.
 */
static size_t
send_bytes(char *to, size_t size, size_t n, void *arg)
{
	WhHttp	   *http = (WhHttp *) arg;
	Flow	   *out = &http->out;
	Size		len = Min(size * n, out->end - out->start);

	http->moved_at = GetCurrentTimestamp();
	if (len == 0 && http->body_at < http->body_size)
	{
		out->paused = true;
		return CURL_READFUNC_PAUSE;
	}
	memcpy(to, out->data + out->start, len);
	out->start += len;

	return len;
}

/*
 * Begin to send anew, over another connection: one that was kept can turn out
 * to be closed only when it is used.
 */
static int
seek_body(void *arg, curl_off_t offset, int origin)
{
	WhHttp	   *http = (WhHttp *) arg;

	if (origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	http->body_at = offset;
	http->out.start = http->out.end = 0;

	return CURL_SEEKFUNC_OK;
}

static size_t
take_header(char *line, size_t size, size_t n, void *arg)
{
	WhHttp	   *http = (WhHttp *) arg;

	http->moved_at = GetCurrentTimestamp();

	return size * n;
}

/*
 * Take what has come, if there is room for it.
 */
static size_t
take_bytes(char *from, size_t size, size_t n, void *arg)
{
	WhHttp	   *http = (WhHttp *) arg;
	Flow	   *in = &http->in;

	http->moved_at = GetCurrentTimestamp();
	if (in->start == in->end)
		in->start = in->end = 0;
	if (size * n > BUFFER_BYTES - in->end)
	{
		in->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	memcpy(in->data + in->end, from, size * n);
	in->end += size * n;

	return size * n;
}

/*
 * Has the request come to its end, and how?
 */
static bool
ended(WhHttp *http, CURLcode *code)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL)
	{
		if (message->msg != CURLMSG_DONE)
			continue;
		*code = message->data.result;
		return true;
	}

	return false;
}

/*
 * Do for the buffers what the callbacks must not, and let libcurl go on.  That
 * calls them again, so it may want more at once.
 */
static void
move_bytes(WhHttp *http, const WhHttpRequest *request, WhHttpAnswer *answer,
		   StringInfo body)
{
	drain_in(http, request, answer, body);
	while (http->out.paused || http->in.paused)
	{
		if (http->out.paused)
			fill_out(http, request);
		http->out.paused = http->in.paused = false;
		if (curl_easy_pause(http->easy, CURLPAUSE_CONT) != CURLE_OK)
			return;
		drain_in(http, request, answer, body);
	}
}

static void
fill_out(WhHttp *http, const WhHttpRequest *request)
{
	Flow	   *out = &http->out;
	int64		left = http->body_size - http->body_at;
	int			got;

	if (out->start < out->end || left <= 0)
		return;

	got = FileRead(request->body, out->data, Min(left, BUFFER_BYTES), http->body_at,
				   WAIT_EVENT_BUFFILE_READ);
	if (got < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", FilePathName(request->body))));
	if (got == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("file \"%s\" is shorter than it was", FilePathName(request->body))));
	out->start = 0;
	out->end = got;
	http->body_at += got;
}

static void
drain_in(WhHttp *http, const WhHttpRequest *request, WhHttpAnswer *answer,
		 StringInfo body)
{
	Flow	   *in = &http->in;
	int			len = in->end - in->start;
	int			written;

	if (len == 0)
		return;
	if (request->sink <= 0 || !is_success(http))
	{
		appendBinaryStringInfo(body, in->data + in->start, len);
		in->start = in->end;
		return;
	}

	errno = 0;
	written = FileWrite(request->sink, in->data + in->start, len, answer->sunk,
						WAIT_EVENT_BUFFILE_WRITE);
	if (written != len)
	{
		if (errno == 0)
			errno = ENOSPC;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", FilePathName(request->sink))));
	}
	answer->sunk += len;
	in->start = in->end;
}

static bool
is_success(WhHttp *http)
{
	long		status = 0;

	(void) curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);

	return status >= 200 && status < 300;
}

/*
 * Tell until when the server has to do something.  To connect has a time of its
 * own, TLS included, which libcurl watches too.
 */
static TimestampTz
deadline_of(WhHttp *http)
{
	if (is_talking(http))
		return TimestampTzPlusMilliseconds(http->moved_at, wh_no_progress_timeout);

	return TimestampTzPlusMilliseconds(http->started_at, wh_connect_timeout);
}

/*
 * Is the connection there, so that the request could be sent?
 */
static bool
is_talking(WhHttp *http)
{
	curl_off_t	connected = 0;

	(void) curl_easy_getinfo(http->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);

	return connected > 0;
}

/*
 * Tell how the request ended.
 */
static void
tell(WhHttp *http, CURLcode code, WhHttpAnswer *answer)
{
	long		status = 0;
	long		os_errno = 0;

	(void) curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
	(void) curl_easy_getinfo(http->easy, CURLINFO_OS_ERRNO, &os_errno);
	answer->status = (int) status;
	if (code == CURLE_OK)
	{
		answer->outcome = WH_HTTP_ANSWERED;
		return;
	}

	answer->problem = wh_clean_text(http->error[0] != '\0' ? http->error :
									curl_easy_strerror(code));
	switch (code)
	{
		case CURLE_OUT_OF_MEMORY:
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory")));
			break;
		case CURLE_COULDNT_CONNECT:
			answer->outcome = WH_HTTP_UNREACHABLE;
			if (os_errno != 0)
				answer->problem = psprintf("%s.", strerror((int) os_errno));
			break;
		case CURLE_OPERATION_TIMEDOUT:
			answer->outcome = is_talking(http) ? WH_HTTP_SLOW : WH_HTTP_SILENT;
			break;
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_UNSUPPORTED_PROTOCOL:
		case CURLE_WEIRD_SERVER_REPLY:
			answer->outcome = WH_HTTP_UNREACHABLE;
			break;
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_ISSUER_ERROR:
			answer->outcome = WH_HTTP_UNTRUSTED;
			break;
		default:
			answer->outcome = WH_HTTP_CUT;
			break;
	}
}
