/* What the exporter reads of requests ('r' in front), its configuration ('c'), accounts ('u') and names of control
 * groups ('g'); and what it writes (anything else): whatever the labels are, a scrape is well-formed. */
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "exporter/accounts.h"
#include "exporter/address.h"
#include "exporter/config.h"
#include "exporter/groups.h"
#include "exporter/request.h"
#include "exporter/sink_impl.h"
#include "exporter/write.h"
#include "fuzz.h"

static const struct family COUNTER = {
        .name = "t_seconds_total", .help = "A help.", .type = FAMILY_COUNTER, .unit = "seconds", .labels = "user,kind"};
static const struct family GAUGE = {.name = "t_gauge", .help = "Another \"help\"\n\\."};
static const struct family *const FAMILIES[] = {&COUNTER, &GAUGE, NULL};

static void requests(const char *text)
{
        static const char token[] = "secret";
        request_openmetrics(text);
        bool allowed = request_allowed(text, token);
        const char *given = strlen(text) > 7 ? text + 7 + strspn(text + 7, " ") : "";
        MUST(allowed == (strncasecmp(text, "Bearer ", 7) == 0 && str_is(given, token)));
        MUST(!request_allowed(text, ""));
}

static void configuration(const char *text, size_t length)
{
        struct config *config = NULL;
        struct err *err = NULL;
        int r = config_parse(text, length, &config, &err);
        MUST((r == 0) == (config != NULL) && (r == 0) == (err == NULL));
        if (config) {
                CLEANUP_FREE char *host = NULL, *port = NULL;
                MUST(config->refresh_ms > 0 && config->timeout_ms > 0);
                MUST(address_split(config->listen, &host, &port, NULL) == 0);
                MUST(config->cluster && config->namespace_ && config->node && config->cancel);
                for (size_t i = 0; i < config->part_count; i++)
                        MUST(config->parts[i].name && (config->parts[i].url || config->parts[i].tcp));
                for (size_t i = 0; i < config->certificate_count; i++)
                        MUST(!config->certificates[i].address != !config->certificates[i].file);
        }
        config_free(config);
        err_free(err);
}

static void accounts(const char *text, size_t length)
{
        CLEANUP_ACCOUNTS struct accounts list = {0};
        if (accounts_parse(text, length, &list, NULL) < 0)
                return;
        for (size_t i = 0; i < list.count; i++) {
                MUST(list.item[i].uid > 0 && str_user_name(list.item[i].user));
                MUST(accounts_user(&list, list.item[i].uid));
        }
        MUST(!accounts_user(&list, 0));
}

static void group(const char *name)
{
        struct groups list = {.item = mem_zero(sizeof *list.item), .count = 1};
        if (group_parse(name, "demo", &list.item[0])) {
                const struct group *found = &list.item[0];
                MUST(str_is(found->name, name) && found->pod && found->container && found->kind);
                MUST(!found->user == (found->dask_cluster != NULL));
                MUST(!found->user || str_user_name(found->user));
        } else {
                MUST(!list.item[0].name && !list.item[0].user && !list.item[0].pod);
        }
        groups_clear(&list);
}

/* One sample a line, whatever stands in its labels. */
static void check_text(const char *text, size_t samples, bool openmetrics)
{
        size_t lines = 0;
        MUST(str_utf8(text, strlen(text), NULL));
        for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
                MUST(strchr(line, '\n'));
                if (*line == '#')
                        continue;
                MUST(str_starts(line, "t_seconds_total{") || str_starts(line, "t_gauge "));
                lines++;
        }
        MUST(lines == samples);
        MUST(!openmetrics || str_ends(text, "# EOF\n"));
}

/* Texts, each ended by NUL, are the values of labels; their lengths are those of the samples. */
static void samples(const char *text, size_t length)
{
        struct sample_sink *sink = sink_new(FAMILIES);
        size_t count = 0;
        for (const char *at = text; at < text + length; at += strlen(at) + 1) {
                double value = (double)strlen(at) / 3;
                if (strlen(at) == 8)
                        memcpy(&value, at, sizeof value); /* any number there is */
                sink_add(sink, &COUNTER, value,
                        (const char *const[]){"user", at, "kind", strlen(at) % 2 ? NULL : "x", "end", "y", NULL});
                count++;
        }
        sink_add(sink, &GAUGE, (double)length, NULL);
        for (int openmetrics = 0; openmetrics < 2; openmetrics++) {
                CLEANUP_FREE char *all = scrape_text(sink, openmetrics);
                check_text(all, count + 1, openmetrics);
        }
        sink_trim(sink);
        CLEANUP_FREE char *trimmed = scrape_text(sink, true);
        check_text(trimmed, count + 1, true);
        sink_free(sink);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size == 0)
                return 0;
        CLEANUP_FREE char *text = str_copy_n((const char *)data + 1, size - 1);
        CLEANUP_FREE char *host = NULL, *port = NULL;
        switch (*data) {
        case 'r':
                requests(text);
                break;
        case 'c':
                configuration(text, size - 1);
                break;
        case 'u':
                accounts(text, size - 1);
                break;
        case 'g':
                group(text);
                address_split(text, &host, &port, NULL);
                break;
        default:
                samples(text, size - 1);
        }
        return 0;
}
