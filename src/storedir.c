/*
 * storedir.c
 *		A store that is a folder of this machine.
 *
 * Objects are files, and folders are made on the way to them.  Whoever can
 * write there must not be able to lead us anywhere else, so below the folder
 * everything is opened relative to what was opened before, and a symbolic link
 * is followed nowhere.
 *
 * An object is written under a name that no key has (it begins with a dot),
 * made durable, and only then given its own: a crash leaves the whole of it or
 * nothing by that name.
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "storedir.h"

#define COPY_BYTES (128 * 1024)
#define NOT_OPEN (-1)

typedef struct DirStore
{
	WhStore		store;
	char	   *path;
} DirStore;

/* What one operation has open. */
typedef struct Work
{
	const DirStore *dir;
	int			folder;
	int			other_folder;
	int			file;
} Work;

/* One listing. */
typedef struct Listing
{
	const char *after;
	int			limit;
	List	   *found;			/* of WhObject *, no more than twice "limit" */
} Listing;

static void put_object(WhStore *store, const char *key, File file, int64 size,
					   const char *sha256);
static int64 get_object(WhStore *store, const char *key, File file);
static void move_object(WhStore *store, const char *key, const char *new_key);
static bool remove_object(WhStore *store, const char *key);
static bool stat_object(WhStore *store, const char *key, int64 *size);
static List *list_objects(WhStore *store, const char *prefix, const char *after,
						  int limit);
static void check_path(const char *path);
static void begin(Work *work, WhStore *store);
static void end(Work *work);
static void close_it(int *fd);
static int	open_root(const DirStore *dir);
static int	open_folder(const DirStore *dir, const char *path, Size len, bool make);
static int	open_next(const DirStore *dir, int folder, const char *name,
					  const char *path, bool make);
static int	folder_of(const DirStore *dir, const char *key, bool make);
static const char *name_of(const char *key);
static bool find(int folder, const char *key, struct stat *st);
static void write_file(Work *work, const char *key, File file, int64 size,
					   const char *sha256);
static void write_all(int fd, const char *data, int len, const char *key);
static void sync_it(int fd, const char *what);
static void raise_there(const char *key) pg_attribute_noreturn();
static void raise_missing(const char *key) pg_attribute_noreturn();
static void raise_errno(const char *verb, const char *key) pg_attribute_noreturn();
static void list_folder(Listing *listing, const DirStore *dir, int folder,
						const char *path);
static void list_entry(Listing *listing, const DirStore *dir, int folder,
					   const char *path, const char *name);
static void trim(Listing *listing);
static int	by_key(const ListCell *a, const ListCell *b);

/*
 * Open a folder; see storedir.h.
 */
WhStore *
wh_storedir_open(const char *path)
{
	DirStore   *dir = (DirStore *) palloc0(sizeof(DirStore));

	check_path(path);
	dir->path = pstrdup(path);
	canonicalize_path(dir->path);
	dir->store.place = dir->path;
	dir->store.put = put_object;
	dir->store.get = get_object;
	dir->store.move = move_object;
	dir->store.remove = remove_object;
	dir->store.stat = stat_object;
	dir->store.list = list_objects;

	return &dir->store;
}

/*
 * Refuse what cannot be meant.  A file that lies below the data directory
 * would be in every base backup, and gone with the data that it is there for.
 */
static void
check_path(const char *path)
{
	char	   *real = is_absolute_path(path) ? realpath(path, NULL) : NULL;
	char	   *data = realpath(DataDir, NULL);
	bool		absolute = is_absolute_path(path);
	bool		inside = real != NULL && data != NULL &&
	path_is_prefix_of_path(data, real);

	free(real);
	free(data);
	if (absolute && !inside)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("archive directory \"%s\" cannot be used", path),
			 inside ? errdetail("It lies inside the data directory.") :
			 errdetail("It is not an absolute path."),
			 errhint("ALTER SYSTEM SET pg_warehouse.archive_directory = '/path/outside/the/data/directory'; SELECT pg_reload_conf();")));
}

static void
put_object(WhStore *store, const char *key, File file, int64 size,
		   const char *sha256)
{
	Work		work;

	wh_store_check_key(key);
	begin(&work, store);
	PG_TRY();
	{
		struct stat st;

		work.folder = folder_of(work.dir, key, true);
		if (find(work.folder, key, &st))
			raise_there(key);
		write_file(&work, key, file, size, sha256);
	}
	PG_FINALLY();
	{
		end(&work);
	}
	PG_END_TRY();
}

static int64
get_object(WhStore *store, const char *key, File file)
{
	char	   *buffer = (char *) palloc(COPY_BYTES);
	int64		size = 0;
	Work		work;

	wh_store_check_key(key);
	begin(&work, store);
	PG_TRY();
	{
		struct stat st;
		int			n;

		work.folder = folder_of(work.dir, key, false);
		if (work.folder == NOT_OPEN || !find(work.folder, key, &st))
			raise_missing(key);
		work.file = openat(work.folder, name_of(key),
						   O_RDONLY | O_NOFOLLOW | O_CLOEXEC | PG_BINARY);
		if (work.file < 0)
			raise_errno("open", key);

		while ((n = read(work.file, buffer, COPY_BYTES)) != 0)
		{
			CHECK_FOR_INTERRUPTS();
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				raise_errno("read", key);
			errno = 0;
			if (FileWrite(file, buffer, n, size, WAIT_EVENT_BUFFILE_WRITE) != n)
			{
				if (errno == 0)
					errno = ENOSPC;
				ereport(ERROR,
						(errcode_for_file_access(),
						 errmsg("could not write temporary file: %m")));
			}
			size += n;
		}
	}
	PG_FINALLY();
	{
		end(&work);
	}
	PG_END_TRY();
	pfree(buffer);

	return size;
}

/*
 * Give an object another key: one rename, so it has one of them at any moment.
 */
static void
move_object(WhStore *store, const char *key, const char *new_key)
{
	Work		work;

	wh_store_check_key(key);
	wh_store_check_key(new_key);
	begin(&work, store);
	PG_TRY();
	{
		struct stat old;
		struct stat new;
		bool		is_old;
		bool		is_new;

		work.folder = folder_of(work.dir, key, false);
		work.other_folder = folder_of(work.dir, new_key, true);
		is_old = work.folder != NOT_OPEN && find(work.folder, key, &old);
		is_new = find(work.other_folder, new_key, &new);
		if (!is_old && !is_new)
			raise_missing(key);
		if (is_old && is_new && old.st_size != new.st_size)
			raise_there(new_key);

		if (is_old && is_new)
		{
			if (unlinkat(work.folder, name_of(key), 0) < 0)
				raise_errno("remove", key);
		}
		else if (is_old &&
				 renameat(work.folder, name_of(key),
						  work.other_folder, name_of(new_key)) < 0)
		{
			int			reason = errno;

			/* Another session may have moved it meanwhile. */
			if (reason != ENOENT || !find(work.other_folder, new_key, &new))
			{
				errno = reason;
				raise_errno("rename", key);
			}
		}
		sync_it(work.other_folder, new_key);
		if (work.folder != NOT_OPEN)
			sync_it(work.folder, key);
	}
	PG_FINALLY();
	{
		end(&work);
	}
	PG_END_TRY();
}

static bool
remove_object(WhStore *store, const char *key)
{
	volatile bool was_there = false;
	Work		work;

	wh_store_check_key(key);
	begin(&work, store);
	PG_TRY();
	{
		work.folder = folder_of(work.dir, key, false);
		if (work.folder != NOT_OPEN)
		{
			was_there = unlinkat(work.folder, name_of(key), 0) == 0;
			if (!was_there && errno != ENOENT)
				raise_errno("remove", key);
			sync_it(work.folder, key);
		}
	}
	PG_FINALLY();
	{
		end(&work);
	}
	PG_END_TRY();

	return was_there;
}

static bool
stat_object(WhStore *store, const char *key, int64 *size)
{
	volatile bool is_there = false;
	Work		work;

	wh_store_check_key(key);
	begin(&work, store);
	PG_TRY();
	{
		struct stat st;

		work.folder = folder_of(work.dir, key, false);
		if (work.folder != NOT_OPEN && find(work.folder, key, &st))
		{
			is_there = true;
			*size = st.st_size;
		}
	}
	PG_FINALLY();
	{
		end(&work);
	}
	PG_END_TRY();

	return is_there;
}

static List *
list_objects(WhStore *store, const char *prefix, const char *after, int limit)
{
	Listing		listing = {after, limit, NIL};
	char	   *path = pnstrdup(prefix, strlen(prefix) - 1);
	Work		work;

	Assert(prefix[strlen(prefix) - 1] == '/');
	wh_store_check_key(path);
	begin(&work, store);
	PG_TRY();
	{
		work.folder = open_folder(work.dir, path, strlen(path), false);
		if (work.folder != NOT_OPEN)
			list_folder(&listing, work.dir, work.folder, path);
	}
	PG_FINALLY();
	{
		end(&work);
	}
	PG_END_TRY();
	trim(&listing);

	return listing.found;
}

/*
 * Begin an operation: its descriptors count among those of the backend.
 */
static void
begin(Work *work, WhStore *store)
{
	work->dir = (const DirStore *) store;
	work->folder = work->other_folder = work->file = NOT_OPEN;
	ReserveExternalFD();
	ReserveExternalFD();
	ReserveExternalFD();
}

static void
end(Work *work)
{
	close_it(&work->file);
	close_it(&work->folder);
	close_it(&work->other_folder);
	ReleaseExternalFD();
	ReleaseExternalFD();
	ReleaseExternalFD();
}

static void
close_it(int *fd)
{
	if (*fd != NOT_OPEN)
		(void) close(*fd);
	*fd = NOT_OPEN;
}

/*
 * Open the folder that the setting names, which may be a link of the
 * administrator's.
 */
static int
open_root(const DirStore *dir)
{
	int			fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open archive directory \"%s\": %m", dir->path),
				 errhint("It must be there, and the server's user must own it: mkdir -m 700 %s",
						 dir->path)));

	return fd;
}

/*
 * Open the folder at the first "len" bytes of a path below the root, made on
 * the way if asked for; NOT_OPEN when it is not there.
 */
static int
open_folder(const DirStore *dir, const char *path, Size len, bool make)
{
	int			folder = open_root(dir);
	const char *segment = path;

	while (segment < path + len && folder != NOT_OPEN)
	{
		const char *slash = (const char *) memchr(segment, '/', path + len - segment);
		const char *stop = slash ? slash : path + len;
		int			next = open_next(dir, folder, pnstrdup(segment, stop - segment),
									 pnstrdup(path, stop - path), make);

		folder = next;
		segment = stop + 1;
	}

	return folder;
}

/*
 * Go from a folder, which is closed, to one in it; NOT_OPEN when that is not
 * there.
 */
static int
open_next(const DirStore *dir, int folder, const char *name, const char *path,
		  bool make)
{
	const int	flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int			next = openat(folder, name, flags);
	int			saved;

	if (next < 0 && errno == ENOENT && make &&
		(mkdirat(folder, name, S_IRWXU) == 0 || errno == EEXIST))
	{
		(void) pg_fsync(folder);
		next = openat(folder, name, flags);
	}
	saved = errno;
	(void) close(folder);
	errno = saved;
	if (next >= 0)
		return next;
	if (errno == ENOENT && !make)
		return NOT_OPEN;

	if (errno == ELOOP || errno == ENOTDIR)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" in archive directory \"%s\" is not a folder", path, dir->path),
				 errdetail("Symbolic links are not followed there."),
				 errhint("Move it out of the way.")));
	raise_errno("open", path);
}

/*
 * Open the folder that holds, or is to hold, an object.
 */
static int
folder_of(const DirStore *dir, const char *key, bool make)
{
	const char *name = name_of(key);

	return open_folder(dir, key, name > key ? name - key - 1 : 0, make);
}

/* Return the last segment of a key. */
static const char *
name_of(const char *key)
{
	const char *slash = strrchr(key, '/');

	return slash ? slash + 1 : key;
}

/*
 * Look for an object in its folder.  Anything there that is not a file is
 * nothing of ours.
 */
static bool
find(int folder, const char *key, struct stat *st)
{
	if (fstatat(folder, name_of(key), st, AT_SYMLINK_NOFOLLOW) < 0)
	{
		if (errno == ENOENT)
			return false;
		raise_errno("find", key);
	}
	if (!S_ISREG(st->st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" in the archive is not a file", key),
				 errdetail("Symbolic links are not followed there."),
				 errhint("Move it out of the way.")));

	return true;
}

/*
 * Write an object under its first name, and give it its own.  What an attempt
 * that was killed has left by the first name is in nobody's way.
 */
static void
write_file(Work *work, const char *key, File file, int64 size, const char *sha256)
{
	char	   *temporary = psprintf(".%s", name_of(key));
	char	   *buffer = (char *) palloc(COPY_BYTES);
	pg_cryptohash_ctx *sum = pg_cryptohash_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char		digits[2 * PG_SHA256_DIGEST_LENGTH + 1] = {0};

	if (sum == NULL || pg_cryptohash_init(sum) < 0)
		elog(ERROR, "could not begin a checksum");
	if (unlinkat(work->folder, temporary, 0) < 0 && errno != ENOENT)
		raise_errno("write", key);
	work->file = openat(work->folder, temporary,
						O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | PG_BINARY,
						S_IRUSR | S_IWUSR);
	if (work->file < 0)
		raise_errno("create", key);

	PG_TRY();
	{
		for (int64 at = 0; at < size;)
		{
			int			n = FileRead(file, buffer, Min(COPY_BYTES, size - at), at,
									 WAIT_EVENT_BUFFILE_READ);

			CHECK_FOR_INTERRUPTS();
			if (n <= 0)
				ereport(ERROR,
						(errcode_for_file_access(),
						 errmsg("could not read temporary file: %m")));
			if (pg_cryptohash_update(sum, (uint8 *) buffer, n) < 0)
				elog(ERROR, "could not go on with a checksum");
			write_all(work->file, buffer, n, key);
			at += n;
		}
		if (pg_cryptohash_final(sum, digest, sizeof(digest)) < 0)
			elog(ERROR, "could not end a checksum");
		(void) hex_encode((const char *) digest, sizeof(digest), digits);
		if (strcmp(digits, sha256) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("archive file \"%s\" is not what was written to it", key),
					 errdetail("Its SHA-256 is %s, and should be %s.", digits, sha256)));
		sync_it(work->file, key);
		if (renameat(work->folder, temporary, work->folder, name_of(key)) < 0)
			raise_errno("rename", key);
		sync_it(work->folder, key);
	}
	PG_CATCH();
	{
		(void) unlinkat(work->folder, temporary, 0);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pg_cryptohash_free(sum);
	pfree(buffer);
}

static void
write_all(int fd, const char *data, int len, const char *key)
{
	while (len > 0)
	{
		ssize_t		n;

		errno = 0;
		n = write(fd, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			if (errno == 0)
				errno = ENOSPC;
			raise_errno("write", key);
		}
		data += n;
		len -= n;
	}
}

static void
sync_it(int fd, const char *what)
{
	if (pg_fsync(fd) != 0)
		raise_errno("fsync", what);
}

static void
raise_there(const char *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_FILE),
			 errmsg("archive file \"%s\" already exists", key),
			 errhint("Look at who made it, and move it out of the way.")));
}

static void
raise_missing(const char *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_FILE),
			 errmsg("archive file \"%s\" does not exist", key)));
}

static void
raise_errno(const char *verb, const char *key)
{
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not %s archive file \"%s\": %m", verb, key)));
}

/*
 * List what is in a folder and in those below it.
 */
static void
list_folder(Listing *listing, const DirStore *dir, int folder, const char *path)
{
	DIR		   *entries = fdopendir(dup(folder));
	struct dirent *entry;

	if (entries == NULL)
		raise_errno("list", path);

	PG_TRY();
	{
		while ((entry = readdir(entries)) != NULL)
		{
			CHECK_FOR_INTERRUPTS();
			if (entry->d_name[0] != '.')
				list_entry(listing, dir, folder, path, entry->d_name);
		}
	}
	PG_FINALLY();
	{
		(void) closedir(entries);
	}
	PG_END_TRY();
}

/*
 * List a file, or what is in a folder; a link is neither.
 */
static void
list_entry(Listing *listing, const DirStore *dir, int folder, const char *path,
		   const char *name)
{
	char	   *key = psprintf("%s/%s", path, name);
	struct stat st;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
	{
		if (errno == ENOENT)
			return;
		raise_errno("find", key);
	}

	if (S_ISDIR(st.st_mode))
	{
		volatile int below = open_next(dir, dup(folder), name, key, false);

		PG_TRY();
		{
			if (below != NOT_OPEN)
				list_folder(listing, dir, below, key);
		}
		PG_FINALLY();
		{
			if (below != NOT_OPEN)
				(void) close(below);
		}
		PG_END_TRY();
	}
	else if (S_ISREG(st.st_mode) &&
			 (listing->after == NULL || strcmp(key, listing->after) > 0))
	{
		WhObject   *object = (WhObject *) palloc(sizeof(WhObject));

		object->key = key;
		object->size = st.st_size;
		object->changed = time_t_to_timestamptz(st.st_mtime);
		listing->found = lappend(listing->found, object);
		if (list_length(listing->found) >= 2 * listing->limit)
			trim(listing);
	}
}

/*
 * Keep the first ones only: a folder gives its names in no order.
 */
static void
trim(Listing *listing)
{
	list_sort(listing->found, by_key);
	listing->found = list_truncate(listing->found, listing->limit);
}

static int
by_key(const ListCell *a, const ListCell *b)
{
	return strcmp(((const WhObject *) lfirst(a))->key,
				  ((const WhObject *) lfirst(b))->key);
}
