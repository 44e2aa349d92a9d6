#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "access/clusters.h"
#include "access/facts.h"
#include "access/logs.h"
#include "access/pod_logs.h"
#include "access/reach.h"
#include "access/services.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/signals.h"
#include "cli/text.h"

struct printer {
        const struct cli *cli;
        bool names; /* more than one service */
        int width;
};

static void print_json(const struct printer *p, const struct log_line *line)
{
        json_auto_t *object = json_object();
        CLEANUP_FREE char *raw = str_copy_n(line->text, line->text_length);
        CLEANUP_FREE char *safe = text_safe(raw, false); /* JSON is UTF-8, a log may be anything */
        json_object_set_new(object, "service", json_string(line->name));
        json_object_set_new(
                object, "time", line->stamp_length ? json_stringn(line->stamp, line->stamp_length) : json_null());
        json_object_set_new(object, "text", json_string(safe));
        json_dumpf(object, p->cli->out, JSON_COMPACT);
        fputc('\n', p->cli->out);
}

static void print_line(void *data, const struct log_line *line)
{
        const struct printer *p = data;
        const struct cli *cli = p->cli;
        if (cli->json) {
                print_json(p, line);
        } else {
                CLEANUP_FREE char *raw = str_copy_n(line->text, line->text_length);
                CLEANUP_FREE char *safe = text_safe(raw, false);
                if (p->names)
                        fprintf(cli->out, "%s%-*s%s  ", cli_style(cli->color, STYLE_CYAN), p->width, line->name,
                                cli_style(cli->color, STYLE_NONE));
                /* The day, and the fractions of a second below a millisecond, say little here. */
                fprintf(cli->out, "%s%.*s%s%s%s\n", cli_style(cli->color, STYLE_DIM), line->stamp_length ? 23 : 0,
                        line->stamp_length ? line->stamp : "", cli_style(cli->color, STYLE_NONE),
                        line->stamp_length ? "  " : "", safe);
        }
        fflush(cli->out);
}

/* systemd keeps the logs itself and has a good reader: this process becomes it. */
static int become_journalctl(
        const struct cli *cli, const char *cluster, const json_t *services, long lines, struct err **err)
{
        size_t count = json_array_size(services), n = 0, i;
        json_t *service;
        const char **argv = mem_zero_array(2 * count + 11, sizeof *argv);
        char number[24];
        snprintf(number, sizeof number, "%ld", lines);
        argv[n++] = "journalctl";
        argv[n++] = "--no-pager";
        argv[n++] = "--utc";
        argv[n++] = "--lines";
        argv[n++] = number;
        if (args_has(&cli->args, "follow"))
                argv[n++] = "--follow";
        if (cli->json)
                argv[n++] = "--output=json";
        json_array_foreach (services, i, service) {
                argv[n++] = "--unit";
                argv[n++] =
                        str_format("caas-%s-%s.service", cluster, json_string_value(json_object_get(service, "name")));
        }
        fflush(cli->out);
        execvp(argv[0], (char *const *)argv);
        int number_of_error = errno;
        for (i = n; i > n - 2 * count; i -= 2)
                free((char *)argv[i - 1]);
        free(argv);
        return err_set_errno(err, number_of_error, "cannot run journalctl");
}

static int show(struct cli *cli, const char *cluster, const json_t *services, long lines, struct err **err)
{
        size_t count = json_array_size(services), i;
        json_t *service;
        struct log_source *sources = mem_zero_array(count + 1, sizeof *sources);
        struct printer printer = {.cli = cli, .names = count > 1};
        json_array_foreach (services, i, service) {
                sources[i].name = json_string_value(json_object_get(service, "name"));
                sources[i].folder = str_format("%s/clusters/%s/log/%s", cli->state_dir, cluster, sources[i].name);
                printer.width =
                        (int)strlen(sources[i].name) > printer.width ? (int)strlen(sources[i].name) : printer.width;
        }
        int r = logs_tail(sources, count, (size_t)lines, print_line, &printer, err);
        if (r == 0 && args_has(&cli->args, "follow")) {
                cli->cancel = signals_install_at_once(); /* what is under way has no end to wait for */
                signals_silent(true);
                logs_follow(sources, count, cli->cancel, print_line, &printer);
        }
        for (i = 0; i < count; i++)
                free((char *)sources[i].folder);
        free(sources);
        return r;
}

static int show_pods(struct cli *cli, struct journal *journal, const char *cluster, const json_t *services, long lines,
        struct err **err)
{
        struct kube_link *link = NULL;
        struct printer printer = {.cli = cli, .names = json_array_size(services) > 1};
        size_t i;
        json_t *service;
        json_array_foreach (services, i, service) {
                int width = (int)strlen(json_string_value(json_object_get(service, "name")));
                printer.width = width > printer.width ? width : printer.width;
        }
        bool follow = args_has(&cli->args, "follow");
        if (follow) {
                cli->cancel = signals_install_at_once(); /* what is under way has no end to wait for */
                signals_silent(true);
                reach_use_cancel(cli->cancel);
        }
        int r = reach_link(journal, cluster, &link, err);
        if (r == 0)
                r = pod_logs_show(
                        link, services, (size_t)lines, follow ? cli->cancel : NULL, print_line, &printer, err);
        return follow && cancel_level(cli->cancel) ? 0 : r;
}

static int run(struct cli *cli, struct err **err)
{
        const char *cluster = cli->args.operand[0], *which = cli->args.count > 1 ? cli->args.operand[1] : NULL;
        struct journal *journal = NULL;
        json_auto_t *row = NULL, *services = NULL;
        long lines = 100;
        int r = args_number(&cli->args, "lines", 1, 10000, &lines, err);
        if (r == 0)
                r = journal_open(cli->state_dir, false, &journal, err);
        if (r == 0)
                r = clusters_find_running(journal, cluster, &row, err);
        if (r == 0)
                r = services_list(journal, cluster, which, &services, err);
        bool far = r == 0 && reach_is_kubernetes(row);
        if (far)
                r = show_pods(cli, journal, cluster, services, lines, err);
        journal_close(journal);
        if (r < 0)
                return r;
        if (!far && facts_systemd())
                r = become_journalctl(cli, cluster, services, lines, err);
        else if (!far)
                r = show(cli, cluster, services, lines, err);
        return r < 0 ? r : EXIT_FINE;
}

static const struct option options[] = {
        {"lines", 'n', "N", false, "how many lines of the past (default: 100)", COMPLETE_NOTHING},
        {"follow", 'f', NULL, false, "go on with what is written, until Ctrl-C", COMPLETE_NOTHING},
        {0},
};

const struct command cmd_logs = {
        .name = "logs",
        .args = "CLUSTER [ROLE]",
        .summary = "show what the services of a cluster wrote",
        .details = "ROLE is a role (hub, gateway, proxy, identity, monitoring, alerts) or one of its services, by the "
                   "names that status shows; without it, all services, by time. Times are in UTC. With --json, a line "
                   "of JSON for each line; under systemd it is journalctl's.",
        .options = options,
        .min = 1,
        .max = 2,
        .first = COMPLETE_CLUSTER,
        .json = true,
        .run = run,
};
