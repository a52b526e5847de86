// Preloaded under a process, stands between it and its files: counts the calls that change a folder,
// makes the k-th of them fail, kills the process there, or writes down what was done.
//
//   gcc -O1 -shared -fPIC -o disk_faults.so disk_faults.c -ldl
//
// The tests drive it through ctypes (disk_faults.py). Not for use by several threads at once while a
// fault is armed, except that counting is atomic.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum Mode { off, fail_once, fail_forever, kill_process, write_short };
enum Kind { opened = 1, wrote, synced, cut, removed, renamed, mark };

static char folder[PATH_MAX];
static size_t folder_length;
static atomic_int count, armed_at, mode;
static int error_number;
static int record_fd = -1;
static pthread_mutex_t recording = PTHREAD_MUTEX_INITIALIZER;
enum { max_fds = 4096 };
static char* names[max_fds];  // of open files in the folder, below it

#define REAL(result, name, ...)                                      \
    static result (*real)(__VA_ARGS__);                              \
    if (!real) *(void**)&real = dlsym(RTLD_NEXT, name)

static const char* inside(const char* path) {
    if (!folder_length || strncmp(path, folder, folder_length)) return NULL;
    if (!path[folder_length]) return ".";
    return path[folder_length] == '/' ? path + folder_length + 1 : NULL;
}

static const char* name_of(int fd) { return fd >= 0 && fd < max_fds ? names[fd] : NULL; }

static ssize_t plain_write(int fd, const void* data, size_t size) {
    REAL(ssize_t, "write", int, const void*, size_t);
    return real(fd, data, size);
}

static void record(enum Kind kind, const char* name, int64_t offset, const void* data, size_t size) {
    if (record_fd < 0) return;
    struct { int32_t kind, name_size; int64_t offset, size; } head = {
        kind, (int32_t)strlen(name), offset, (int64_t)size};
    pthread_mutex_lock(&recording);
    plain_write(record_fd, &head, sizeof head);
    plain_write(record_fd, name, (size_t)head.name_size);
    if (data) plain_write(record_fd, data, size);
    pthread_mutex_unlock(&recording);
}

/// What to do about this call: 0 let it pass, 1 fail it, 2 do half of it.
static int verdict(void) {
    const int n = atomic_fetch_add(&count, 1) + 1;
    const int now = atomic_load(&mode), at = atomic_load(&armed_at);
    if (now == off || n < at || (now != fail_forever && n > at)) return 0;
    if (now == kill_process) kill(getpid(), SIGKILL);
    if (now == write_short) return 2;
    errno = error_number;
    return 1;
}

void faults_watch(const char* path) {
    folder_length = strlen(path);
    memcpy(folder, path, folder_length + 1);
}

void faults_arm(int new_mode, int at, int error) {
    atomic_store(&count, 0);
    atomic_store(&armed_at, at);
    error_number = error;
    atomic_store(&mode, new_mode);
}

int faults_count(void) { return atomic_load(&count); }

void faults_record(const char* path) {
    REAL(int, "open64", const char*, int, ...);
    if (record_fd >= 0) close(record_fd);
    record_fd = path ? real(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
}

void faults_mark(int64_t number) { record(mark, "", number, NULL, 0); }

static int keep(int fd, const char* name, int fresh) {
    if (fd >= 0 && fd < max_fds) {
        free(names[fd]);
        names[fd] = name ? strdup(name) : NULL;
        if (name && fresh) record(opened, name, fresh, NULL, 0);
    }
    return fd;
}

static int open_file(int (*real)(const char*, int, ...), const char* path, int flags, mode_t bits) {
    const char* const name = inside(path);
    struct stat facts;
    if (name && (flags & (O_CREAT | O_TRUNC))) {
        if (verdict() == 1) return -1;
        const int fresh = stat(path, &facts) != 0 ? 1 : (flags & O_TRUNC) ? 2 : 0;
        return keep(real(path, flags, bits), name, fresh);
    }
    return keep(real(path, flags, bits), name, 0);
}

#define OPEN(function)                                               \
    int function(const char* path, int flags, ...) {                 \
        REAL(int, #function, const char*, int, ...);                 \
        va_list rest;                                                \
        va_start(rest, flags);                                       \
        const mode_t bits = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                \
        return open_file(real, path, flags, bits);                   \
    }
OPEN(open)
OPEN(open64)

#define PWRITE(function, Offset)                                                    \
    ssize_t function(int fd, const void* data, size_t size, Offset offset) {        \
        REAL(ssize_t, #function, int, const void*, size_t, Offset);                 \
        const char* const name = name_of(fd);                                       \
        if (!name) return real(fd, data, size, offset);                             \
        const int what = verdict();                                                 \
        if (what == 1) return -1;                                                   \
        const ssize_t done = real(fd, data, what == 2 ? (size + 1) / 2 : size, offset); \
        if (done > 0) record(wrote, name, offset, data, (size_t)done);              \
        return done;                                                                \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int fd, const void* data, size_t size) {
    const char* const name = name_of(fd);
    if (!name) return plain_write(fd, data, size);
    const int what = verdict();
    if (what == 1) return -1;
    const off_t offset = lseek(fd, 0, SEEK_CUR);
    const ssize_t done = plain_write(fd, data, what == 2 ? (size + 1) / 2 : size);
    if (done > 0) record(wrote, name, offset, data, (size_t)done);
    return done;
}

#define SYNC(function)                               \
    int function(int fd) {                           \
        REAL(int, #function, int);                   \
        const char* const name = name_of(fd);        \
        if (!name) return real(fd);                  \
        if (verdict() == 1) return -1;               \
        const int failed = real(fd);                 \
        if (!failed) record(synced, name, 0, NULL, 0); \
        return failed;                               \
    }
SYNC(fsync)
SYNC(fdatasync)

#define CUT(function, Offset)                                \
    int function(int fd, Offset size) {                      \
        REAL(int, #function, int, Offset);                   \
        const char* const name = name_of(fd);                \
        if (!name) return real(fd, size);                    \
        if (verdict() == 1) return -1;                       \
        const int failed = real(fd, size);                   \
        if (!failed) record(cut, name, size, NULL, 0);       \
        return failed;                                       \
    }
CUT(ftruncate, off_t)
CUT(ftruncate64, off64_t)

#define ALLOCATE(function, Offset)                                              \
    int function(int fd, Offset offset, Offset size) {                          \
        REAL(int, #function, int, Offset, Offset);                              \
        const char* const name = name_of(fd);                                   \
        if (!name) return real(fd, offset, size);                               \
        if (verdict() == 1) return errno;                                       \
        const int failed = real(fd, offset, size);                              \
        if (!failed) record(cut, name, offset + size, NULL, 0);                 \
        return failed;                                                          \
    }
ALLOCATE(posix_fallocate, off_t)
ALLOCATE(posix_fallocate64, off64_t)

int unlink(const char* path) {
    REAL(int, "unlink", const char*);
    const char* const name = inside(path);
    if (!name) return real(path);
    if (verdict() == 1) return -1;
    const int failed = real(path);
    if (!failed) record(removed, name, 0, NULL, 0);
    return failed;
}

int rename(const char* from, const char* to) {
    REAL(int, "rename", const char*, const char*);
    const char* const name = inside(from);
    if (!name || !inside(to)) return real(from, to);
    if (verdict() == 1) return -1;
    const int failed = real(from, to);
    if (!failed) record(renamed, name, 0, inside(to), strlen(inside(to)));
    return failed;
}

int close(int fd) {
    REAL(int, "close", int);
    if (fd >= 0 && fd < max_fds && names[fd]) {
        free(names[fd]);
        names[fd] = NULL;
    }
    return real(fd);
}
