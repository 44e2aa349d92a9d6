#include "exporter/api.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#define MAX_BYTES (16UL * 1024 * 1024)

struct api api_begin(const struct config *config, const struct config_api *where, const char *name, void **state)
{
        struct clock *clock = clock_system();
        if (!*state)
                *state = http_client_new(&(struct http_options){.cancel = config->cancel});
        return (struct api){
                .where = where,
                .name = name,
                .http = *state,
                .until = clock->monotonic_ms(clock) + config->timeout_ms,
        };
}

void api_done(void *state)
{
        http_client_free(state);
}

int api_get(struct api *api, const char *path, const char *accept, json_t **ret, struct err **err)
{
        struct clock *clock = clock_system();
        int64_t left = api->until - clock->monotonic_ms(clock);
        if (left <= 0)
                return err_set(err, ERR_TIMEOUT, "%s takes too long for one refresh", api->name);
        CLEANUP_FREE char *url = str_format("%s/%s", api->where->api, path);
        CLEANUP_FREE char *header = accept ? str_format("Accept: %s", accept) : NULL;
        const char *const headers[] = {header, NULL};
        struct http_request request = {.url = url,
                .headers = headers,
                .token = api->where->token,
                .timeout_ms = (int)left,
                .max_bytes = MAX_BYTES};
        json_auto_t *answer = NULL;
        int r = http_json(api->http, &request, NULL, &answer, err);
        if (r < 0)
                return err_prefix(err, "%s", api->name);
        if (!json_is_object(answer))
                return err_set(err, ERR_INVALID, "%s: the answer is no object", api->name);
        *ret = STEAL(answer);
        return 0;
}

bool api_time(const json_t *text, double *ret)
{
        struct tm tm = {0};
        const char *from = json_string_value(text);
        const char *end = from ? strptime(from, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
        if (!end)
                return false;
        double fraction = 0, place = 0.1;
        if (*end == '.')
                for (end++; *end >= '0' && *end <= '9'; end++, place /= 10)
                        fraction += place * (*end - '0');
        if (*end && !str_is(end, "Z"))
                return false;
        *ret = (double)timegm(&tm) + fraction;
        return true;
}

bool api_number(const json_t *object, const char *key, double *ret)
{
        const json_t *value = json_object_get(object, key);
        double number = json_number_value(value);
        if (!json_is_number(value) || !isfinite(number) || number < 0)
                return false;
        *ret = number;
        return true;
}
