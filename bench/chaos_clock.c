/* The wall clock, off by the seconds that the file $CHAOS_CLOCK holds; no other clock is touched.
   cc -shared -fPIC -o chaos_clock.so chaos_clock.c */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset(void) {
    const char *path = getenv("CHAOS_CLOCK");
    char held[32] = {0};
    int file = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    if (read(file, held, sizeof held - 1) < 0) held[0] = 0;
    close(file);
    return atol(held);
}

int clock_gettime(clockid_t which, struct timespec *out) {
    int failed = syscall(SYS_clock_gettime, which, out);
    if (!failed && which == CLOCK_REALTIME) out->tv_sec += offset();
    return failed;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
