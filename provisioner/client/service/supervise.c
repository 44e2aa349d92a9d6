#include "client/service/supervise.h"

#include <fcntl.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define STATUS_BYTES 20
#define LOG_ATTEMPT  6   /* a third of a second */
#define KILL_ATTEMPT 200 /* ten seconds */

/* Opening the pipe for writing works only while runsv has it open for reading. */
static int open_pipe(const char *service, const char *name)
{
        CLEANUP_FREE char *path = str_format("%s/supervise/%s", service, name);
        return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
}

bool supervise_alive(const char *service)
{
        CLEANUP_CLOSE int fd = open_pipe(service, "ok");
        return fd >= 0;
}

bool supervise_send(const char *service, char command)
{
        CLEANUP_CLOSE int fd = open_pipe(service, "control");
        return fd >= 0 && write(fd, &command, 1) == 1;
}

bool supervise_end(const char *service, int attempt)
{
        if (!supervise_send(service, 'x'))
                return supervise_alive(service);
        if (attempt >= LOG_ATTEMPT) {
                CLEANUP_FREE char *log = file_join(service, "log");
                supervise_send(log, 't');
        }
        if (attempt >= KILL_ATTEMPT)
                supervise_send(service, 'k');
        return true;
}

bool supervise_read(const char *service, struct supervise_status *ret)
{
        CLEANUP_FREE char *path = str_format("%s/supervise/status", service);
        CLEANUP_FREE char *data = NULL;
        size_t length = 0;
        if (file_read(path, 64, &data, &length, NULL) < 0 || length != STATUS_BYTES)
                return false;
        const unsigned char *s = (const unsigned char *)data;
        uint64_t seconds = 0, nanoseconds = 0, pid = 0;
        for (int i = 0; i < 8; i++)
                seconds = seconds << 8 | s[i];
        for (int i = 8; i < 12; i++)
                nanoseconds = nanoseconds << 8 | s[i];
        for (int i = 15; i >= 12; i--)
                pid = pid << 8 | s[i];
        *ret = (struct supervise_status){.up = s[19] == 1,
                .wanted = s[17] == 'u',
                .pid = (pid_t)pid,
                .since = seconds * 1000000000U + nanoseconds};
        return true;
}
