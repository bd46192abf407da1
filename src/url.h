/*
 * url.h
 *		Where an HTTP server is, and how names are written in its addresses.
 */
#ifndef WH_URL_H
#define WH_URL_H

#include "lib/stringinfo.h"

typedef struct WhUrl
{
	bool		tls;
	char	   *host;			/* an address of version 6 without brackets */
	int			port;
} WhUrl;

/*
 * Read http[s]://host[:port][/] and nothing more: no user, path or query; false
 * for anything else, and *url is what it was.
 */
extern bool wh_url_parse(const char *text, WhUrl *url);

/*
 * Append a name as RFC 3986 has it, upper case as the signature of a request
 * wants it: '/' stays in a path, and is a byte like others in a query.
 */
extern void wh_url_path(StringInfo to, const char *name);
extern void wh_url_value(StringInfo to, const char *value);

#endif							/* WH_URL_H */
