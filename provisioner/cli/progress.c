#include "cli/progress.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/display.h"
#include "cli/event_text.h"
#include "cli/signals.h"

struct progress {
        const struct cli *cli;
        struct display *display; /* NULL = lines, NDJSON or nothing */
        size_t failures;
        struct buf failed; /* their ids */
};

struct progress *progress_new(const struct cli *cli)
{
        struct progress *progress = mem_zero(sizeof *progress);
        *progress = (struct progress){.cli = cli, .failed = BUF_INIT(400)};
        const char *term = getenv("TERM");
        if (!cli->json && !cli->quiet && isatty(fileno(cli->out)) && term && !str_is(term, "dumb")) {
                progress->display = display_new(fileno(cli->out), clock_system(), cli->color, cli->cancel);
                signals_silent(true);
        }
        return progress;
}

struct progress *progress_free(struct progress *progress)
{
        if (!progress)
                return NULL;
        if (progress->display)
                signals_silent(false);
        display_free(progress->display);
        buf_clear(&progress->failed);
        free(progress);
        return NULL;
}

static void count_failure(struct progress *progress, const struct event *event)
{
        progress->failures++;
        buf_format(&progress->failed, "%s%s", progress->failed.length ? ", " : "", event->id ? event->id : "?");
}

void progress_event(void *data, const struct event *event)
{
        struct progress *progress = data;
        const struct cli *cli = progress->cli;
        if (cli->json) {
                json_auto_t *object = event_to_json(event);
                json_dumpf(object, cli->out, JSON_COMPACT);
                fputc('\n', cli->out);
                fflush(cli->out);
                return;
        }
        if (cli->quiet)
                return;
        if (event->type == EVENT_STEP_FAILED)
                count_failure(progress, event);
        if (progress->display) {
                display_event(progress->display, event);
                return;
        }
        CLEANUP_FREE char *line = event_text(event, cli->color);
        if (line) {
                fprintf(cli->out, "%s\n", line);
                fflush(cli->out);
        }
}

void progress_note(void *data, const char *text)
{
        struct progress *progress = data;
        if (progress->cli->quiet)
                return;
        if (progress->display)
                display_line(progress->display, text);
        else
                fprintf(progress->cli->notes, "caas: %s\n", text);
}

void progress_pause(struct progress *progress)
{
        if (progress->display)
                display_pause(progress->display);
}

void progress_shorten(const struct progress *progress, struct err *err)
{
        if (!progress->failures || !err || err->code != ERR_FAILED)
                return;
        /* The engine's last line says how many steps were left undone because of it, if any were. */
        const char *last = strrchr(err->message, '\n');
        bool undone = last && str_ends(last, "not done");
        char *text = str_format("%zu %s failed: %s%s%s%s. What is done stays; the same command goes on from here",
                progress->failures, progress->failures == 1 ? "step" : "steps", progress->failed.data,
                progress->failed.truncated ? " …" : "", undone ? "; " : "", undone ? last + 1 : "");
        free(err->message);
        err->message = text;
}
