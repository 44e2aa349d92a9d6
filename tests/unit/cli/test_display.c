/* The live display, looked at through a pty by a small terminal of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/display.h"

/* ---- a terminal: knows what the display uses, and fails on anything else ---- */

#define ROWS_MAX 400
#define COLS_MAX 200

struct screen {
        char cell[ROWS_MAX][COLS_MAX + 1]; /* one byte a column: the tests write ASCII, and "…" counts as one */
        int columns, row, column, top;     /* row is absolute; top: how far has been scrolled */
        int rows;
        bool hidden;
        int frames;
};

static void screen_init(struct screen *s, int rows, int columns)
{
        memset(s, 0, sizeof *s);
        memset(s->cell, ' ', sizeof s->cell);
        s->rows = rows;
        s->columns = columns;
}

static void newline(struct screen *s)
{
        s->row++;
        assert_true(s->row < ROWS_MAX);
        if (s->row - s->top >= s->rows)
                s->top = s->row - s->rows + 1;
}

static void put(struct screen *s, char c)
{
        if (s->column == s->columns) {
                s->column = 0;
                newline(s);
        }
        s->cell[s->row][s->column++] = c;
}

static void erase_below(struct screen *s)
{
        memset(&s->cell[s->row][s->column], ' ', (size_t)(COLS_MAX - s->column));
        for (int r = s->row + 1; r < ROWS_MAX; r++)
                memset(s->cell[r], ' ', COLS_MAX);
}

static const char *escape(struct screen *s, const char *p)
{
        int number = 0;
        bool private_ = false;
        assert_int_equal(*p, '[');
        p++;
        if (*p == '?') {
                private_ = true;
                p++;
        }
        while (*p >= '0' && *p <= '9')
                number = number * 10 + (*p++ - '0');
        switch (*p) {
        case 'A':
                s->row -= number;
                assert_true(s->row >= s->top); /* a real one would stop at the top, and the picture be torn */
                break;
        case 'J':
                erase_below(s);
                break;
        case 'l':
        case 'h':
                assert_true(private_ && number == 25);
                s->hidden = *p == 'l';
                s->frames += *p == 'h';
                break;
        case 'm':
                break;
        default:
                fail_msg("an escape that is not known: %c", *p);
        }
        return p + 1;
}

static void screen_feed(struct screen *s, const char *text)
{
        for (const char *p = text; *p;) {
                unsigned char c = (unsigned char)*p++;
                if (c == 0x1b) {
                        p = escape(s, p);
                } else if (c == '\r') {
                        s->column = 0;
                } else if (c == '\n') {
                        newline(s);
                } else if (c == 0xe2) { /* "…" */
                        p += 2;
                        put(s, '~');
                } else {
                        assert_true(c >= 0x20 && c < 0x7f);
                        put(s, (char)c);
                }
        }
}

/* A terminal that becomes narrower wraps its lines again. (Only the last picture matters, so its rows alone are moved.)
 */
static void screen_narrow(struct screen *s, int columns)
{
        struct screen *old = mem_copy(s, sizeof *s);
        screen_init(s, old->rows, columns);
        for (int r = 0; r < old->row; r++) {
                int length = COLS_MAX;
                while (length > 0 && old->cell[r][length - 1] == ' ')
                        length--;
                for (int c = 0; c < length; c++)
                        put(s, old->cell[r][c]);
                s->column = 0;
                newline(s);
        }
        s->frames = old->frames;
        free(old);
}

static char *screen_row(const struct screen *s, int row)
{
        char *text = str_copy_n(s->cell[row], (size_t)COLS_MAX);
        size_t n = strlen(text);
        while (n && text[n - 1] == ' ')
                text[--n] = '\0';
        return text;
}

/* Is there a row of exactly (or, with a star at the end, beginning with) this? */
static int find_row(const struct screen *s, const char *wanted)
{
        size_t n = strlen(wanted);
        bool prefix = n && wanted[n - 1] == '*';
        for (int r = 0; r <= s->row; r++) {
                CLEANUP_FREE char *row = screen_row(s, r);
                if (prefix ? strncmp(row, wanted, n - 1) == 0 : strcmp(row, wanted) == 0)
                        return r;
        }
        return -1;
}

static void has_row(const struct screen *s, const char *wanted)
{
        if (find_row(s, wanted) >= 0)
                return;
        for (int r = 0; r <= s->row; r++) {
                CLEANUP_FREE char *row = screen_row(s, r);
                print_message("|%s\n", row);
        }
        fail_msg("no row '%s'", wanted);
}

/* ---- time that stands still, and the pty ---- */

static _Atomic int64_t time_now;

static int64_t fake_monotonic(struct clock *clock)
{
        (void)clock;
        return time_now;
}
static struct clock fake_clock = {.monotonic_ms = fake_monotonic, .wall_ms = fake_monotonic};

struct tty {
        int master, slave;
        struct screen screen;
        struct display *display;
};

static void resize(struct tty *t, int rows, int columns)
{
        struct winsize ws = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
        assert_int_equal(ioctl(t->slave, TIOCSWINSZ, &ws), 0);
}

static void open_tty(struct tty *t, int rows, int columns, struct cancel *cancel)
{
        memset(t, 0, sizeof *t);
        assert_int_equal(openpty(&t->master, &t->slave, NULL, NULL, NULL), 0);
        struct termios raw;
        tcgetattr(t->slave, &raw);
        cfmakeraw(&raw); /* no "\n" to "\r\n": done below, as a terminal would */
        raw.c_oflag |= OPOST | ONLCR;
        tcsetattr(t->slave, TCSANOW, &raw);
        fcntl(t->master, F_SETFL, O_NONBLOCK);
        resize(t, rows, columns);
        screen_init(&t->screen, rows, columns);
        time_now = 1000;
        t->display = display_new(t->slave, &fake_clock, false, cancel);
}

/* Takes what was written up to now. */
static void look(struct tty *t)
{
        char text[65536];
        for (;;) {
                struct pollfd wait = {.fd = t->master, .events = POLLIN};
                if (poll(&wait, 1, 20) <= 0)
                        return;
                ssize_t n = read(t->master, text, sizeof text - 1);
                if (n <= 0)
                        return;
                text[n] = '\0';
                screen_feed(&t->screen, text);
        }
}

/* Waits for the next picture that is drawn by itself. */
static void tick(struct tty *t)
{
        look(t);
        int frames = t->screen.frames;
        time_now += 1000; /* the same picture is not drawn twice */
        for (int i = 0; i < 100 && t->screen.frames == frames; i++)
                look(t);
        assert_true(t->screen.frames > frames);
}

static void close_tty(struct tty *t)
{
        t->display = display_free(t->display);
        look(t);
        close(t->slave);
        close(t->master);
}

static void event(struct tty *t, struct event e)
{
        time_now += 1000; /* so that each is worth a picture */
        display_event(t->display, &e);
        look(t);
}

/* ---- tests ---- */

static void run_to_the_middle(struct tty *t)
{
        event(t, (struct event){.type = EVENT_PHASE, .text = "observing"});
        event(t, (struct event){.type = EVENT_RUN_BEGIN, .text = "apply", .total = 3});
        event(t, (struct event){.type = EVENT_STEP_BEGIN, .id = "hub/env", .action = "create"});
        event(t, (struct event){.type = EVENT_STEP_BEGIN, .id = "notebook/env", .action = "update"});
        event(t, (struct event){.type = EVENT_PROGRESS,
                         .id = "notebook/env",
                         .text = "installing 149 packages, \x1b[2J of them large"});
        event(t, (struct event){.type = EVENT_STEP_DONE,
                         .id = "hub/env",
                         .action = "create",
                         .done = 1,
                         .total = 3,
                         .duration_ms = 2300});
}

static void test_wide(void **state)
{
        (void)state;
        struct tty t;
        open_tty(&t, 24, 120, NULL);
        event(&t, (struct event){.type = EVENT_PHASE, .text = "observing"});
        has_row(&t.screen, "looking at what is there*");
        run_to_the_middle(&t);
        has_row(&t.screen, "[1/3] hub/env: created (2.3 s)");
        has_row(&t.screen, "1/3  4 s*");
        has_row(&t.screen, "  notebook/env                  2 s  installing 149 packages, \\x1b[2J of them large");
        assert_int_equal(find_row(&t.screen, "  hub/env*"), -1);
        assert_int_equal(find_row(&t.screen, "looking*"), -1);
        time_now += 59000; /* nothing happens, and time is shown to pass */
        tick(&t);
        has_row(&t.screen, "1/3  1 min 04 s*");
        event(&t, (struct event){.type = EVENT_STEP_FAILED,
                          .id = "notebook/env",
                          .text = "no\nspace",
                          .done = 1,
                          .total = 3,
                          .duration_ms = 9});
        has_row(&t.screen, "[1/3] notebook/env: failed (9 ms): no");
        has_row(&t.screen, "        space");
        event(&t, (struct event){.type = EVENT_RUN_END, .text = "failed"});
        assert_int_equal(find_row(&t.screen, "1/3*"), -1);
        assert_false(t.screen.hidden);
        close_tty(&t);
        assert_int_equal(t.screen.row, 3); /* three lines stay, and nothing below them */
}

static void test_narrow(void **state)
{
        (void)state;
        struct tty t;
        open_tty(&t, 10, 40, NULL);
        run_to_the_middle(&t);
        has_row(&t.screen, "[1/3] hub/env: created (2.3 s)");
        has_row(&t.screen, "  notebook/env  2 s  installing 149 pa~");
        for (int i = 0; i < 3; i++)
                tick(&t); /* drawn over itself, not below */
        assert_int_equal(t.screen.row, 3);
        close_tty(&t);
        assert_int_equal(t.screen.row, 1);
        assert_int_equal(find_row(&t.screen, "  notebook*"), -1);
}

static void test_more_than_fits(void **state)
{
        (void)state;
        struct tty t;
        open_tty(&t, 8, 80, NULL);
        event(&t, (struct event){.type = EVENT_RUN_BEGIN, .total = 20});
        for (int i = 0; i < 20; i++) {
                char id[16];
                snprintf(id, sizeof id, "many/%d", i);
                event(&t, (struct event){.type = EVENT_STEP_BEGIN, .id = id, .action = "create"});
        }
        tick(&t);
        tick(&t);
        has_row(&t.screen, "  and 16 more");
        assert_true(t.screen.row - t.screen.top < 8);
        close_tty(&t);
        assert_int_equal(t.screen.row, 0);
}

static void test_resize(void **state)
{
        (void)state;
        struct tty t;
        open_tty(&t, 24, 120, NULL);
        run_to_the_middle(&t);
        look(&t);
        /* Between two pictures the window is dragged to a third. */
        resize(&t, 24, 40);
        screen_narrow(&t.screen, 40);
        tick(&t);
        has_row(&t.screen, "[1/3] hub/env: created (2.3 s)");
        has_row(&t.screen, "  notebook/env  3 s  installing 149 pa~");
        int rows = 0;
        for (int r = 0; r <= t.screen.row; r++) {
                CLEANUP_FREE char *row = screen_row(&t.screen, r);
                rows += *row != '\0';
        }
        assert_int_equal(rows, 3); /* no torn rest of the wide picture */
        close_tty(&t);
}

static void test_burst_is_calm(void **state)
{
        (void)state;
        struct tty t;
        open_tty(&t, 24, 80, NULL);
        event(&t, (struct event){.type = EVENT_RUN_BEGIN, .total = 300});
        int before = t.screen.frames;
        for (int i = 0; i < 300; i++) /* all within one moment */
                display_event(t.display, &(struct event){.type = EVENT_STEP_DONE,
                                                 .id = "a/b",
                                                 .action = "create",
                                                 .done = (size_t)i + 1,
                                                 .total = 300});
        look(&t);
        assert_true(t.screen.frames - before < 20);
        event(&t, (struct event){.type = EVENT_RUN_END, .text = "done"});
        has_row(&t.screen, "[1/300] a/b: created (0 ms)");
        has_row(&t.screen, "[300/300] a/b: created (0 ms)");
        close_tty(&t);
}

static void test_stopping_is_said(void **state)
{
        (void)state;
        struct cancel *cancel = cancel_new();
        struct tty t;
        open_tty(&t, 24, 100, cancel);
        run_to_the_middle(&t);
        cancel_raise(cancel);
        tick(&t);
        has_row(&t.screen, "1/3  5 s  stopping: finishing what runs (again: at once)");
        cancel_raise(cancel);
        tick(&t);
        has_row(&t.screen, "1/3  6 s  stopping at once");
        display_line(t.display, "a remark");
        look(&t);
        has_row(&t.screen, "a remark");
        display_pause(t.display);
        look(&t);
        assert_int_equal(find_row(&t.screen, "1/3*"), -1);
        close_tty(&t);
        cancel_free(cancel);
}

/* Whatever moment the process dies in, the cursor is shown: each picture is one write that ends so. */
static void test_each_write_is_whole(void **state)
{
        (void)state;
        int pair[2];
        assert_int_equal(pipe(pair), 0);
        time_now = 1000;
        struct display *d = display_new(pair[1], &fake_clock, true, NULL);
        display_event(d, &(struct event){.type = EVENT_RUN_BEGIN, .total = 1});
        time_now += 1000;
        display_event(
                d, &(struct event){.type = EVENT_STEP_DONE, .id = "a/b", .action = "create", .done = 1, .total = 1});
        display_free(d);
        close(pair[1]);
        char text[8192];
        ssize_t n = read(pair[0], text, sizeof text - 1);
        assert_true(n > 0);
        text[n] = '\0';
        assert_true(str_ends(text, "\x1b[?25h"));
        int shown = 0, hidden = 0;
        for (char *p = text; (p = strstr(p, "\x1b[?25")); p++)
                *(p + 5) == 'h' ? shown++ : hidden++;
        assert_int_equal(shown, hidden);
        close(pair[0]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_wide),
                cmocka_unit_test(test_narrow),
                cmocka_unit_test(test_more_than_fits),
                cmocka_unit_test(test_resize),
                cmocka_unit_test(test_burst_is_calm),
                cmocka_unit_test(test_stopping_is_said),
                cmocka_unit_test(test_each_write_is_whole),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
