#include "access/pod_logs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "access/workload.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#define STAMP_SECONDS   19 /* 2026-11-21T14:03:22 */
#define STAMP_MAX       36
#define LOOK_MS         2000
#define FOLLOWED_MAX    64
#define OVERLAP_SECONDS 10

static const char *text_of(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));
        return text ? text : "";
}

/* ---- which containers ---- */

struct stream {
        const char *service; /* borrowed */
        char *pod, *uid, *container;
};

struct streams {
        bool running; /* only containers that run now */
        struct kube *kube;
        const char *namespace, *service; /* of the pods being listed */
        struct stream *item;
        size_t count, capacity;
};

static void streams_clear(struct streams *streams)
{
        for (size_t i = 0; i < streams->count; i++) {
                free(streams->item[i].pod);
                free(streams->item[i].uid);
                free(streams->item[i].container);
        }
        free(streams->item);
}
#define CLEANUP_STREAMS __attribute__((cleanup(streams_clear)))

/* Those that have run: others have no log to be asked for. */
static void add_containers(struct streams *streams, const json_t *pod, const char *key)
{
        const json_t *metadata = json_object_get(pod, "metadata");
        size_t i;
        json_t *status;
        json_array_foreach (json_object_get(json_object_get(pod, "status"), key), i, status) {
                const json_t *state = json_object_get(status, "state");
                bool ran = !json_object_get(state, "waiting") ||
                           json_integer_value(json_object_get(status, "restartCount"));
                if (streams->running ? !json_object_get(state, "running") : !ran)
                        continue;
                MEM_GROW(streams->item, streams->count, streams->capacity);
                streams->item[streams->count++] = (struct stream){streams->service, str_copy(text_of(metadata, "name")),
                        str_copy(text_of(metadata, "uid")), str_copy(text_of(status, "name"))};
        }
}

static int add_pod(void *data, const json_t *pod)
{
        add_containers(data, pod, "initContainerStatuses");
        add_containers(data, pod, "containerStatuses");
        return 0;
}

static int find(struct kube_link *link, const json_t *services, struct streams *ret, struct err **err)
{
        int r = kube_link_open(link, &ret->kube, err);
        size_t i;
        json_t *service;
        ret->namespace = kube_link_namespace(link);
        json_array_foreach (services, i, service) {
                json_auto_t *object = NULL;
                CLEANUP_ERR struct err *fault = NULL;
                ret->service = text_of(service, "name");
                if (r == 0)
                        r = workload_read(link, text_of(service, "kind"), ret->service, &object, &fault);
                if (r == 0) {
                        CLEANUP_FREE char *selector = workload_selector(object);
                        struct kube_list list = {
                                .api_version = "v1", .kind = "Pod", .namespace = ret->namespace, .labels = selector};
                        r = kube_list(ret->kube, &list, add_pod, ret, NULL, &fault);
                }
                if (r == -ERR_NOT_FOUND) /* taken away by hand: the others may know why */
                        r = 0;
                if (r < 0) {
                        if (err && fault)
                                *err = STEAL(fault);
                        return r;
                }
        }
        return r;
}

/* ---- lines ---- */

static bool has_stamp(const char *line)
{
        size_t n = strcspn(line, " ");
        return n > STAMP_SECONDS && n < STAMP_MAX && line[10] == 'T';
}

/* "2026-11-21T14:03:22.123456789Z text" as the logs of a host have it: "2026-11-21_14:03:22.12345" and the text. */
static struct log_line take_apart(const char *service, const char *line, size_t length, char stamp[STAMP_MAX])
{
        const char *space = memchr(line, ' ', length < STAMP_MAX + 10 ? length : STAMP_MAX + 10);
        if (!space || !has_stamp(line))
                return (struct log_line){service, "", line, 0, length};
        snprintf(stamp, STAMP_MAX, "%.10s_%.8s", line, line + 11);
        size_t n = strlen(stamp), digits = 0;
        stamp[n++] = '.';
        for (const char *c = line + STAMP_SECONDS + 1; digits < 5; digits++)
                stamp[n++] = line[STAMP_SECONDS] == '.' && c < space && *c >= '0' && *c <= '9' ? *c++ : '0';
        stamp[n] = '\0';
        const char *text = space + 1;
        return (struct log_line){service, stamp, text, n, length - (size_t)(text - line)};
}

struct kept {
        const char *service;
        char *text;
        size_t length, position;
};

struct kept_lines {
        struct kept *item;
        size_t count, capacity;
        const char *service;
};

static void kept_clear(struct kept_lines *lines)
{
        for (size_t i = 0; i < lines->count; i++)
                free(lines->item[i].text);
        free(lines->item);
}
#define CLEANUP_KEPT __attribute__((cleanup(kept_clear)))

static int keep(void *data, const char *text, size_t length)
{
        struct kept_lines *lines = data;
        MEM_GROW(lines->item, lines->count, lines->capacity);
        lines->item[lines->count] = (struct kept){lines->service, str_copy_n(text, length), length, lines->count};
        lines->count++;
        return 0;
}

/* Stamps of the server are all in UTC and begin with the year: as text they are in order. Their fractions may be of
 * different lengths: without the "Z" a shorter one is the beginning of a longer one, and comes first. */
static int compare_stamps(const char *a, const char *b)
{
        size_t one = strcspn(a, " Z"), other = strcspn(b, " Z");
        int order = memcmp(a, b, one < other ? one : other);
        return order ? order : one < other ? -1 : one > other;
}

static int by_time(const void *a, const void *b)
{
        const struct kept *x = a, *y = b;
        int order = compare_stamps(x->text, y->text);
        return order ? order : x->position < y->position ? -1 : x->position > y->position;
}

/* The last lines of all; last: the stamp of the newest. */
static int show_tail(struct kube_link *link, const json_t *services, size_t lines, log_sink sink, void *data,
        char last[STAMP_MAX], struct err **err)
{
        CLEANUP_STREAMS struct streams streams = {0};
        CLEANUP_KEPT struct kept_lines all = {0};
        int r = find(link, services, &streams, err);
        struct kube_log_options options = {.tail = (long)lines, .timestamps = true};
        for (size_t i = 0; i < streams.count && r == 0; i++) {
                const struct stream *stream = &streams.item[i];
                CLEANUP_ERR struct err *fault = NULL;
                all.service = stream->service;
                r = kube_logs(
                        streams.kube, streams.namespace, stream->pod, stream->container, &options, keep, &all, &fault);
                if (r == -ERR_NOT_FOUND || r == -ERR_INVALID) /* gone, or not begun, since it was listed */
                        r = 0;
                if (r < 0 && err)
                        *err = STEAL(fault);
        }
        if (r < 0)
                return r;
        if (all.count)
                qsort(all.item, all.count, sizeof *all.item, by_time);
        for (size_t i = all.count > lines ? all.count - lines : 0; i < all.count; i++) {
                char stamp[STAMP_MAX];
                struct log_line line = take_apart(all.item[i].service, all.item[i].text, all.item[i].length, stamp);
                sink(data, &line);
        }
        for (size_t i = 0; i < all.count; i++)
                if (has_stamp(all.item[i].text))
                        snprintf(last, STAMP_MAX, "%.*s", (int)strcspn(all.item[i].text, " "), all.item[i].text);
        return 0;
}

/* ---- what comes ---- */

struct follower {
        struct following *of;
        struct stream stream; /* owned */
        pthread_t thread;
        char last[STAMP_MAX]; /* lines up to this one were shown */
        bool done;            /* under the mutex: the thread waits to be joined */
};

struct following {
        struct kube *kube;
        const char *namespace;
        struct cancel *cancel;
        pthread_mutex_t mutex; /* of the sink and of done */
        log_sink sink;
        void *data;
        struct follower *item[FOLLOWED_MAX];
        size_t count;
        bool said_full;
};

static int pass_on(void *data, const char *text, size_t length)
{
        struct follower *follower = data;
        struct following *of = follower->of;
        char stamp[STAMP_MAX];
        bool stamped = has_stamp(text);
        if (stamped && *follower->last && compare_stamps(text, follower->last) <= 0) /* asked for again to miss none */
                return 0;
        if (stamped)
                snprintf(follower->last, sizeof follower->last, "%.*s", (int)strcspn(text, " "), text);
        struct log_line line = take_apart(follower->stream.service, text, length, stamp);
        pthread_mutex_lock(&of->mutex);
        of->sink(of->data, &line);
        pthread_mutex_unlock(&of->mutex);
        return cancel_level(of->cancel) > 0;
}

static void *follow_one(void *data)
{
        struct follower *follower = data;
        struct following *of = follower->of;
        struct kube_log_options options = {
                .follow = true, .timestamps = true, .since_seconds = *follower->last ? OVERLAP_SECONDS : 0};
        kube_logs(of->kube, of->namespace, follower->stream.pod, follower->stream.container, &options, pass_on,
                follower, NULL);
        pthread_mutex_lock(&of->mutex);
        follower->done = true;
        pthread_mutex_unlock(&of->mutex);
        return NULL;
}

static bool is_done(struct follower *follower)
{
        pthread_mutex_lock(&follower->of->mutex);
        bool done = follower->done;
        pthread_mutex_unlock(&follower->of->mutex);
        return done;
}

static void follower_free(struct follower *follower)
{
        pthread_join(follower->thread, NULL);
        free(follower->stream.pod);
        free(follower->stream.uid);
        free(follower->stream.container);
        free(follower);
}

/* Takes out the one at i; its last line, for whoever goes on with it, stays in `last`. */
static void take_out(struct following *of, size_t i, char last[STAMP_MAX])
{
        snprintf(last, STAMP_MAX, "%s", of->item[i]->last);
        follower_free(of->item[i]);
        of->item[i] = of->item[--of->count];
}

/* Once: who is read is not everybody. */
static void say_full(struct following *of, const struct stream *stream)
{
        if (of->said_full)
                return;
        of->said_full = true;
        CLEANUP_FREE char *text = str_format(
                "caas: %d containers are followed at most: %s of pod %s, and others, are not; name a service to follow "
                "its own alone",
                FOLLOWED_MAX, stream->container, stream->pod);
        const struct log_line line = {stream->service, "", text, 0, strlen(text)};
        pthread_mutex_lock(&of->mutex);
        of->sink(of->data, &line);
        pthread_mutex_unlock(&of->mutex);
}

/* last: from where on, for a container that ran already when we began. */
static void begin(struct following *of, const struct stream *stream, const char *last)
{
        char from[STAMP_MAX];
        snprintf(from, sizeof from, "%s", last);
        for (size_t i = 0; i < of->count; i++) {
                const struct stream *other = &of->item[i]->stream;
                if (!str_is(other->uid, stream->uid) || !str_is(other->container, stream->container))
                        continue;
                if (!is_done(of->item[i]))
                        return;
                take_out(of, i, from); /* it was cut off, or its container began anew */
                break;
        }
        for (size_t i = 0; i < of->count && of->count == FOLLOWED_MAX; i++) {
                char forgotten[STAMP_MAX];
                if (is_done(of->item[i]))
                        take_out(of, i, forgotten);
        }
        if (of->count == FOLLOWED_MAX) {
                say_full(of, stream);
                return;
        }
        struct follower *follower = mem_zero(sizeof *follower);
        *follower = (struct follower){.of = of,
                .stream = {stream->service, str_copy(stream->pod), str_copy(stream->uid), str_copy(stream->container)}};
        snprintf(follower->last, sizeof follower->last, "%s", from);
        if (pthread_create(&follower->thread, NULL, follow_one, follower) == 0) {
                of->item[of->count++] = follower;
                return;
        }
        free(follower->stream.pod);
        free(follower->stream.uid);
        free(follower->stream.container);
        free(follower);
}

static int follow(struct kube_link *link, const json_t *services, const char *last, struct cancel *cancel,
        log_sink sink, void *data, struct err **err)
{
        struct following of = {.cancel = cancel, .mutex = PTHREAD_MUTEX_INITIALIZER, .sink = sink, .data = data};
        struct clock *clock = clock_system();
        int r = 0;
        for (bool first = true; r == 0 && cancel_level(cancel) == 0; first = false) {
                CLEANUP_STREAMS struct streams streams = {.running = true};
                r = find(link, services, &streams, err);
                of.kube = streams.kube;
                of.namespace = streams.namespace;
                for (size_t i = 0; i < streams.count && r == 0; i++)
                        begin(&of, &streams.item[i], first ? last : "");
                if (r == 0)
                        clock->sleep_ms(clock, LOOK_MS, cancel);
        }
        bool stopped = cancel_level(cancel) > 0;
        for (size_t i = 0; i < of.count; i++)
                follower_free(of.item[i]);
        pthread_mutex_destroy(&of.mutex);
        return stopped ? 0 : r;
}

int pod_logs_show(struct kube_link *link, const json_t *services, size_t lines, struct cancel *cancel, log_sink sink,
        void *data, struct err **err)
{
        char last[STAMP_MAX] = "";
        int r = show_tail(link, services, lines, sink, data, last, err);
        return r < 0 || !cancel ? r : follow(link, services, last, cancel, sink, data, err);
}
