#include "cli/display.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/event_text.h"
#include "cli/text.h"

#define FRAME_MS    200
#define BURST_MS    100 /* events that come faster than this share a picture */
#define FRAME_MAX   (4UL * 1024 * 1024)
#define PENDING_MAX (1UL * 1024 * 1024)
#define NAME_WIDTH  28

struct task {
        char *id, *doing, *text;
        int64_t began;
};

struct display {
        int fd;
        struct clock *clock;
        bool color;
        struct cancel *cancel;
        pthread_t thread;
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        bool ending, active; /* active: there is a run, or a phase, to show */
        char *phase;
        int64_t began;
        size_t done, total;
        struct task *task;
        size_t count, capacity;
        struct buf pending; /* lines that stay, to be written above the next picture */
        int64_t last;       /* when the last picture was made */
        char *picture;      /* the last live part, to leave it alone while it says the same */
        struct size {
                size_t columns, rows;
        } size;        /* for which it was made */
        size_t *drawn; /* widths of the lines of the last picture */
        size_t drawn_count, drawn_capacity;
};

static struct size terminal_size(int fd)
{
        struct winsize ws;
        struct size size = {80, 24};
        if (ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 && ws.ws_row > 0)
                size = (struct size){ws.ws_col, ws.ws_row};
        return size;
}

static int64_t now(const struct display *d)
{
        return d->clock->monotonic_ms(d->clock);
}

/* Whole seconds: figures that flicker say no more. */
static const char *elapsed_text(int64_t ms, char text[32])
{
        if (ms >= 60000)
                return clock_duration(ms, text);
        snprintf(text, 32, "%d s", (int)(ms / 1000));
        return text;
}

static void write_all(int fd, const char *data, size_t length)
{
        while (length) {
                ssize_t n = write(fd, data, length);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return; /* the terminal is gone: the run goes on without it */
                data += n;
                length -= (size_t)n;
        }
}

/* ---- a picture ---- */

/* Back to the first column of the first line of the last picture. A terminal that became narrower has wrapped its
 * lines. */
static void rewind_frame(struct display *d, struct buf *out, size_t columns)
{
        size_t rows = 0;
        for (size_t i = 0; i < d->drawn_count; i++)
                rows += d->drawn[i] > columns ? (d->drawn[i] + columns - 1) / columns : 1;
        if (rows)
                buf_format(out, "\r\x1b[%zuA\x1b[J", rows);
        else
                buf_str(out, "\r\x1b[J");
}

static void add_line(struct display *d, struct buf *out, const char *text, size_t columns, enum style style)
{
        CLEANUP_FREE char *cut = text_cut(text, columns > 1 ? columns - 1 : 1);
        buf_format(out, "%s%s%s\n", style == STYLE_NONE ? "" : cli_style(d->color, style), cut,
                style == STYLE_NONE ? "" : cli_style(d->color, STYLE_NONE));
        MEM_GROW(d->drawn, d->drawn_count, d->drawn_capacity);
        d->drawn[d->drawn_count++] = text_width(cut);
}

static void add_task(struct display *d, struct buf *out, const struct task *task, size_t columns)
{
        char elapsed[32];
        elapsed_text(now(d) - task->began, elapsed);
        CLEANUP_FREE char *name = text_cut(task->id, NAME_WIDTH);
        int gap = columns >= 80 ? (int)(NAME_WIDTH - text_width(name)) : 0;
        CLEANUP_FREE char *line =
                str_format("  %s%*s  %s  %s", name, gap, "", elapsed, task->text ? task->text : task->doing);
        add_line(d, out, line, columns, STYLE_NONE);
}

static void add_heading(struct display *d, struct buf *out, size_t columns)
{
        char elapsed[32];
        elapsed_text(now(d) - d->began, elapsed);
        int level = cancel_level(d->cancel);
        const char *stop = level == 1 ? "  stopping: finishing what runs (again: at once)" : "  stopping at once";
        CLEANUP_FREE char *line =
                d->total ? str_format("%zu/%zu  %s%s", d->done, d->total, elapsed, level ? stop : "")
                         : str_format("%s  %s%s", event_phase_text(d->phase), elapsed, level ? stop : "");
        add_line(d, out, line, columns, level ? STYLE_YELLOW : STYLE_BOLD);
}

/* The live part; the widths of its lines go to d->drawn. The caller frees. */
static char *make_picture(struct display *d, struct size size)
{
        struct buf out = BUF_INIT(FRAME_MAX);
        d->drawn_count = 0;
        if (d->active) {
                size_t room = size.rows > 4 ? size.rows - 3 : 1, shown = d->count < room ? d->count : room - 1;
                add_heading(d, &out, size.columns);
                for (size_t i = 0; i < shown; i++)
                        add_task(d, &out, &d->task[i], size.columns);
                if (shown < d->count) {
                        CLEANUP_FREE char *rest = str_format("  and %zu more", d->count - shown);
                        add_line(d, &out, rest, size.columns, STYLE_DIM);
                }
        }
        return buf_steal(&out);
}

/* Everything in one write; nothing if nothing is new. */
static void draw(struct display *d)
{
        struct size size = terminal_size(d->fd);
        CLEANUP_BUF struct buf out = BUF_INIT(FRAME_MAX + PENDING_MAX);
        buf_str(&out, "\x1b[?25l");
        rewind_frame(d, &out, size.columns);
        char *picture = make_picture(d, size);
        bool same = str_is(picture, d->picture) && size.columns == d->size.columns && size.rows == d->size.rows;
        free(d->picture);
        d->picture = picture;
        d->size = size;
        if (same && !d->pending.length)
                return;
        if (d->pending.length)
                buf_str(&out, d->pending.data);
        buf_clear(&d->pending);
        buf_str(&out, picture);
        buf_str(&out, "\x1b[?25h");
        write_all(d->fd, out.data, out.length);
        d->last = now(d);
}

/* ---- the model ---- */

static void task_clear(struct task *task)
{
        free(task->id);
        free(task->doing);
        free(task->text);
}

static struct task *find_task(struct display *d, const char *id)
{
        for (size_t i = 0; i < d->count; i++)
                if (str_is(d->task[i].id, id))
                        return &d->task[i];
        return NULL;
}

static void begin_task(struct display *d, const struct event *event)
{
        MEM_GROW(d->task, d->count, d->capacity);
        d->task[d->count++] = (struct task){
                .id = str_copy(event->id), .doing = str_copy(event_doing(event->action)), .began = now(d)};
}

static void end_task(struct display *d, const char *id)
{
        struct task *task = find_task(d, id);
        if (!task)
                return;
        task_clear(task);
        size_t after = d->count - (size_t)(task - d->task) - 1;
        memmove(task, task + 1, after * sizeof *task);
        d->count--;
}

static void set_progress(struct display *d, const struct event *event)
{
        struct task *task = find_task(d, event->id);
        if (!task)
                return;
        free(task->text);
        task->text = event->text ? text_safe(event->text, false) : NULL;
}

static void note(struct display *d, const struct event *event)
{
        switch (event->type) {
        case EVENT_PHASE:
                free(d->phase);
                d->phase = str_copy(event->text ? event->text : "");
                d->began = d->active ? d->began : now(d);
                d->active = true;
                break;
        case EVENT_RUN_BEGIN:
                d->total = event->total;
                d->done = 0;
                d->began = now(d);
                d->active = true;
                break;
        case EVENT_STEP_BEGIN:
                begin_task(d, event);
                break;
        case EVENT_PROGRESS:
        case EVENT_RETRY:
                set_progress(d, event);
                break;
        case EVENT_STEP_DONE:
        case EVENT_STEP_FAILED:
                end_task(d, event->id);
                d->done = event->done;
                break;
        case EVENT_RUN_END:
                d->active = false;
                break;
        default:
                break;
        }
}

void display_event(struct display *d, const struct event *event)
{
        CLEANUP_FREE char *line = event_text(event, d->color);
        pthread_mutex_lock(&d->mutex);
        note(d, event);
        if (line)
                buf_format(&d->pending, "%s\n", line);
        /* What only changes the live part, or comes in a burst, waits for the next picture. */
        bool worth = line || event->type == EVENT_PHASE;
        if (event->type == EVENT_RUN_END || d->ending || (worth && now(d) - d->last >= BURST_MS))
                draw(d);
        pthread_mutex_unlock(&d->mutex);
}

void display_line(struct display *d, const char *text)
{
        CLEANUP_FREE char *safe = text_safe(text, true);
        pthread_mutex_lock(&d->mutex);
        buf_format(&d->pending, "%s\n", safe);
        draw(d);
        pthread_mutex_unlock(&d->mutex);
}

void display_pause(struct display *d)
{
        pthread_mutex_lock(&d->mutex);
        d->active = false;
        if (d->drawn_count || d->pending.length)
                draw(d);
        pthread_mutex_unlock(&d->mutex);
}

static void *ticker(void *data)
{
        struct display *d = data;
        pthread_mutex_lock(&d->mutex);
        while (!d->ending) {
                struct timespec until;
                clock_gettime(CLOCK_MONOTONIC, &until);
                until.tv_nsec += FRAME_MS * 1000000L;
                until.tv_sec += until.tv_nsec / 1000000000L;
                until.tv_nsec %= 1000000000L;
                pthread_cond_timedwait(&d->changed, &d->mutex, &until);
                if (d->active && !d->ending)
                        draw(d);
        }
        pthread_mutex_unlock(&d->mutex);
        return NULL;
}

struct display *display_new(int fd, struct clock *clock, bool color, struct cancel *cancel)
{
        struct display *d = mem_zero(sizeof *d);
        *d = (struct display){
                .fd = fd, .clock = clock, .color = color, .cancel = cancel, .pending = BUF_INIT(PENDING_MAX)};
        pthread_condattr_t attr;
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_mutex_init(&d->mutex, NULL);
        pthread_cond_init(&d->changed, &attr);
        pthread_condattr_destroy(&attr);
        if (pthread_create(&d->thread, NULL, ticker, d) != 0)
                d->ending = true; /* no ticking: it is drawn with each event all the same */
        return d;
}

struct display *display_free(struct display *d)
{
        if (!d)
                return NULL;
        pthread_mutex_lock(&d->mutex);
        bool ticking = !d->ending;
        d->ending = true;
        d->active = false;
        if (d->drawn_count || d->pending.length)
                draw(d);
        pthread_cond_signal(&d->changed);
        pthread_mutex_unlock(&d->mutex);
        if (ticking)
                pthread_join(d->thread, NULL);
        for (size_t i = 0; i < d->count; i++)
                task_clear(&d->task[i]);
        free(d->task);
        free(d->drawn);
        free(d->picture);
        free(d->phase);
        pthread_cond_destroy(&d->changed);
        pthread_mutex_destroy(&d->mutex);
        free(d);
        return NULL;
}
