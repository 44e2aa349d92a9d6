/* Which parts of the cluster answer. */
#include "client/http/http.h"
#include "exporter/address.h"
#include "exporter/source_list.h"

#include <unistd.h>

#define PART_MS   3000
#define BODY_MAX  65536
#define STATUS_OK 200

static const struct family UP = {.name = "caas_part_up",
        .help = "Whether a part of the cluster answers: its health page, or at least its port.",
        .labels = "part"};
static const struct family *const FAMILIES[] = {&UP, NULL};

static bool wanted(const struct config *config)
{
        return config->part_count > 0;
}

/* Only the status counts. */
static int ignore(void *data, const char *bytes, size_t length)
{
        (void)data, (void)bytes, (void)length;
        return 0;
}

static bool page_answers(struct http_client *client, const char *url, int timeout_ms)
{
        CLEANUP_RESPONSE struct http_response response = {0};
        struct http_request request = {
                .url = url, .timeout_ms = timeout_ms, .max_bytes = BODY_MAX, .on_body = ignore, .follow = true};
        return http_send(client, &request, &response, NULL) == 0 && response.status / 100 == STATUS_OK / 100;
}

static bool port_answers(const struct config *config, const char *address, int timeout_ms)
{
        int fd;
        if (address_connect(address, timeout_ms, config->cancel, &fd, NULL) < 0)
                return false;
        close(fd);
        return true;
}

static int refresh(const struct config *config, void **state, struct sample_sink *sink, struct err **err)
{
        if (!*state)
                *state = http_client_new(&(struct http_options){.cancel = config->cancel});
        int64_t share = config->timeout_ms / (int64_t)config->part_count;
        int timeout_ms = share < PART_MS ? (int)share : PART_MS;
        for (size_t i = 0; i < config->part_count; i++) {
                const struct config_part *part = &config->parts[i];
                int r = cancel_check(config->cancel, 1, err);
                if (r < 0)
                        return r;
                bool up = (!part->url || page_answers(*state, part->url, timeout_ms)) &&
                          (!part->tcp || port_answers(config, part->tcp, timeout_ms));
                sink_add(sink, &UP, up, (const char *const[]){"part", part->name, NULL});
        }
        return 0;
}

static void done(void *state)
{
        http_client_free(state);
}

const struct source source_part = {"part", FAMILIES, wanted, refresh, done};
