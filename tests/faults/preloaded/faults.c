/* Let the k-th file operation below a folder fail, be cut short, or be the last.
 *
 * Preloaded into a process (LD_PRELOAD), which arms it by fault_arm(folder, how, k); fault_count()
 * says how many operations there have been that could fail so. Errors: any operation fails with the
 * errno `how`, ENOSPC only those that write; SHORT: what is read or written is half of it; KILL:
 * before an operation that writes or removes. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { SHORT = 1000, KILL = 1001 };
enum { READS = 1, WRITES = 2, CUTS = 4, REMOVES = 8 };

static char folder[PATH_MAX];
static int how, at = -1, count;

void fault_arm(const char *below, int what, int place) {
    snprintf(folder, sizeof folder, "%s", below);
    how = what;
    at = place;
    count = 0;
}

int fault_count(void) { return count; }

static int is_below(const char *path) {
    char whole[PATH_MAX];
    if (at < 0 || path == NULL) return 0;
    if (path[0] != '/') {
        if (getcwd(whole, sizeof whole) == NULL) return 0;
        path = whole;
    }
    return strncmp(path, folder, strlen(folder)) == 0;
}

static int is_open_below(int descriptor) {
    char name[64], path[PATH_MAX];
    if (at < 0) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

/* 0: go on; 1: fail, with errno set; 2: half of it. */
static int strikes(int mine, int kind) {
    if (!mine) return 0;
    if (how == ENOSPC && !(kind & WRITES)) return 0;
    if (how == KILL && !(kind & (WRITES | REMOVES))) return 0;
    if (how == SHORT && !(kind & CUTS)) return 0;
    if (count++ != at) return 0;
    if (how == KILL) {
        kill(getpid(), SIGKILL);
        pause();
    }
    if (how == SHORT) return 2;
    errno = how;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define ON_PATH(type, name, parameters, arguments, path, kind, failed) \
    type name parameters { \
        return strikes(is_below(path), kind) ? failed : REAL(name) arguments; \
    }
#define ON_OPEN(type, name, parameters, arguments, descriptor, kind, failed) \
    type name parameters { \
        return strikes(is_open_below(descriptor), kind) ? failed : REAL(name) arguments; \
    }
#define OPENS(name) \
    int name(const char *path, int flags, ...) { \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        int kind = flags & O_CREAT ? WRITES : READS; \
        return strikes(is_below(path), kind) ? -1 : REAL(name)(path, flags, mode); \
    }

OPENS(open)
OPENS(open64)
ON_PATH(int, mkdir, (const char *path, mode_t mode), (path, mode), path, WRITES, -1)
ON_PATH(int, rmdir, (const char *path), (path), path, REMOVES, -1)
ON_PATH(int, unlink, (const char *path), (path), path, REMOVES, -1)
ON_PATH(int, rename, (const char *path, const char *to), (path, to), path, WRITES, -1)
ON_PATH(int, link, (const char *path, const char *to), (path, to), path, WRITES, -1)
ON_PATH(int, stat, (const char *path, struct stat *into), (path, into), path, READS, -1)
ON_PATH(int, lstat, (const char *path, struct stat *into), (path, into), path, READS, -1)
ON_PATH(int, stat64, (const char *path, struct stat64 *into), (path, into), path, READS, -1)
ON_PATH(int, lstat64, (const char *path, struct stat64 *into), (path, into), path, READS, -1)
ON_PATH(DIR *, opendir, (const char *path), (path), path, READS, NULL)
ON_OPEN(int, fsync, (int file), (file), file, WRITES, -1)
ON_OPEN(int, ftruncate, (int file, off_t size), (file, size), file, WRITES, -1)
ON_OPEN(int, ftruncate64, (int file, off64_t size), (file, size), file, WRITES, -1)
ON_OPEN(int, fchmod, (int file, mode_t mode), (file, mode), file, WRITES, -1)
ON_OPEN(int, fstat, (int file, struct stat *into), (file, into), file, READS, -1)
ON_OPEN(int, fstat64, (int file, struct stat64 *into), (file, into), file, READS, -1)
ON_OPEN(off_t, lseek, (int file, off_t to, int from), (file, to, from), file, READS, -1)
ON_OPEN(off64_t, lseek64, (int file, off64_t to, int from), (file, to, from), file, READS, -1)

int unlinkat(int folder_, const char *path, int flags) {
    int mine = path[0] == '/' ? is_below(path) : is_open_below(folder_);
    return strikes(mine, REMOVES) ? -1 : REAL(unlinkat)(folder_, path, flags);
}

ssize_t read(int file, void *into, size_t size) {
    int struck = strikes(size > 1 && is_open_below(file), READS | CUTS);
    if (struck == 1) return -1;
    return REAL(read)(file, into, struck == 2 ? size / 2 : size);
}

ssize_t write(int file, const void *from, size_t size) {
    int struck = strikes(size > 1 && is_open_below(file), WRITES | CUTS);
    if (struck == 1) return -1;
    return REAL(write)(file, from, struck == 2 ? size / 2 : size);
}

ssize_t pwrite64(int file, const void *from, size_t size, off64_t to) {
    int struck = strikes(size > 1 && is_open_below(file), WRITES | CUTS);
    if (struck == 1) return -1;
    return REAL(pwrite64)(file, from, struck == 2 ? size / 2 : size, to);
}
