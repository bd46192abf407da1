/*
 * pack.h
 *		A temporary file of packed bytes, as the zstd program reads it: written,
 *		summed and read again.
 *
 * At its end is a note that zstd skips, so that a file tells by itself what it
 * is of.
 */
#ifndef WH_PACK_H
#define WH_PACK_H

#include "storage/fd.h"

/* 64 hexadecimal digits and their end. */
#define WH_SHA256_DIGITS 65

/* A file that is being written. */
typedef struct WhPack WhPack;

/*
 * Begin in CurrentMemoryContext; the file is CurrentResourceOwner's, and goes
 * with it.
 */
extern WhPack *wh_pack_begin(void);

/*
 * Write bytes; false when the disk does not take them, now or before: then
 * errno says why, and the file is nothing any more.
 */
extern bool wh_pack_write(WhPack *pack, const char *data, int len);

/* Write the note and the end; the same. */
extern bool wh_pack_end(WhPack *pack, const char *note);

/* What has been written, once it has ended: "sha256" is of the whole file. */
extern File wh_pack_file(const WhPack *pack);
extern int64 wh_pack_size(const WhPack *pack);
extern const char *wh_pack_sha256(const WhPack *pack);

/* Give the file up. */
extern void wh_pack_close(WhPack *pack);

/* A file that is being read. */
typedef struct WhUnpack WhUnpack;

/*
 * Open such a file of "size" bytes, which is read once for its sum; its note
 * is NULL where it has none.  What is broken throws XX001.
 */
extern WhUnpack *wh_unpack_begin(File file, int64 size);
extern const char *wh_unpack_sha256(const WhUnpack *unpack);
extern const char *wh_unpack_note(const WhUnpack *unpack);

/* Read bytes, "max" at most; 0 at the end. */
extern int	wh_unpack_read(WhUnpack *unpack, char *data, int max);

#endif							/* WH_PACK_H */
