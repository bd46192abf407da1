/*
 * note.h
 *		What a file of the archive says of itself.
 *
 * The log says it too, but is written by a transaction that can fail after the
 * file is there.
 */
#ifndef WH_NOTE_H
#define WH_NOTE_H

#include "datatype/timestamp.h"

typedef struct WhNote
{
	int64		run_id;
	int			version;		/* of the template */
	char	   *columns;		/* as SQL declares them */
	char	   *encoding;		/* of the bytes */
	int64		rows;
	TimestampTz as_of;			/* the source's clock in the reading snapshot */
} WhNote;

/* Write and read one; a text that is none gives NULL. */
extern char *wh_note_text(const WhNote *note);
extern WhNote *wh_note_parse(const char *text);

#endif							/* WH_NOTE_H */
