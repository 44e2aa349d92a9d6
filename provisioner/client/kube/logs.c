/* What pods have written. */
#include <limits.h>

#include "base/mem.h"
#include "client/kube/lines.h"
#include "base/str.h"
#include "client/kube/private.h"

#define LINE_BYTES (64UL * 1024)

struct reading {
        struct lines lines;
        int (*line)(void *data, const char *text, size_t length);
        void *data;
        int said;
        bool begun;
        bool some;    /* a line came */
        bool ending;  /* what comes has no newline */
        bool removed; /* the node has no such log */
};

/* Of a run that it has removed, a kubelet says so with 200, as the only line (kubernetes/kubernetes issue 142258). */
#define REMOVED "unable to retrieve container logs for "

static int on_line(void *data, const char *text, size_t length)
{
        struct reading *reading = data;
        reading->removed = reading->ending && !reading->some && str_starts(text, REMOVED);
        if (reading->removed)
                return 0;
        reading->some = true;
        reading->said = reading->line(reading->data, text, length);
        return reading->said;
}

static int on_body(void *data, const char *bytes, size_t length)
{
        struct reading *reading = data;
        reading->begun = true;
        return lines_feed(&reading->lines, bytes, length);
}

static void add_number(struct buf *path, const char *key, long number)
{
        CLEANUP_FREE char *text = str_format("%ld", number);
        if (number > 0)
                kube_query(path, key, text);
}

static void log_path(struct buf *path, const char *namespace, const char *pod, const char *container,
        const struct kube_log_options *options)
{
        CLEANUP_FREE char *in = http_escape(namespace);
        CLEANUP_FREE char *name = http_escape(pod);
        buf_format(path, "/api/v1/namespaces/%s/pods/%s/log", in, name);
        if (container && *container)
                kube_query(path, "container", container);
        add_number(path, "tailLines", options->tail);
        add_number(path, "sinceSeconds", options->since_seconds);
        if (options->follow)
                kube_query(path, "follow", "true");
        if (options->previous)
                kube_query(path, "previous", "true");
        if (options->timestamps)
                kube_query(path, "timestamps", "true");
}

int kube_logs(struct kube *kube, const char *namespace, const char *pod, const char *container,
        const struct kube_log_options *options, int (*line)(void *data, const char *text, size_t length), void *data,
        struct err **err)
{
        static const struct kube_log_options none;
        options = options ? options : &none;
        CLEANUP_BUF struct buf path = BUF_INIT(KUBE_PATH_MAX);
        CLEANUP_FREE char *what = str_format("read the log of pod %s/%s", namespace, pod);
        log_path(&path, namespace, pod, container, options);
        struct reading reading = {.lines = {.max = LINE_BYTES, .pieces = true, .line = on_line, .data = &reading},
                .line = line,
                .data = data};
        long limit = options->until_ms > 0 && options->until_ms < INT_MAX ? options->until_ms : INT_MAX;
        struct kube_request request = {.path = path.data,
                .what = what,
                .timeout_ms = options->follow ? (int)limit : 0,
                .stream = options->follow,
                .begun = &reading.begun,
                .on_body = on_body,
                .data = &reading};
        CLEANUP_RESPONSE struct http_response response = {0};
        struct err *why = NULL;
        int r = kube_send(kube, &request, &response, &why);
        if (r == 0 && response.status >= 300)
                r = kube_status_error(kube, what, &response, &why);
        reading.ending = true;
        if (reading.said == 0 && reading.begun)
                lines_end(&reading.lines); /* also after a cut: what came did come */
        if (r == 0 && reading.removed)
                r = err_set(&why, ERR_NOT_FOUND, "%s: its node has removed it", what);
        lines_clear(&reading.lines);
        if (reading.said)
                r = reading.said < 0 ? reading.said : 0;
        else if (r < 0)
                err_set(err, (enum err_code) - r, "%s", why->message);
        err_free(why);
        return r;
}
