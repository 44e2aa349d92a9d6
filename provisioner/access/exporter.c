#include "access/exporter.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/prometheus/metrics.h"

#define TIMEOUT_MS 10000
#define BYTES_MAX  (512UL * 1024 * 1024) /* some ten times what the exporter can say */

struct reading {
        struct metrics_reader *metrics;
        struct usage *usage;
        size_t bytes, samples; /* ours */
        struct err *err;
};

static void on_sample(void *data, const struct metrics_sample *sample)
{
        struct reading *reading = data;
        reading->samples += str_starts(sample->name, "caas_");
        usage_add(reading->usage, sample);
}

static int on_bytes(void *data, const char *bytes, size_t length)
{
        struct reading *reading = data;
        reading->bytes += length;
        if (reading->bytes > BYTES_MAX)
                return err_set(&reading->err, ERR_INVALID, "the metrics are longer than %lu bytes", BYTES_MAX);
        return metrics_feed(reading->metrics, bytes, length, &reading->err);
}

static int check(struct reading *reading, long status, struct err **err)
{
        if (status == 401 || status == 403)
                return err_set(err, ERR_DENIED, "it wants another token (status %ld): apply the form again", status);
        if (status < 200 || status >= 300)
                return err_set(err, ERR_FAILED, "status %ld", status);
        int r = metrics_end(reading->metrics, err);
        if (r == 0 && !reading->samples)
                r = err_set(err, ERR_INVALID, "it answers, but with no metrics of a cluster");
        return r;
}

int exporter_read(struct http_client *http, const json_t *access, struct usage **ret, struct err **err)
{
        static const char *const headers[] = {"Accept: text/plain;version=0.0.4", NULL};
        struct clock *clock = clock_system();
        CLEANUP_USAGE struct usage *usage = usage_new((double)clock->wall_ms(clock) / 1000);
        struct reading reading = {.usage = usage};
        CLEANUP_METRICS struct metrics_reader *metrics = metrics_reader_new(on_sample, &reading);
        CLEANUP_RESPONSE struct http_response response = {0};
        reading.metrics = metrics;
        struct http_request request = {.url = json_string_value(json_object_get(access, "metrics")),
                .headers = headers,
                .bearer = json_string_value(json_object_get(access, "token")),
                .timeout_ms = TIMEOUT_MS,
                .on_body = on_bytes,
                .data = &reading};
        if (!request.url)
                return err_set(err, ERR_INVALID, "monitoring/access has no address of metrics");
        CLEANUP_ERR struct err *fault = NULL;
        int r = http_send(http, &request, &response, &fault);
        if (reading.err) { /* says more than that the transfer was given up */
                err_free(fault);
                fault = reading.err;
        }
        if (r == 0)
                r = check(&reading, response.status, &fault);
        if (r < 0) {
                err_prefix(&fault, "the exporter");
                if (err)
                        *err = STEAL(fault);
                return r;
        }
        *ret = STEAL(usage);
        return 0;
}
