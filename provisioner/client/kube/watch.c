/* Watching: a list, then a stream of changes from its version on.
 *
 *            ┌──────────────── 410 ────────────────┐
 *            ▼                                     │
 *   list, tell the differences, SYNC ──▶ stream of events ──▶ told to stop, or time is up
 *                                         │      ▲
 *                                         └ cut ─┘ from the last version seen
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "client/kube/lines.h"
#include "client/kube/list.h"
#include "client/kube/private.h"

#define STREAM_MS  60000 /* a stream is asked for so long, and a silent one is not believed in for much longer */
#define GRACE_MS   10000
#define LONG_MS    5000 /* a stream that lasted so long was a good one */
#define LINE_BYTES (16UL * 1024 * 1024)

struct watch {
        struct kube *kube;
        const struct kube_list *list;
        int (*event)(void *data, const char *type, const json_t *object);
        void *data;
        char *version; /* NULL: a new list is wanted */
        json_t *known; /* "namespace/name": {uid, version, round} */
        json_int_t round;
        int said;         /* what event() returned, when not 0 */
        bool damaged;     /* the stream held something that is no event */
        bool expired;     /* the server wants a new list */
        bool progress;    /* something came */
        long retry_after; /* what the server asked for */
        long status;      /* of an ERROR event */
        char *complaint;  /* its message */
};

static void watch_clear(struct watch *watch)
{
        free(watch->version);
        free(watch->complaint);
        json_decref(watch->known);
}

static const char *meta(const json_t *object, const char *name)
{
        const char *text = json_string_value(json_object_get(json_object_get(object, "metadata"), name));
        return text ? text : "";
}

static char *key_of(const json_t *object)
{
        return str_format("%s/%s", meta(object, "namespace"), meta(object, "name"));
}

static void remember(struct watch *watch, const char *key, const json_t *object)
{
        json_object_set_new(watch->known, key,
                json_pack("{s:s, s:s, s:I}", "uid", meta(object, "uid"), "version", meta(object, "resourceVersion"),
                        "round", watch->round));
}

static int tell(struct watch *watch, const char *type, const json_t *object)
{
        if (watch->said == 0)
                watch->said = watch->event(watch->data, type, object);
        return watch->said;
}

/* What is left of an object whose end was not seen. */
static int tell_gone(struct watch *watch, const char *key, const json_t *entry)
{
        const char *slash = strchr(key, '/');
        json_auto_t *object =
                json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", watch->list->api_version, "kind", watch->list->kind,
                        "metadata", "name", slash + 1, "uid", json_string_value(json_object_get(entry, "uid")));
        if (slash > key)
                json_object_set_new(
                        json_object_get(object, "metadata"), "namespace", json_stringn(key, (size_t)(slash - key)));
        return tell(watch, "DELETED", object);
}

/* An object as it is now, of a list or an event: told as what it is to the listener. */
static int tell_present(struct watch *watch, const json_t *object)
{
        CLEANUP_FREE char *key = key_of(object);
        json_t *entry = json_object_get(watch->known, key);
        const char *uid = json_string_value(json_object_get(entry, "uid"));
        const char *version = json_string_value(json_object_get(entry, "version"));
        const char *type = entry ? "MODIFIED" : "ADDED";
        if (entry && !str_is(uid, meta(object, "uid"))) {
                tell_gone(watch, key, entry);
                type = "ADDED";
        } else if (entry && str_is(version, meta(object, "resourceVersion"))) {
                json_object_set_new(entry, "round", json_integer(watch->round));
                return 0;
        }
        remember(watch, key, object);
        return tell(watch, type, object);
}

static int on_listed(void *data, const json_t *object)
{
        return tell_present(data, object) ? 1 : 0;
}

static int new_list(struct watch *watch, int64_t end_ms, struct err **err)
{
        watch->round++;
        int r = kube_list_until(watch->kube, watch->list, end_ms, on_listed, watch, &watch->version, err);
        if (r < 0 || watch->said)
                return r;
        const char *key;
        json_t *entry;
        void *next;
        json_object_foreach_safe (watch->known, next, key, entry) {
                if (json_integer_value(json_object_get(entry, "round")) == watch->round)
                        continue;
                if (tell_gone(watch, key, entry))
                        return 0;
                json_object_del(watch->known, key);
        }
        tell(watch, "SYNC", NULL);
        return 0;
}

static int on_error(struct watch *watch, const json_t *status)
{
        const char *message = json_string_value(json_object_get(status, "message"));
        watch->status = (long)json_integer_value(json_object_get(status, "code"));
        watch->expired = watch->status == 410;
        free(watch->complaint);
        watch->complaint = str_copy_n(message ? message : "", message ? strnlen(message, 500) : 0);
        return 1;
}

/* One event of the stream. Not 0 ends it. */
static int on_line(void *data, const char *text, size_t length)
{
        struct watch *watch = data;
        json_auto_t *event = json_loadb(text, length, 0, NULL);
        const char *type = json_string_value(json_object_get(event, "type"));
        const json_t *object = json_object_get(event, "object");
        watch->damaged = !type || !json_is_object(object);
        if (watch->damaged)
                return 1;
        if (str_is(type, "ERROR"))
                return on_error(watch, object);
        watch->progress = true;
        const char *version = meta(object, "resourceVersion");
        if (*version) {
                free(watch->version);
                watch->version = str_copy(version);
        }
        if (str_is(type, "ADDED") || str_is(type, "MODIFIED")) {
                tell_present(watch, object);
        } else if (str_is(type, "DELETED")) {
                CLEANUP_FREE char *key = key_of(object);
                if (json_object_del(watch->known, key) == 0)
                        tell(watch, "DELETED", object);
        }
        return watch->said ? 1 : 0;
}

static int on_body(void *data, const char *bytes, size_t length)
{
        return lines_feed(data, bytes, length);
}

/* One stream, until it ends for whatever reason. */
static int stream(struct watch *watch, int64_t left_ms, struct err **err)
{
        struct kube *kube = watch->kube;
        CLEANUP_BUF struct buf path = BUF_INIT(2 * KUBE_PATH_MAX);
        int r = kube_list_path(kube, watch->list, &path, err);
        if (r < 0)
                return r;
        int window = left_ms < STREAM_MS ? (int)left_ms : STREAM_MS;
        CLEANUP_FREE char *seconds = str_format("%d", window / 1000 + 1);
        kube_query(&path, "watch", "true");
        kube_query(&path, "allowWatchBookmarks", "true");
        kube_query(&path, "resourceVersion", watch->version);
        kube_query(&path, "timeoutSeconds", seconds);
        CLEANUP_FREE char *what = str_format("watch %s", watch->list->kind);
        CLEANUP_LINES struct lines lines = {.max = LINE_BYTES, .line = on_line, .data = watch};
        struct kube_request request = {.path = path.data,
                .what = what,
                .timeout_ms = window + (left_ms > window ? GRACE_MS : 0),
                .calm = true,
                .stream = true,
                .on_body = on_body,
                .data = &lines};
        CLEANUP_RESPONSE struct http_response response = {0};
        watch->status = 0;
        watch->retry_after = 0;
        watch->damaged = false;
        r = kube_send(kube, &request, &response, err);
        if (r < 0)
                return r;
        if (response.status >= 300) {
                watch->status = response.status;
                watch->retry_after = response.retry_after;
                watch->expired = response.status == 410;
                return watch->expired ? 0 : kube_status_error(kube, what, &response, err);
        }
        if (watch->damaged)
                return err_set(err, ERR_UNREACHABLE, "cannot %s: the stream of events is damaged", what);
        if (watch->status && !watch->expired)
                return err_set(err, watch->status == 403 || watch->status == 401 ? ERR_DENIED : ERR_UNREACHABLE,
                        "cannot %s: %ld %s", what, watch->status, watch->complaint);
        return 0;
}

static bool worth_another(const struct watch *watch, int r)
{
        return r == -ERR_UNREACHABLE || r == -ERR_TIMEOUT || watch->status == 500;
}

static int time_is_up(const struct watch *watch, struct err **err)
{
        return err_set(err, ERR_TIMEOUT, "watching %s: the time is up", watch->list->kind);
}

/* Lists and streams until something other than a cut ends it. */
static int step(struct watch *watch, int64_t end, struct err **err)
{
        struct kube *kube = watch->kube;
        int r = 0;
        if (watch->expired)
                free(STEAL(watch->version));
        watch->expired = false;
        if (!watch->version)
                r = new_list(watch, end == INT64_MAX ? 0 : end, err);
        if (r < 0 || watch->said)
                return r;
        int64_t left = end - kube->clock->monotonic_ms(kube->clock);
        return left > 0 ? stream(watch, left, err) : 0;
}

static int run(struct watch *watch, int64_t end, struct err **err)
{
        struct kube *kube = watch->kube;
        struct retry retry = {.began_ms = kube->clock->monotonic_ms(kube->clock)};
        for (;;) {
                struct err *why = NULL;
                int64_t began = kube->clock->monotonic_ms(kube->clock), now = began;
                if (now >= end)
                        return time_is_up(watch, err);
                int r = cancel_check(kube->cancel, 1, err);
                if (r < 0)
                        return r;
                bool listed = watch->version == NULL || watch->expired;
                watch->progress = false;
                r = step(watch, end, &why);
                if (watch->said) {
                        err_free(why);
                        return watch->said < 0 ? watch->said : 0;
                }
                now = kube->clock->monotonic_ms(kube->clock);
                if (r < 0 && (!worth_another(watch, r) || (listed && !watch->version))) {
                        err_set(err, (enum err_code) - r, "%s", why->message);
                        err_free(why);
                        return r;
                }
                if (watch->progress || (r == 0 && now - began > LONG_MS))
                        retry = (struct retry){.began_ms = now};
                if (now >= end) {
                        err_free(why);
                        return time_is_up(watch, err);
                }
                log_trace("kube", "watch %s: %s", watch->list->kind, r < 0 ? why->message : "again");
                /* even after a good end a pause: a server that ends streams at once must not be asked in a circle */
                int64_t limit = end - retry.began_ms < kube->retry_ms ? end - retry.began_ms : kube->retry_ms;
                r = retry_wait(kube, &retry, limit, watch->retry_after, err);
                if (r == -1) {
                        err_set(err, why ? why->code : ERR_UNREACHABLE, "%s",
                                why ? why->message : "the server ends every stream at once");
                        r = -(int)(why ? why->code : ERR_UNREACHABLE);
                }
                err_free(why);
                if (r < 0)
                        return r;
        }
}

int kube_watch(struct kube *kube, const struct kube_list *list, long until_ms,
        int (*event)(void *data, const char *type, const json_t *object), void *data, struct err **err)
{
        __attribute__((cleanup(watch_clear))) struct watch watch = {
                .kube = kube, .list = list, .event = event, .data = data, .known = json_object()};
        int64_t end = until_ms > 0 ? kube->clock->monotonic_ms(kube->clock) + until_ms : INT64_MAX;
        return run(&watch, end, err);
}
