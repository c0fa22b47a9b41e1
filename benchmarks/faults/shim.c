/* Calls to the system that fail, or during which the process is killed: a library to preload.
 *
 *     cc -O2 -shared -fPIC -o shim.so shim.c -ldl
 *
 * Of the calls that concern files below a folder, shim_set() says which one fails, and how. A call that writes and
 * during which the disk becomes full, or the process dies, has written half of its bytes. Linux with glibc.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static char under[PATH_MAX];
static int first, last, how, reads;
static atomic_int calls;

/* Fail calls number `from` to `to`, 1 being the next one: with the error `what`, or by the signal `-what`. Reading
 * counts if `with_reads`. An empty folder switches it off. */
void shim_set(const char *folder, int from, int to, int what, int with_reads) {
    first = from, last = to, how = what, reads = with_reads;
    atomic_store(&calls, 0);
    snprintf(under, sizeof under, "%s", folder);
}

int shim_calls(void) { return atomic_load(&calls); }

static const char *failed = "";

/* The name of the last call that was made to fail. */
const char *shim_failed(void) { return failed; }

/* Whether a path, seen from an open folder, or an open file itself, is below the folder that is watched. */
static int watched(int at, const char *path) {
    char link[64], full[2 * PATH_MAX];
    ssize_t size = 0;
    if (!under[0]) return 0;
    if (!path || path[0] != '/') {
        if (at == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        size = readlink(link, full, PATH_MAX);
        if (size < 0) return 0;
    }
    full[size] = 0;
    if (path) snprintf(full + size, sizeof full - size, "%s%s", size ? "/" : "", path);
    return !strncmp(full, under, strlen(under));
}

/* Whether this call is one that fails: 1 with errno set, -1 if a signal is due. A full disk lets go of files. */
static int due(const char *name, int at, const char *path) {
    int error = errno, number, frees = !strncmp(name, "unlink", 6) || !strcmp(name, "rmdir") || !strncmp(name, "ftruncate", 9);
    if (!watched(at, path) || (frees && (how == ENOSPC || how == EDQUOT))) return errno = error, 0;
    number = atomic_fetch_add(&calls, 1) + 1;
    if (number < first || number > last) return errno = error, 0;
    failed = name;
    errno = how > 0 ? how : error;
    return how > 0 ? 1 : -1;
}

static void die(void) { kill(getpid(), -how); }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, __func__))

#define SHIM(type, name, parameters, arguments, at, path) \
    type name parameters { \
        int found = due(__func__, at, path); \
        if (found > 0) return -1; \
        if (found < 0) die(); \
        return REAL(name) arguments; \
    }

#define SHIM_OPEN(name, parameters, arguments, at) \
    int name parameters { \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list more; \
            va_start(more, flags); \
            mode = va_arg(more, mode_t); \
            va_end(more); \
        } \
        int found = reads || (flags & O_ACCMODE) != O_RDONLY ? due(__func__, at, path) : 0; \
        if (found > 0) return -1; \
        if (found < 0) die(); \
        return REAL(name) arguments; \
    }

#define SHIM_WRITE(name, parameters, half, whole) \
    ssize_t name parameters { \
        int found = due(__func__, file, NULL); \
        if (found && how != EIO && size > 1) { \
            ssize_t done = REAL(name) half; \
            if (found < 0) die(); \
            return done; \
        } \
        if (found > 0) return -1; \
        if (found < 0) die(); \
        return REAL(name) whole; \
    }

#define SHIM_READ(name, parameters, arguments) \
    ssize_t name parameters { \
        int found = reads ? due(__func__, file, NULL) : 0; \
        if (found > 0) return -1; \
        if (found < 0) die(); \
        return REAL(name) arguments; \
    }

SHIM_OPEN(open, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
SHIM_OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
SHIM_OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), at)
SHIM_OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), at)

SHIM_WRITE(write, (int file, const void *data, size_t size), (file, data, size / 2), (file, data, size))
SHIM_WRITE(pwrite, (int file, const void *data, size_t size, off_t to), (file, data, size / 2, to), (file, data, size, to))
SHIM_WRITE(pwrite64, (int file, const void *data, size_t size, off64_t to), (file, data, size / 2, to), (file, data, size, to))

SHIM_READ(read, (int file, void *data, size_t size), (file, data, size))
SHIM_READ(pread, (int file, void *data, size_t size, off_t from), (file, data, size, from))
SHIM_READ(pread64, (int file, void *data, size_t size, off64_t from), (file, data, size, from))

SHIM(int, fsync, (int file), (file), file, NULL)
SHIM(int, fdatasync, (int file), (file), file, NULL)
SHIM(int, ftruncate, (int file, off_t size), (file, size), file, NULL)
SHIM(int, ftruncate64, (int file, off64_t size), (file, size), file, NULL)
SHIM(int, fchmod, (int file, mode_t mode), (file, mode), file, NULL)
SHIM(int, futimens, (int file, const struct timespec times[2]), (file, times), file, NULL)

SHIM(int, chmod, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
SHIM(int, mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
SHIM(int, rmdir, (const char *path), (path), AT_FDCWD, path)
SHIM(int, unlink, (const char *path), (path), AT_FDCWD, path)
SHIM(int, link, (const char *path, const char *other), (path, other), AT_FDCWD, other)
SHIM(int, rename, (const char *path, const char *other), (path, other), AT_FDCWD, other)
SHIM(int, symlink, (const char *text, const char *path), (text, path), AT_FDCWD, path)

SHIM(int, fchmodat, (int at, const char *path, mode_t mode, int flags), (at, path, mode, flags), at, path)
SHIM(int, mkdirat, (int at, const char *path, mode_t mode), (at, path, mode), at, path)
SHIM(int, unlinkat, (int at, const char *path, int flags), (at, path, flags), at, path)
SHIM(int, linkat, (int from, const char *path, int at, const char *other, int flags), (from, path, at, other, flags), at, other)
SHIM(int, renameat, (int from, const char *path, int at, const char *other), (from, path, at, other), at, other)
SHIM(int, symlinkat, (const char *text, int at, const char *path), (text, at, path), at, path)
SHIM(int, utimensat, (int at, const char *path, const struct timespec times[2], int flags), (at, path, times, flags), at, path)
