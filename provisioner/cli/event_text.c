#include "cli/event_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/text.h"

static const char *const words[][3] = {
        {"create", "creating", "created"},
        {"update", "updating", "updated"},
        {"replace", "replacing", "replaced"},
        {"remove", "removing", "removed"},
        {"none", "looking", "nothing to do"},
};

static const char *word(const char *action, int which)
{
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
                if (str_is(words[i][0], action))
                        return words[i][which];
        return action ? action : "";
}

const char *event_doing(const char *action)
{
        return word(action, 1);
}

const char *event_phase_text(const char *phase)
{
        if (str_is(phase, "observing"))
                return "looking at what is there";
        if (str_is(phase, "checking"))
                return "checking before the first change";
        return phase ? phase : "";
}

/* Second and further lines stand below the first, not below the margin. */
static char *indented(const char *text)
{
        CLEANUP_FREE char *safe = text_safe(text ? text : "", true);
        struct buf out = BUF_INIT(256 * 1024);
        size_t length = strlen(safe);
        while (length && safe[length - 1] == '\n')
                length--;
        for (size_t i = 0; i < length; i++) {
                buf_add(&out, &safe[i], 1);
                if (safe[i] == '\n')
                        buf_str(&out, "        ");
        }
        return buf_steal(&out);
}

static char *count_text(const struct event *event)
{
        return event->total ? str_format("[%zu/%zu] ", event->done, event->total) : str_copy("");
}

char *event_text(const struct event *event, bool color)
{
        char duration[32];
        CLEANUP_FREE char *count = count_text(event);
        CLEANUP_FREE char *text = indented(event->text);
        const char *id = event->id ? event->id : "";
        const char *off = cli_style(color, STYLE_NONE);
        clock_duration(event->duration_ms, duration);
        switch (event->type) {
        case EVENT_STEP_DONE:
                return str_format("%s%s%s%s: %s (%s)%s", cli_style(color, STYLE_DIM), count, off, id,
                        word(event->action, 2), duration, "");
        case EVENT_STEP_FAILED:
                return str_format("%s%s%s%s%s: failed (%s): %s%s", cli_style(color, STYLE_DIM), count, off,
                        cli_style(color, STYLE_RED), id, duration, off, text);
        case EVENT_RETRY:
                return str_format(
                        "%s: %strying again%s (%zu): %s", id, cli_style(color, STYLE_YELLOW), off, event->done, text);
        case EVENT_KEPT:
                return str_format("%s: %skept%s: %s", id, cli_style(color, STYLE_CYAN), off, text);
        case EVENT_NOTICE:
                return str_format("%s: %snote%s: %s", id, cli_style(color, STYLE_CYAN), off, text);
        default:
                return NULL;
        }
}
