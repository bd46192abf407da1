/*
 * http.h
 *		WhHttp: signed requests to one HTTP server, one after the other, that
 *		cannot leak and cannot hang.
 */
#ifndef WH_HTTP_H
#define WH_HTTP_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "storage/fd.h"
#include "url.h"

typedef struct WhHttp WhHttp;

typedef enum WhHttpMethod
{
	WH_HTTP_GET,
	WH_HTTP_HEAD,
	WH_HTTP_PUT,
	WH_HTTP_DELETE
} WhHttpMethod;

typedef struct WhHttpRequest
{
	WhHttpMethod method;
	const char *target;			/* path and query, encoded */
	List	   *headers;		/* of char *, "Name: value" */

	/* What is sent by PUT: the first bytes of a file of ours. */
	File		body;
	int64		body_size;		/* 0: nothing */

	/* Where the body of a successful answer to GET goes; 0: answer->body. */
	File		sink;
} WhHttpRequest;

typedef enum WhHttpOutcome
{
	WH_HTTP_ANSWERED,			/* with whatever status */
	WH_HTTP_UNREACHABLE,		/* nobody there who can be talked to */
	WH_HTTP_SILENT,				/* nobody answered in time */
	WH_HTTP_UNTRUSTED,			/* it could not prove who it is */
	WH_HTTP_CUT,				/* it broke off */
	WH_HTTP_SLOW				/* it said nothing more for too long */
} WhHttpOutcome;

typedef struct WhHttpAnswer
{
	WhHttpOutcome outcome;
	const char *problem;		/* why not answered, clean; NULL: answered */
	int			status;			/* 200, 404 ... */
	char	   *body;			/* "" when it went to the sink; not clean */
	int64		sunk;			/* bytes that went there */
} WhHttpAnswer;

/*
 * Make ready to call a server, from CurrentMemoryContext: what is open closes
 * itself when that is reset or deleted.  Nothing is sent yet.  Requests are
 * signed with user and password, which libcurl copies, as "signature" says
 * (CURLOPT_AWS_SIGV4).  Of the server's account nothing is lent: no proxy of
 * its environment, no file of passwords.
 */
extern WhHttp *wh_http_open(const WhUrl *server, const char *signature,
							const char *user, const char *password);

/*
 * Do one request and tell how it ended: what the server and the network do is
 * in *answer, which lives in CurrentMemoryContext.  Throws on cancel, on
 * termination, and what is wrong with a file of ours.  Redirections are not
 * followed.
 */
extern void wh_http_request(WhHttp *http, const WhHttpRequest *request,
							WhHttpAnswer *answer);

/* A header of the last answer, not clean; NULL: it had none of that name. */
extern const char *wh_http_header(WhHttp *http, const char *name);

#endif							/* WH_HTTP_H */
