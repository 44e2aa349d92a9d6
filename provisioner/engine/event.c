#include "engine/event.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

const char *event_type_name(enum event_type type)
{
        static const char *const names[] = {"run_begin", "phase", "step_begin", "progress", "retry", "step_done",
                "step_failed", "kept", "notice", "run_end"};
        return names[type];
}

/* A text may be a line of some program: JSON would leave out all of one that is not UTF-8. */
static void put_text(json_t *object, const char *key, const char *text)
{
        CLEANUP_FREE char *copy = text ? str_copy(text) : NULL;
        if (copy)
                json_object_set_new(object, key, json_string(utf8_make(copy)));
}

json_t *event_to_json(const struct event *event)
{
        char time[32];
        json_t *object = json_pack(
                "{s:s, s:s}", "event", event_type_name(event->type), "time", clock_format(event->wall_ms, time));
        put_text(object, "cluster", event->cluster);
        put_text(object, "id", event->id);
        put_text(object, "kind", event->kind);
        put_text(object, "action", event->action);
        put_text(object, "text", event->text);
        if (event->total || event->type == EVENT_RUN_END || event->type == EVENT_RUN_BEGIN) {
                json_object_set_new(object, "done", json_integer((json_int_t)event->done));
                json_object_set_new(object, "total", json_integer((json_int_t)event->total));
        }
        if (event->type == EVENT_STEP_DONE || event->type == EVENT_STEP_FAILED || event->type == EVENT_RUN_END)
                json_object_set_new(object, "duration_ms", json_integer(event->duration_ms));
        return object;
}
