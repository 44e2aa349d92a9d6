#include "base/cancel.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"

struct cancel {
        atomic_int level;
        int fd;
};

struct cancel *cancel_new(void)
{
        struct cancel *cancel = mem_zero(sizeof *cancel);
        cancel->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return cancel;
}

struct cancel *cancel_free(struct cancel *cancel)
{
        if (cancel) {
                if (cancel->fd >= 0)
                        close(cancel->fd);
                free(cancel);
        }
        return NULL;
}

void cancel_raise(struct cancel *cancel)
{
        int number = errno;
        atomic_fetch_add(&cancel->level, 1);
        uint64_t one = 1;
        ssize_t ignored = write(cancel->fd, &one, sizeof one); /* never read: stays readable */
        (void)ignored;
        errno = number;
}

int cancel_level(const struct cancel *cancel)
{
        return cancel ? atomic_load(&cancel->level) : 0;
}

int cancel_fd(const struct cancel *cancel)
{
        return cancel ? cancel->fd : -1;
}

int cancel_check(const struct cancel *cancel, int level, struct err **err)
{
        return cancel_level(cancel) >= level ? err_set(err, ERR_CANCELLED, "cancelled") : 0;
}
