/*
 * url.c
 *		Where an HTTP server is, and how names are written in its addresses.
 *
 * Two who read one address differently can be made to call different servers:
 * so little is accepted that there is but one reading.
 */
#include "postgres.h"

#include "url.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

static bool parse_port(const char *text, int *port);
static void append_encoded(StringInfo to, const char *text, const char *plain);

/*
 * Read an address; see url.h.
 */
bool
wh_url_parse(const char *text, WhUrl *url)
{
	bool		tls = strncmp(text, "https://", strlen("https://")) == 0;
	const char *host;
	const char *after;
	size_t		len;
	int			port = tls ? 443 : 80;

	if (!tls && strncmp(text, "http://", strlen("http://")) != 0)
		return false;
	host = strstr(text, "://") + strlen("://");

	if (host[0] == '[')
	{
		host++;
		len = strspn(host, DIGITS "ABCDEFabcdef:.");
		if (host[len] != ']')
			return false;
		after = host + len + 1;
	}
	else
	{
		len = strspn(host, LETTERS DIGITS ".-");
		after = host + len;
	}
	if (len == 0)
		return false;

	if (after[0] == ':')
	{
		size_t		digits = strspn(after + 1, DIGITS);

		if (!parse_port(after + 1, &port))
			return false;
		after += 1 + digits;
	}
	if (after[0] != '\0' && strcmp(after, "/") != 0)
		return false;

	url->tls = tls;
	url->host = pnstrdup(host, len);
	url->port = port;

	return true;
}

void
wh_url_path(StringInfo to, const char *name)
{
	append_encoded(to, name, LETTERS DIGITS "-_.~/");
}

void
wh_url_value(StringInfo to, const char *value)
{
	append_encoded(to, value, LETTERS DIGITS "-_.~");
}

static bool
parse_port(const char *text, int *port)
{
	size_t		digits = strspn(text, DIGITS);

	if (digits == 0 || digits > 5)
		return false;
	*port = atoi(text);

	return *port >= 1 && *port <= 65535;
}

static void
append_encoded(StringInfo to, const char *text, const char *plain)
{
	for (const char *p = text; *p != '\0'; p++)
	{
		if (strchr(plain, *p) != NULL)
			appendStringInfoChar(to, *p);
		else
			appendStringInfo(to, "%%%02X", (unsigned char) *p);
	}
}
