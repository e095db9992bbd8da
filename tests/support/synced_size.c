/* For LD_PRELOAD: remembers how much of an append-only file has reached the disk. After each successful fsync or
   fdatasync of a file whose name ends in .incr.aof, its size and its name are written to the file named in
   SYNCED_SIZE_FILE. A power loss leaves what was synced, so a test cuts the file at that size. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 4096 };

static int is_append_only(const char *path, long length)
{
    return length > 9 && strcmp(path + length - 9, ".incr.aof") == 0;
}

static void write_note(const char *path, long long size)
{
    const char *note = getenv("SYNCED_SIZE_FILE");
    char line[MOST + 32];
    int length, file;

    if (note == NULL)
        return;
    file = (int)syscall(SYS_openat, AT_FDCWD, note, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        return;
    /* One write of one width: whoever reads sees the old line or the new one. */
    length = snprintf(line, sizeof line, "%020lld %s\n", size, path);
    if (syscall(SYS_write, file, line, length) == length)
        (void)syscall(SYS_ftruncate, file, (long)length);
    syscall(SYS_close, file);
}

static int synced(long number, int file)
{
    struct stat before;
    char link[64], path[MOST];
    long length;
    int known = fstat(file, &before) == 0, failed = (int)syscall(number, file);

    if (failed || !known)
        return failed;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (length > 0) {
        path[length] = '\0';
        if (is_append_only(path, length))
            write_note(path, (long long)before.st_size);
    }
    return 0;
}

int fsync(int file) { return synced(SYS_fsync, file); }

int fdatasync(int file) { return synced(SYS_fdatasync, file); }
