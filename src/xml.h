/*
 * xml.h
 *		What is wanted of the XML that a server answers with: the text of
 *		elements by their name, no more.
 */
#ifndef WH_XML_H
#define WH_XML_H

/*
 * Find the next element of a name at or after "at": its content begins at the
 * pointer returned and is "*len" bytes long; NULL when there is none.  One that
 * is inside another of the same name is not told from it.
 */
extern const char *wh_xml_element(const char *at, const char *name, size_t *len);

/*
 * Copy the text of the first element of a name among the first "len" bytes, with
 * what is written as an entity put in; NULL when there is none.
 */
extern char *wh_xml_text(const char *xml, size_t len, const char *name);

#endif							/* WH_XML_H */
