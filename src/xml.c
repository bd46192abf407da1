/*
 * xml.c
 *		What is wanted of the XML that a server answers with: the text of
 *		elements by their name, no more.
 *
 * S3's answers are flat, a few names deep, without comments, sections of
 * characters or prefixes of names.  Whatever else comes, nothing is read
 * outside of the text; the bytes are the server's own, to be cleaned before
 * anybody is shown them.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "xml.h"

static size_t append_entity(StringInfo to, const char *at, const char *end);

/*
 * Find an element; see xml.h.
 */
const char *
wh_xml_element(const char *at, const char *name, size_t *len)
{
	size_t		name_len = strlen(name);

	while ((at = strchr(at, '<')) != NULL)
	{
		const char *start = ++at;
		const char *end;

		if (strncmp(start, name, name_len) != 0 ||
			strchr("> \t\r\n", start[name_len]) == NULL || start[name_len] == '\0')
			continue;
		start = strchr(start, '>');
		if (start == NULL)
			return NULL;
		start++;
		for (end = strstr(start, "</"); end != NULL; end = strstr(end + 2, "</"))
		{
			if (strncmp(end + 2, name, name_len) == 0 && end[2 + name_len] == '>')
			{
				*len = end - start;
				return start;
			}
		}
		return NULL;
	}

	return NULL;
}

/*
 * Copy an element's text; see xml.h.
 */
char *
wh_xml_text(const char *xml, size_t len, const char *name)
{
	size_t		text_len;
	const char *at = wh_xml_element(xml, name, &text_len);
	const char *end;
	StringInfoData text;

	if (at == NULL || at + text_len > xml + len)
		return NULL;

	end = at + text_len;
	initStringInfo(&text);
	while (at < end)
	{
		size_t		taken = *at == '&' ? append_entity(&text, at, end) : 0;

		if (taken == 0)
		{
			appendStringInfoChar(&text, *at);
			taken = 1;
		}
		at += taken;
	}

	return text.data;
}

/*
 * Append what an entity stands for and return how long it is written; 0 when it
 * is none that we know.
 */
static size_t
append_entity(StringInfo to, const char *at, const char *end)
{
	static const struct
	{
		const char *entity;
		char		character;
	}			known[] = {
		{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'}, {"&apos;", '\''}
	};

	for (int i = 0; i < (int) lengthof(known); i++)
	{
		size_t		len = strlen(known[i].entity);

		if ((size_t) (end - at) >= len && strncmp(at, known[i].entity, len) == 0)
		{
			appendStringInfoChar(to, known[i].character);
			return len;
		}
	}

	/* A character by its number: what S3 writes of are quotes and line ends. */
	if (end - at > 3 && at[1] == '#')
	{
		char	   *stop;
		bool		hex = at[2] == 'x';
		unsigned long code = strtoul(at + (hex ? 3 : 2), &stop, hex ? 16 : 10);

		if (stop < end && *stop == ';' && code > 0 && code < 0x80)
		{
			appendStringInfoChar(to, (char) code);
			return stop + 1 - at;
		}
	}

	return 0;
}
