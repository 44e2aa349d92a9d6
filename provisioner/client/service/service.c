#include "client/service/service.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define ENV_BYTES_MAX (256 * 1024)
#define PAUSE_SLICE   100

const struct service_driver *service_driver(void)
{
        return file_exists("/run/systemd/system") ? &service_systemd : &service_runit;
}

int service_pause(const struct service_host *host, int ms, struct err **err)
{
        int64_t end = host->clock->monotonic_ms(host->clock) + ms;
        for (;;) {
                int result = cancel_check(host->cancel, 2, err);
                int64_t left = end - host->clock->monotonic_ms(host->clock);
                if (result < 0 || left <= 0)
                        return result;
                /* a raised flag stays raised and would end each sleep at once: look at it between short ones */
                bool raised = cancel_level(host->cancel) > 0;
                host->clock->sleep_ms(
                        host->clock, raised && left > PAUSE_SLICE ? PAUSE_SLICE : left, raised ? NULL : host->cancel);
        }
}

static bool is_name(const char *text, size_t length)
{
        static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
        return length > 0 && strspn(text, allowed) >= length && !(text[0] >= '0' && text[0] <= '9');
}

int service_env_file(const char *const *assignments, char **ret_text, struct err **err)
{
        struct buf text = BUF_INIT(ENV_BYTES_MAX);
        int result = 0;
        for (; result == 0 && assignments && *assignments; assignments++) {
                const char *name = *assignments, *value = strchr(name, '=');
                if (!value || !is_name(name, (size_t)(value - name))) {
                        result = err_set(err, ERR_INVALID, "\"%.*s\" is no name for an environment variable",
                                value ? (int)(value - name) : 0, name);
                        break;
                }
                buf_add(&text, name, (size_t)(value - name) + 1);
                buf_str(&text, "\"");
                for (const char *p = value + 1; *p; p++) {
                        if (strchr("\"\\`$", *p))
                                buf_str(&text, "\\");
                        buf_add(&text, p, 1);
                }
                buf_str(&text, "\"\n");
        }
        if (result == 0 && text.truncated)
                result = err_set(err, ERR_INVALID, "the environment is larger than %d bytes", ENV_BYTES_MAX);
        if (result < 0) {
                mem_wipe_free(text.data, text.length);
                return result;
        }
        *ret_text = buf_steal(&text);
        return 0;
}
