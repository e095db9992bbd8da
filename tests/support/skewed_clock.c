/* For LD_PRELOAD: a wall clock that is wrong. It is off by the whole seconds, maybe negative, that the file named in
   SKEWED_CLOCK_FILE holds, which is read anew at each call, so that the clock can be set while the program runs. The
   monotonic clock stays as it is. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* System calls directly: what the C library offers under these names is what is being replaced or may call it. */
static long offset_s(void)
{
    const char *path = getenv("SKEWED_CLOCK_FILE");
    char text[24] = "";
    long length, file;

    if (path == NULL)
        return 0;
    file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    length = syscall(SYS_read, (int)file, text, sizeof text - 1);
    syscall(SYS_close, (int)file);
    return length > 0 ? strtol(text, NULL, 10) : 0;
}

static int is_wall_clock(clockid_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && is_wall_clock(clock))
        now->tv_sec += offset_s();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise))
        return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result)
{
    struct timespec precise;
    if (clock_gettime(CLOCK_REALTIME, &precise))
        return -1;
    if (result != NULL)
        *result = precise.tv_sec;
    return precise.tv_sec;
}
