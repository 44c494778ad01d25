/* Kills its process before the n-th thing that it does to a file of one folder. Preloaded into a process.

   Writes to one file that follow each other count once. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long left = -1, done = 0;
static int writing = -1;
static char folder[4096];

void stop_at(long step, const char *inside) {
    snprintf(folder, sizeof folder, "%s", inside);
    left = step, done = 0, writing = -1;
}

long steps_done(void) { return done; }

static void step(const char *file) {
    if (left < 0 || strncmp(file, folder, strlen(folder)) != 0) return;
    done++;
    if (--left == 0) kill(getpid(), SIGKILL);
    if (left == 0) pause();
}

static void step_of(int fd, int writes) {
    char link[64], file[4096];
    if (left < 0 || (writes && writing == fd)) return;
    writing = writes ? fd : -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, file, sizeof file - 1);
    if (length < 0) return;
    file[length] = 0;
    step(file);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd) { step_of(fd, 0); return NEXT(fsync)(fd); }
int fdatasync(int fd) { step_of(fd, 0); return NEXT(fdatasync)(fd); }
int ftruncate(int fd, off_t size) { step_of(fd, 0); return NEXT(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { step_of(fd, 0); return NEXT(ftruncate64)(fd, size); }
ssize_t write(int fd, const void *bytes, size_t size) { step_of(fd, 1); return NEXT(write)(fd, bytes, size); }
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
    step_of(fd, 1);
    return NEXT(pwrite)(fd, bytes, size, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
    step_of(fd, 1);
    return NEXT(pwrite64)(fd, bytes, size, at);
}
int rename(const char *from, const char *to) { writing = -1; step(from); return NEXT(rename)(from, to); }
int link(const char *from, const char *to) { writing = -1; step(from); return NEXT(link)(from, to); }
int unlink(const char *path) { writing = -1; step(path); return NEXT(unlink)(path); }
