/*
 * seal.c
 *		Seal and open bytes: libsodium XChaCha20-Poly1305 under a key of the
 *		ring file.
 *
 * The ring is a file of lines "id:base64 of 32 bytes", read anew each time;
 * the last line seals, every line opens.  The rule kept here: key bytes never
 * leave this file, live on its stack only, and are wiped before anything else
 * can happen, an error included.  What is sealed, and bound to what, is
 * secret.c's.
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "storage/fd.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "seal.h"

#define KEY_BYTES crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES
#define KEY_ID_BYTES 4			/* written as 8 hex digits */
#define KEY_ID_MAX 63
#define RING_MAX 16384

StaticAssertDecl(WH_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
				 "nonce size");

typedef struct Key
{
	char		id[KEY_ID_MAX + 1];
	uint8		bytes[KEY_BYTES];
} Key;

/* The ring file as read; what is wrong with it is said only once wiped. */
typedef struct Ring
{
	char		text[RING_MAX + 1];
	int			len;
} Ring;

typedef enum RingState
{
	RING_FOUND,
	RING_NO_SUCH_KEY,
	RING_BAD_LINE,
	RING_DOUBLE_ID
} RingState;

/* Clear text, registered with the memory context that it lives in. */
typedef struct Secret
{
	MemoryContextCallback on_reset;
	Size		size;
	char		text[FLEXIBLE_ARRAY_MEMBER];
} Secret;

static void init_sodium(void);
static void load_key(const char *id, Key *key);
static int	open_ring(const char *path);
static void check_ring_file(const struct stat *st);
static RingState find_key(const Ring *ring, const char *id, Key *key, int *line);
static bool parse_line(const char *line, size_t len, Key *key);
static uint8 *make_binding(const char *const *aad, int naad,
						   const char *key_id, Size *len);
static void wipe_on_reset(void *arg);
static void refuse_data_directory(const char *path);
static void write_ring(const char *path, const char *text, size_t len);

char *
wh_key_create(void)
{
	char	   *path = wh_guc_key_file();
	uint8		id[KEY_ID_BYTES];
	char		id_hex[KEY_ID_BYTES * 2 + 1];
	uint8		key[KEY_BYTES];
	char		base64[sodium_base64_ENCODED_LEN(KEY_BYTES, sodium_base64_VARIANT_ORIGINAL)];
	char		line[sizeof(id_hex) + sizeof(base64) + 1];

	init_sodium();
	refuse_data_directory(path);

	PG_TRY();
	{
		randombytes_buf(id, sizeof(id));
		sodium_bin2hex(id_hex, sizeof(id_hex), id, sizeof(id));
		crypto_aead_xchacha20poly1305_ietf_keygen(key);
		sodium_bin2base64(base64, sizeof(base64), key, sizeof(key),
						  sodium_base64_VARIANT_ORIGINAL);
		snprintf(line, sizeof(line), "%s:%s\n", id_hex, base64);
		write_ring(path, line, strlen(line));
	}
	PG_FINALLY();
	{
		sodium_memzero(key, sizeof(key));
		sodium_memzero(base64, sizeof(base64));
		sodium_memzero(line, sizeof(line));
	}
	PG_END_TRY();

	return pstrdup(id_hex);
}

WhSealed *
wh_seal(const char *secret, const char *const *aad, int naad)
{
	WhSealed   *sealed = (WhSealed *) palloc(sizeof(WhSealed));
	Size		len = strlen(secret);
	unsigned long long sealed_len;
	Key			key;

	init_sodium();
	sealed->nonce = (uint8 *) palloc(WH_NONCE_BYTES);
	randombytes_buf(sealed->nonce, WH_NONCE_BYTES);
	sealed->bytes = (uint8 *) palloc(len + TAG_BYTES);

	PG_TRY();
	{
		uint8	   *binding;
		Size		binding_len;

		load_key(NULL, &key);
		sealed->key_id = pstrdup(key.id);
		binding = make_binding(aad, naad, key.id, &binding_len);
		crypto_aead_xchacha20poly1305_ietf_encrypt(sealed->bytes, &sealed_len,
												   (const uint8 *) secret, len,
												   binding, binding_len,
												   NULL, sealed->nonce, key.bytes);
	}
	PG_FINALLY();
	{
		sodium_memzero(&key, sizeof(key));
	}
	PG_END_TRY();
	sealed->len = sealed_len;

	return sealed;
}

char *
wh_unseal(const WhSealed *sealed, const char *const *aad, int naad)
{
	Size		binding_len;
	uint8	   *binding = make_binding(aad, naad, sealed->key_id, &binding_len);
	char	   *text = wh_alloc_secret(sealed->len + 1);
	Key			key;
	int			failed;

	init_sodium();
	load_key(sealed->key_id, &key);
	failed = crypto_aead_xchacha20poly1305_ietf_decrypt((uint8 *) text, NULL, NULL,
														sealed->bytes, sealed->len,
														binding, binding_len,
														sealed->nonce, key.bytes);
	sodium_memzero(&key, sizeof(key));

	return failed ? NULL : text;
}

List *
wh_key_ids(TimestampTz *changed)
{
	int			fd;
	struct stat st;
	Ring		ring;
	Key			key;
	List	   *volatile ids = NIL;

	/* Complains, with everything wiped, of whatever is wrong with a line. */
	load_key(NULL, &key);
	sodium_memzero(&key, sizeof(key));

	fd = open_ring(wh_guc_key_file());
	*changed = fstat(fd, &st) == 0 ? time_t_to_timestamptz(st.st_mtime) : GetCurrentTimestamp();
	ring.len = read(fd, ring.text, RING_MAX);
	CloseTransientFile(fd);
	PG_TRY();
	{
		const char *at = ring.text;
		const char *end = ring.text + Max(ring.len, 0);

		while (at < end)
		{
			const char *newline = memchr(at, '\n', end - at);
			size_t		len = (newline != NULL ? newline : end) - at;

			if (parse_line(at, len, &key))
				ids = lappend(ids, pstrdup(key.id));
			at += len + 1;
		}
	}
	PG_FINALLY();
	{
		sodium_memzero(ring.text, sizeof(ring.text));
		sodium_memzero(&key, sizeof(key));
	}
	PG_END_TRY();

	return ids;
}

char *
wh_alloc_secret(Size size)
{
	Secret	   *secret = (Secret *) palloc0(offsetof(Secret, text) + size);

	secret->size = size;
	secret->on_reset.func = wipe_on_reset;
	secret->on_reset.arg = secret;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &secret->on_reset);

	return secret->text;
}

void
wh_wipe_secret(char *secret)
{
	sodium_memzero(secret, strlen(secret));
}

static void
init_sodium(void)
{
	if (sodium_init() < 0)
		elog(ERROR, "could not initialize libsodium");
}

/*
 * Load a key of the ring, the last one for id NULL.  On an error nothing is
 * left in *key.
 */
static void
load_key(const char *id, Key *key)
{
	char	   *path = wh_guc_key_file();
	int			fd = open_ring(path);
	Ring		ring;
	RingState	state = RING_NO_SUCH_KEY;
	int			line = 0;

	ring.len = read(fd, ring.text, RING_MAX + 1);
	CloseTransientFile(fd);
	if (ring.len >= 0 && ring.len <= RING_MAX)
		state = find_key(&ring, id, key, &line);
	sodium_memzero(ring.text, sizeof(ring.text));

	if (state == RING_FOUND)
		return;
	sodium_memzero(key, sizeof(Key));

	if (ring.len < 0 || ring.len > RING_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not read the key ring file"),
				 errdetail("It must be a file of at most %d bytes.", RING_MAX),
				 errdetail_log("The file is \"%s\".", path),
				 errhint("SHOW pg_warehouse.key_file;")));
	if (state == RING_BAD_LINE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("line %d of the key ring file is not a key", line),
				 errdetail("A line is an id, a colon and the base64 form of 32 bytes."),
				 errdetail_log("The file is \"%s\".", path),
				 errhint("Mend the file that pg_warehouse.key_file names.")));
	if (state == RING_DOUBLE_ID)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("line %d of the key ring file repeats the id of another", line),
				 errdetail_log("The file is \"%s\".", path),
				 errhint("Mend the file that pg_warehouse.key_file names.")));
	if (id == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the key ring file holds no key"),
				 errdetail_log("The file is \"%s\".", path),
				 errhint("Remove the file and SELECT _wh.create_key();")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("key \"%s\" is not in the key ring file", id),
			 errdetail_log("The file is \"%s\".", path),
			 errhint("Put its line back into the file that pg_warehouse.key_file names, "
					 "or set the passwords sealed with it again.")));
}

/*
 * Open the ring file, or say what is wrong with it.  The path goes to the log
 * only: the setting is a superuser's to see.
 */
static int
open_ring(const char *path)
{
	struct stat st;
	int			fd;

	/* O_NONBLOCK so that a fifo in its place cannot hang us. */
	fd = OpenTransientFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | PG_BINARY);
	if (fd < 0 && errno == ENOENT)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no key ring file"),
				 errdetail_log("The file is \"%s\".", path),
				 errhint("As a superuser: SELECT _wh.create_key();")));
	if (fd < 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not open the key ring file: %m"),
				 errdetail_log("The file is \"%s\".", path),
				 errhint("It must be a file, no link, that belongs to the server's user with mode 0600.")));

	if (fstat(fd, &st) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat the key ring file: %m")));
	check_ring_file(&st);

	return fd;
}

static void
check_ring_file(const struct stat *st)
{
	int			mode = st->st_mode & 07777;

	if (!S_ISREG(st->st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the key ring file is not a regular file"),
				 errhint("Mend the file that pg_warehouse.key_file names.")));
	if (st->st_uid != geteuid())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the key ring file belongs to another user than the server's"),
				 errhint("chown the file that pg_warehouse.key_file names to the server's user.")));
	if (mode != 0600 && mode != 0400)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the key ring file has mode %04o", (unsigned) mode),
				 errdetail("Only the server's user may have access: 0600 or 0400."),
				 errhint("chmod 0600 the file that pg_warehouse.key_file names.")));
}

/*
 * Find a key in the ring, the last one for id NULL.  Raises nothing, so that
 * the caller can wipe first.  Every line is read: a broken one must not wait
 * for the day it is needed.
 */
static RingState
find_key(const Ring *ring, const char *id, Key *key, int *line)
{
	const char *at = ring->text;
	const char *end = ring->text + ring->len;
	RingState	state = RING_NO_SUCH_KEY;
	Key			candidate;

	*line = 0;
	while (at < end)
	{
		const char *newline = memchr(at, '\n', end - at);
		size_t		len = (newline != NULL ? newline : end) - at;

		(*line)++;
		if (!parse_line(at, len, &candidate))
		{
			state = RING_BAD_LINE;
			break;
		}
		if (id != NULL && strcmp(candidate.id, id) == 0 && state == RING_FOUND)
		{
			state = RING_DOUBLE_ID;
			break;
		}
		if (id == NULL || strcmp(candidate.id, id) == 0)
		{
			*key = candidate;
			state = RING_FOUND;
		}
		at += len + 1;
	}
	sodium_memzero(&candidate, sizeof(candidate));

	return state;
}

static bool
parse_line(const char *line, size_t len, Key *key)
{
	const char *colon = memchr(line, ':', len);
	size_t		id_len = colon != NULL ? colon - line : 0;
	size_t		key_len;

	if (id_len == 0 || id_len > KEY_ID_MAX)
		return false;
	memcpy(key->id, line, id_len);
	key->id[id_len] = '\0';

	return sodium_base642bin(key->bytes, KEY_BYTES, colon + 1, len - id_len - 1,
							 " \t\r", &key_len, NULL,
							 sodium_base64_VARIANT_ORIGINAL) == 0 &&
		key_len == KEY_BYTES;
}

/*
 * Make the additional data: a format tag, the caller's strings, the key's id.
 * Each with its length in front, so that no two lists make the same bytes.
 */
static uint8 *
make_binding(const char *const *aad, int naad, const char *key_id, Size *len)
{
	const char **fields = (const char **) palloc(sizeof(char *) * (naad + 2));
	uint8	   *binding;
	uint8	   *at;

	fields[0] = "pg_warehouse 1";
	memcpy(fields + 1, aad, sizeof(char *) * naad);
	fields[naad + 1] = key_id;

	*len = 0;
	for (int i = 0; i < naad + 2; i++)
		*len += sizeof(uint32) + strlen(fields[i]);

	at = binding = (uint8 *) palloc(*len);
	for (int i = 0; i < naad + 2; i++)
	{
		size_t		field_len = strlen(fields[i]);
		uint32		prefix = pg_hton32((uint32) field_len);

		memcpy(at, &prefix, sizeof(prefix));
		memcpy(at + sizeof(prefix), fields[i], field_len);
		at += sizeof(prefix) + field_len;
	}

	return binding;
}

static void
wipe_on_reset(void *arg)
{
	Secret	   *secret = (Secret *) arg;

	sodium_memzero(secret->text, secret->size);
}

/*
 * Refuse a key file inside the data directory: a base backup would carry the
 * key along with what it seals.
 */
static void
refuse_data_directory(const char *path)
{
	char		directory[MAXPGPATH];
	char		key_dir[PATH_MAX];
	char		data_dir[PATH_MAX];

	if (!is_absolute_path(path))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the path of the key ring file is not absolute"),
				 errhint("Set pg_warehouse.key_file to an absolute path.")));

	strlcpy(directory, path, sizeof(directory));
	get_parent_directory(directory);
	if (realpath(directory, key_dir) == NULL ||
		realpath(DataDir, data_dir) == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not resolve the directory of the key ring file: %m")));

	if (path_is_prefix_of_path(data_dir, key_dir))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the key ring file would lie inside the data directory"),
				 errdetail("Each backup would carry the key together with what it seals."),
				 errhint("Set pg_warehouse.key_file to a path outside of it.")));
}

/*
 * Write the ring file, which must not exist, and see it on disk.
 */
static void
write_ring(const char *path, const char *text, size_t len)
{
	char		directory[MAXPGPATH];
	int			fd;

	fd = OpenTransientFilePerm(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | PG_BINARY,
							   0600);
	if (fd < 0 && errno == EEXIST)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the key ring file exists already"),
				 errdetail("Passwords may be sealed with its keys."),
				 errhint("To rotate, append a line to it, such as that of: "
						 "echo $(openssl rand -hex 4):$(openssl rand -base64 32); "
						 "then SELECT _wh.reseal();")));
	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create the key ring file: %m")));

	errno = 0;
	if (write(fd, text, len) != (ssize_t) len || pg_fsync(fd) != 0)
	{
		int			save_errno = errno ? errno : ENOSPC;

		unlink(path);
		errno = save_errno;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write the key ring file: %m")));
	}
	CloseTransientFile(fd);

	strlcpy(directory, path, sizeof(directory));
	get_parent_directory(directory);
	fsync_fname(directory, true);
}
