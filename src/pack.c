/*
 * pack.c
 *		A temporary file of packed bytes, as the zstd program reads it: written,
 *		summed and read again.
 *
 * The note is a skippable frame of the format, which every reader passes over;
 * its last bytes say how long it is, so that it can be found from the end.
 * What libzstd has allocated is freed with the memory context.
 */
#include "postgres.h"

#include <zstd.h>

#include "commands/tablespace.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "pack.h"

/* Fast: what is packed comes from a tenant who waits. */
#define LEVEL 1

#define READ_BYTES (128 * 1024)

/* A skippable frame begins with this and the length of what is in it. */
#define NOTE_MAGIC 0x184D2A57
#define NOTE_HEAD 8

/* It ends with the length of the note and this. */
static const char note_tag[8] = "whnote1";

#define NOTE_FOOT ((int) (sizeof(uint32) + sizeof(note_tag)))

struct WhPack
{
	ZSTD_CCtx  *packer;			/* NULL once freed */
	MemoryContextCallback on_reset;
	pg_cryptohash_ctx *sum;
	File		file;
	int64		size;
	int			failure;		/* errno of what the disk refused; or 0 */
	char	   *buffer;
	Size		room;			/* in it */
	char		sha256[WH_SHA256_DIGITS];
};

struct WhUnpack
{
	ZSTD_DCtx  *unpacker;		/* NULL once freed */
	MemoryContextCallback on_reset;
	File		file;
	int64		size;
	int64		at;				/* what has been read of it */
	char	   *buffer;
	ZSTD_inBuffer in;
	bool		whole;			/* no frame has begun that did not end */
	char	   *note;
	char		sha256[WH_SHA256_DIGITS];
};

static void free_packer(void *arg);
static void free_unpacker(void *arg);
static bool feed(WhPack *pack, const char *data, Size len, ZSTD_EndDirective how);
static bool append(WhPack *pack, const char *data, Size len);
static pg_cryptohash_ctx *begin_sum(void);
static void add_to_sum(pg_cryptohash_ctx *sum, const char *data, Size len);
static void end_sum(pg_cryptohash_ctx *sum, char *digits);
static int	read_at(WhUnpack *unpack, char *data, int len, int64 at);
static void find_note(WhUnpack *unpack);
static void raise_broken(const char *detail) pg_attribute_noreturn();

/*
 * Begin a file; see pack.h.
 */
WhPack *
wh_pack_begin(void)
{
	WhPack	   *pack = (WhPack *) palloc0(sizeof(WhPack));

	pack->room = ZSTD_CStreamOutSize();
	pack->buffer = (char *) palloc(pack->room);
	pack->on_reset.func = free_packer;
	pack->on_reset.arg = pack;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &pack->on_reset);
	pack->packer = ZSTD_createCCtx();
	if (pack->packer == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	(void) ZSTD_CCtx_setParameter(pack->packer, ZSTD_c_compressionLevel, LEVEL);
	(void) ZSTD_CCtx_setParameter(pack->packer, ZSTD_c_checksumFlag, 1);
	pack->sum = begin_sum();
	PrepareTempTablespaces();
	pack->file = OpenTemporaryFile(false);

	return pack;
}

bool
wh_pack_write(WhPack *pack, const char *data, int len)
{
	return feed(pack, data, len, ZSTD_e_continue);
}

bool
wh_pack_end(WhPack *pack, const char *note)
{
	uint32		len = (uint32) strlen(note);
	char	   *frame = (char *) palloc(NOTE_HEAD + len + NOTE_FOOT);
	uint32		words[2] = {NOTE_MAGIC, len + NOTE_FOOT};
	uint32		last = len;

	/* The format is little-endian wherever it is written. */
#ifdef WORDS_BIGENDIAN
	words[0] = pg_bswap32(words[0]);
	words[1] = pg_bswap32(words[1]);
	last = pg_bswap32(last);
#endif
	memcpy(frame, words, NOTE_HEAD);
	memcpy(frame + NOTE_HEAD, note, len);
	memcpy(frame + NOTE_HEAD + len, &last, sizeof(last));
	memcpy(frame + NOTE_HEAD + len + sizeof(last), note_tag, sizeof(note_tag));

	if (!feed(pack, NULL, 0, ZSTD_e_end) ||
		!append(pack, frame, NOTE_HEAD + len + NOTE_FOOT))
		return false;
	end_sum(pack->sum, pack->sha256);
	pack->sum = NULL;
	pfree(frame);

	return true;
}

File
wh_pack_file(const WhPack *pack)
{
	return pack->file;
}

int64
wh_pack_size(const WhPack *pack)
{
	return pack->size;
}

const char *
wh_pack_sha256(const WhPack *pack)
{
	return pack->sha256;
}

void
wh_pack_close(WhPack *pack)
{
	if (pack->sum != NULL)
		pg_cryptohash_free(pack->sum);
	pack->sum = NULL;
	FileClose(pack->file);
	free_packer(pack);
}

static void
free_packer(void *arg)
{
	WhPack	   *pack = (WhPack *) arg;

	(void) ZSTD_freeCCtx(pack->packer);
	pack->packer = NULL;
}

static void
free_unpacker(void *arg)
{
	WhUnpack   *unpack = (WhUnpack *) arg;

	(void) ZSTD_freeDCtx(unpack->unpacker);
	unpack->unpacker = NULL;
}

/*
 * Pack bytes and write what comes out.
 */
static bool
feed(WhPack *pack, const char *data, Size len, ZSTD_EndDirective how)
{
	ZSTD_inBuffer in = {data, len, 0};
	size_t		left;

	do
	{
		ZSTD_outBuffer out = {pack->buffer, pack->room, 0};

		CHECK_FOR_INTERRUPTS();
		left = ZSTD_compressStream2(pack->packer, &out, &in, how);
		if (ZSTD_isError(left))
			elog(ERROR, "could not pack: %s", ZSTD_getErrorName(left));
		if (!append(pack, pack->buffer, out.pos))
			return false;
	} while (in.pos < in.size || (how == ZSTD_e_end && left > 0));

	return true;
}

/*
 * Write bytes as they are; a disk that has refused once is not asked again.
 */
static bool
append(WhPack *pack, const char *data, Size len)
{
	if (pack->failure == 0 && len > 0)
	{
		errno = 0;
		if (FileWrite(pack->file, unconstify(char *, data), (int) len, pack->size,
					  WAIT_EVENT_BUFFILE_WRITE) != (int) len)
			pack->failure = errno != 0 ? errno : ENOSPC;
	}
	if (pack->failure != 0)
	{
		errno = pack->failure;
		return false;
	}
	if (len > 0)
		add_to_sum(pack->sum, data, len);
	pack->size += len;

	return true;
}

static pg_cryptohash_ctx *
begin_sum(void)
{
	pg_cryptohash_ctx *sum = pg_cryptohash_create(PG_SHA256);

	if (sum == NULL || pg_cryptohash_init(sum) < 0)
		elog(ERROR, "could not begin a checksum");

	return sum;
}

static void
add_to_sum(pg_cryptohash_ctx *sum, const char *data, Size len)
{
	if (pg_cryptohash_update(sum, (const uint8 *) data, len) < 0)
		elog(ERROR, "could not go on with a checksum");
}

/*
 * End a sum, write its digits and free it.
 */
static void
end_sum(pg_cryptohash_ctx *sum, char *digits)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	if (pg_cryptohash_final(sum, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not end a checksum");
	pg_cryptohash_free(sum);
	digits[hex_encode((const char *) digest, sizeof(digest), digits)] = '\0';
}

/*
 * Open a file; see pack.h.
 */
WhUnpack *
wh_unpack_begin(File file, int64 size)
{
	WhUnpack   *unpack = (WhUnpack *) palloc0(sizeof(WhUnpack));
	pg_cryptohash_ctx *sum = begin_sum();

	unpack->file = file;
	unpack->size = size;
	unpack->whole = true;
	unpack->buffer = (char *) palloc(READ_BYTES);
	unpack->in.src = unpack->buffer;
	unpack->on_reset.func = free_unpacker;
	unpack->on_reset.arg = unpack;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &unpack->on_reset);
	unpack->unpacker = ZSTD_createDCtx();
	if (unpack->unpacker == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));

	for (int64 at = 0; at < size;)
	{
		int			n = read_at(unpack, unpack->buffer, (int) Min(READ_BYTES, size - at), at);

		CHECK_FOR_INTERRUPTS();
		add_to_sum(sum, unpack->buffer, n);
		at += n;
	}
	end_sum(sum, unpack->sha256);
	find_note(unpack);

	return unpack;
}

const char *
wh_unpack_sha256(const WhUnpack *unpack)
{
	return unpack->sha256;
}

const char *
wh_unpack_note(const WhUnpack *unpack)
{
	return unpack->note;
}

int
wh_unpack_read(WhUnpack *unpack, char *data, int max)
{
	ZSTD_outBuffer out = {data, max, 0};

	while (out.pos == 0)
	{
		size_t		left;

		CHECK_FOR_INTERRUPTS();
		if (unpack->in.pos == unpack->in.size && unpack->at < unpack->size)
		{
			unpack->in.size = read_at(unpack, unpack->buffer,
									  (int) Min(READ_BYTES, unpack->size - unpack->at),
									  unpack->at);
			unpack->in.pos = 0;
			unpack->at += unpack->in.size;
		}
		if (unpack->in.pos == unpack->in.size && unpack->whole)
			return 0;

		left = ZSTD_decompressStream(unpack->unpacker, &out, &unpack->in);
		if (ZSTD_isError(left))
			raise_broken(ZSTD_getErrorName(left));
		unpack->whole = left == 0;
		if (left > 0 && out.pos == 0 && unpack->in.pos == unpack->in.size &&
			unpack->at == unpack->size)
			raise_broken("It ends too early.");
	}

	return (int) out.pos;
}

static int
read_at(WhUnpack *unpack, char *data, int len, int64 at)
{
	int			n = FileRead(unpack->file, data, len, at, WAIT_EVENT_BUFFILE_READ);

	if (n <= 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read temporary file: %m")));

	return n;
}

/*
 * Find the note from the end.
 */
static void
find_note(WhUnpack *unpack)
{
	char		foot[NOTE_FOOT];
	uint32		len;

	if (unpack->size < NOTE_HEAD + NOTE_FOOT ||
		read_at(unpack, foot, NOTE_FOOT, unpack->size - NOTE_FOOT) != NOTE_FOOT ||
		memcmp(foot + sizeof(len), note_tag, sizeof(note_tag)) != 0)
		return;
	memcpy(&len, foot, sizeof(len));
#ifdef WORDS_BIGENDIAN
	len = pg_bswap32(len);
#endif
	if (len > unpack->size - NOTE_HEAD - NOTE_FOOT || len > MaxAllocSize / 2)
		return;

	unpack->note = (char *) palloc0(len + 1);
	if (len > 0 &&
		read_at(unpack, unpack->note, len, unpack->size - NOTE_FOOT - len) != (int) len)
		raise_broken("It ends too early.");
}

static void
raise_broken(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("archive file is broken"),
			 errdetail_internal("%s", detail)));
}
