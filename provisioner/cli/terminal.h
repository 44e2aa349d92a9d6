/* The whole screen of a terminal, and its keys, for a live view. Whatever ends the program (but SIGKILL) leaves the
 * terminal as it was. */
#ifndef CAAS_CLI_TERMINAL_H
#define CAAS_CLI_TERMINAL_H

#include <stddef.h>

#include "base/err.h"

struct terminal;

struct terminal_size {
        size_t columns, rows;
};

/* What came; a key that is a letter is itself. */
enum {
        TERMINAL_TIME = -1,    /* the time is over */
        TERMINAL_OTHER = -2,   /* the other descriptor can be read */
        TERMINAL_RESIZED = -3, /* also: the picture has to be drawn anew for another reason */
        TERMINAL_END = -4,     /* Ctrl-C, a signal that ends, or the terminal is gone */
        TERMINAL_UP = 256,
        TERMINAL_DOWN,
        TERMINAL_LEFT,
        TERMINAL_RIGHT,
        TERMINAL_PAGE_UP,
        TERMINAL_PAGE_DOWN,
        TERMINAL_HOME,
        TERMINAL_LAST,
        TERMINAL_BACK_TAB,
};

/* Takes the terminal `out` and the keys of `in` (which may be no terminal: then there are no keys), and from here on
 * the signals that end, stop or resize. Call it before threads are started: they must not get these either. One at a
 * time. */
int terminal_open(int in, int out, struct terminal **ret, struct err **err);
struct terminal *terminal_close(struct terminal *terminal); /* accepts NULL, returns NULL */
static inline void terminal_cleanup(struct terminal **terminal)
{
        terminal_close(*terminal);
}
#define CLEANUP_TERMINAL __attribute__((cleanup(terminal_cleanup)))

struct terminal_size terminal_size(const struct terminal *terminal);

/* Lines parted by '\n', none wider than the terminal and no more than it has rows. */
void terminal_draw(struct terminal *terminal, const char *picture);

/* Waits at most `ms` for a key, a signal or `other` (-1 = none). Ctrl-Z stops the program in here. */
int terminal_wait(struct terminal *terminal, int other, int ms);

#endif
