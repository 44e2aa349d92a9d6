#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "access/access.h"
#include "access/exporter.h"
#include "access/reach.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/cluster.h"
#include "cli/terminal.h"
#include "cli/top_view.h"
#include "kind/kind.h"

#define INTERVAL    3
#define AGAIN_MS    1000  /* --once: how soon it looks whether the exporter has measured anew, */
#define PATIENCE_MS 60000 /* and how long it waits for that */

static double now_seconds(void)
{
        struct clock *clock = clock_system();
        return (double)clock->wall_ms(clock) / 1000;
}

/* ---- readings, in a thread of their own: an exporter that hangs must not hold the keys ---- */

struct reader {
        const json_t *access;
        long interval;
        struct cancel *cancel;
        int event; /* readable when there is something new */
        pthread_t thread;
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        struct usage *fresh; /* not taken yet */
        struct err *err;
        bool at_once, ending;
};

/* Waits for the next time; false = it is over. */
static bool reader_wait(struct reader *reader)
{
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += reader->interval;
        pthread_mutex_lock(&reader->mutex);
        int r = 0;
        while (!reader->ending && !reader->at_once && r == 0)
                r = pthread_cond_timedwait(&reader->changed, &reader->mutex, &until);
        bool going = !reader->ending;
        reader->at_once = false;
        pthread_mutex_unlock(&reader->mutex);
        return going;
}

static void *reader_run(void *data)
{
        struct reader *reader = data;
        CLEANUP_HTTP struct http_client *http = http_client_new(&(struct http_options){.cancel = reader->cancel});
        while (reader_wait(reader)) {
                struct usage *usage = NULL;
                struct err *err = NULL;
                exporter_read(http, reader->access, &usage, &err);
                pthread_mutex_lock(&reader->mutex);
                usage_free(reader->fresh);
                err_free(reader->err);
                reader->fresh = usage;
                reader->err = err;
                pthread_mutex_unlock(&reader->mutex);
                eventfd_write(reader->event, 1);
        }
        return NULL;
}

static int reader_begin(struct reader *reader, const json_t *access, long interval, struct err **err)
{
        pthread_condattr_t attr;
        *reader = (struct reader){.access = access, .interval = interval, .cancel = cancel_new()};
        reader->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_mutex_init(&reader->mutex, NULL);
        pthread_cond_init(&reader->changed, &attr);
        pthread_condattr_destroy(&attr);
        int number = pthread_create(&reader->thread, NULL, reader_run, reader);
        return number ? err_set_errno(err, number, "cannot start a thread") : 0;
}

static void reader_end(struct reader *reader)
{
        pthread_mutex_lock(&reader->mutex);
        reader->ending = true;
        pthread_cond_signal(&reader->changed);
        pthread_mutex_unlock(&reader->mutex);
        cancel_raise(reader->cancel);
        pthread_join(reader->thread, NULL);
}

static void reader_clear(struct reader *reader)
{
        usage_free(reader->fresh);
        err_free(reader->err);
        close(reader->event);
        cancel_free(reader->cancel);
        pthread_cond_destroy(&reader->changed);
        pthread_mutex_destroy(&reader->mutex);
}

static void reader_now(struct reader *reader)
{
        pthread_mutex_lock(&reader->mutex);
        reader->at_once = true;
        pthread_cond_signal(&reader->changed);
        pthread_mutex_unlock(&reader->mutex);
}

/* What there is new replaces *usage, or *problem. */
static void reader_take(struct reader *reader, struct usage **usage, char **problem)
{
        eventfd_t ignored;
        eventfd_read(reader->event, &ignored);
        pthread_mutex_lock(&reader->mutex);
        struct usage *fresh = STEAL(reader->fresh);
        struct err *err = STEAL(reader->err);
        pthread_mutex_unlock(&reader->mutex);
        free(*problem);
        *problem = err ? str_copy(err->message) : NULL;
        err_free(err);
        if (!fresh)
                return;
        usage_rates(fresh, *usage);
        usage_free(*usage);
        *usage = fresh;
}

/* ---- live ---- */

static void sort_by(struct top_view *view, enum usage_sort by)
{
        view->reverse = view->by == by && view->reverse;
        view->by = by;
        view->first = 0;
}

static void turn_page(struct top_view *view, int by)
{
        view->page = (enum top_page)(((int)view->page + by + TOP_PAGES) % TOP_PAGES);
        view->first = 0;
}

static void scroll(struct top_view *view, bool down, size_t rows)
{
        if (down)
                view->first += rows; /* too far is put right when it is drawn */
        else
                view->first = view->first > rows ? view->first - rows : 0;
}

/* false = the user has seen enough. */
static bool use_key(struct top_view *view, struct reader *reader, int key, size_t page)
{
        switch (key) {
        case 'q':
        case 'Q':
        case TERMINAL_END:
                return false;
        case 'm':
                sort_by(view, USAGE_BY_MEMORY);
                break;
        case 'c':
                sort_by(view, USAGE_BY_CPU);
                break;
        case 'u':
                sort_by(view, USAGE_BY_USER);
                break;
        case 'h':
                sort_by(view, USAGE_BY_HOME);
                break;
        case 'd':
                sort_by(view, USAGE_BY_DASK);
                break;
        case 'r':
                view->reverse = !view->reverse;
                break;
        case '\t':
        case TERMINAL_RIGHT:
                turn_page(view, 1);
                break;
        case TERMINAL_LEFT:
        case TERMINAL_BACK_TAB:
                turn_page(view, -1);
                break;
        case TERMINAL_UP:
        case TERMINAL_DOWN:
                scroll(view, key == TERMINAL_DOWN, 1);
                break;
        case TERMINAL_PAGE_UP:
        case TERMINAL_PAGE_DOWN:
                scroll(view, key == TERMINAL_PAGE_DOWN, page ? page : 1);
                break;
        case TERMINAL_HOME:
                view->first = 0;
                break;
        case TERMINAL_LAST:
                view->first = SIZE_MAX / 2;
                break;
        case ' ':
                reader_now(reader);
                break;
        default:
                break;
        }
        return true;
}

/* *usage: the first reading; taken over. */
static int live(const struct cli *cli, const json_t *access, long interval, enum usage_sort by, struct usage **usage,
        struct err **err)
{
        struct top_view view = {.by = by, .color = cli->color};
        CLEANUP_FREE char *problem = NULL;
        CLEANUP_TERMINAL struct terminal *terminal = NULL;
        struct reader reader;
        fflush(cli->out);
        int r = terminal_open(STDIN_FILENO, fileno(cli->out), &terminal, err);
        if (r < 0)
                return r;
        r = reader_begin(&reader, access, interval, err);
        for (bool going = r == 0; going;) {
                struct terminal_size size = terminal_size(terminal);
                struct top_scene scene = {.cluster = cli->args.operand[0],
                        .usage = *usage,
                        .problem = problem,
                        .now = now_seconds(),
                        .interval = interval};
                size_t page;
                CLEANUP_FREE char *picture = top_picture(&view, &scene, size.columns, size.rows, &page);
                terminal_draw(terminal, picture);
                int key = terminal_wait(terminal, reader.event, 1000); /* the clock at the top goes on */
                if (key == TERMINAL_OTHER)
                        reader_take(&reader, usage, &problem);
                else
                        going = use_key(&view, &reader, key, page);
        }
        if (r == 0)
                reader_end(&reader);
        reader_clear(&reader);
        return r;
}

/* ---- once ---- */

/* Nobody runs anything, or nobody looks: then there is nothing to wait for. */
static bool cores_are_to_come(const struct usage *usage)
{
        bool counted = false;
        for (size_t i = 0; i < usage->users; i++)
                for (size_t k = 0; k < USAGE_KINDS; k++)
                        counted = counted || usage->user[i].group[k].cpu_seconds >= 0;
        return counted && usage->clock >= 0 && !(usage->rate_seconds > 0);
}

/* Cores are what was used between two looks of the exporter: waits for the second. */
static int read_twice(
        const struct cli *cli, struct http_client *http, const json_t *access, struct usage **usage, struct err **err)
{
        struct clock *clock = clock_system();
        int64_t until = clock->monotonic_ms(clock) + PATIENCE_MS;
        while (cores_are_to_come(*usage) && clock->monotonic_ms(clock) < until) {
                struct usage *next = NULL;
                if (clock->sleep_ms(clock, AGAIN_MS, cli->cancel) < 0)
                        return err_set(err, ERR_CANCELLED, "stopped while waiting for the next measurement");
                int r = exporter_read(http, access, &next, err);
                if (r != 0)
                        return r;
                usage_rates(next, *usage);
                usage_free(*usage);
                *usage = next;
        }
        return 0;
}

static int once(const struct cli *cli, struct http_client *http, const json_t *access, enum usage_sort by,
        struct usage **usage, struct err **err)
{
        int r = read_twice(cli, http, access, usage, err);
        if (r < 0)
                return r;
        const char *cluster = cli->args.operand[0];
        if (cli->json) {
                json_auto_t *document = usage_to_json(*usage, cluster, by);
                cli_json(cli, document);
                return 0;
        }
        struct top_scene scene = {.cluster = cluster, .usage = *usage, .now = now_seconds()};
        CLEANUP_FREE char *text = top_text(&scene, by);
        fputs(text, cli->out);
        return 0;
}

/* ---- the command ---- */

static int sort_of(const struct cli *cli, enum usage_sort *ret, struct err **err)
{
        const char *wanted = args_value(&cli->args, "sort"), *names[USAGE_SORTS + 1] = {0};
        for (int by = 0; by < USAGE_SORTS; by++) {
                names[by] = top_sort_name((enum usage_sort)by);
                if (!wanted || str_is(wanted, names[by])) {
                        *ret = (enum usage_sort)by;
                        return 0;
                }
        }
        const char *near = str_nearest(wanted, names);
        return err_set(err, ERR_USAGE, "top: '--sort' is one of memory, cpu, user, home, dask, not '%.60s'%s%s%s",
                wanted, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static int open_access(struct cluster *cluster, json_t **ret, struct err **err)
{
        CLEANUP_ERR struct err *fault = NULL;
        int r = access_read(cluster->journal, cluster->name, "monitoring", ret, &fault);
        if (r == -ERR_NOT_FOUND)
                return err_set(err, ERR_NOT_FOUND,
                        "%s has no monitoring: set monitoring.enabled to true in its form%s, and apply it",
                        cluster->name,
                        reach_is_kubernetes(cluster->row) ? ", with kubernetes.images.exporter"
                                                          : " (it is so by default)");
        if (r < 0 && err)
                *err = STEAL(fault);
        return r;
}

static int show(const struct cli *cli, struct cluster *cluster, long interval, enum usage_sort by, struct err **err)
{
        CLEANUP_HTTP struct http_client *http = http_client_new(NULL);
        CLEANUP_USAGE struct usage *usage = NULL;
        const char *term = getenv("TERM");
        bool screen = isatty(fileno(cli->out)) && term && !str_is(term, "dumb");
        json_t *access = NULL;
        int r = open_access(cluster, &access, err);
        if (r == 0)
                r = exporter_read(http, access, &usage, err);
        if (r == 0 && screen && !cli->json && !args_has(&cli->args, "once"))
                r = live(cli, access, interval, by, &usage, err);
        else if (r == 0)
                r = once(cli, http, access, by, &usage, err);
        kind_forget(access);
        return r < 0 ? r : EXIT_FINE;
}

static int run(struct cli *cli, struct err **err)
{
        CLEANUP_CLUSTER struct cluster cluster = {0};
        enum usage_sort by = USAGE_BY_MEMORY;
        long interval = INTERVAL;
        int r = args_number(&cli->args, "interval", 1, 3600, &interval, err);
        if (r == 0)
                r = sort_of(cli, &by, err);
        if (r == 0)
                r = cluster_open(cli, &cluster, err);
        return r < 0 ? r : show(cli, &cluster, interval, by, err);
}

static const struct option options[] = {
        {"interval", 'i', "SECONDS", false, "how often to look (default: 3)", COMPLETE_NOTHING},
        {"sort", 's', "WHAT", false, "memory (the default), cpu, user, home or dask (workers)", COMPLETE_NOTHING},
        {"once", '1', NULL, false, "print all tables once; so it is without a terminal, too", COMPLETE_NOTHING},
        {0},
};

const struct command cmd_top = {
        .name = "top",
        .args = "CLUSTER",
        .summary = "watch who uses how much: users, Dask clusters, parts",
        .details =
                "Keys: q quits; Tab and the left and right arrows change between users, Dask clusters and parts; m, c, "
                "u, "
                "h and d sort by memory, CPU, user, home and Dask workers, r turns the order round; the other arrows "
                "scroll; space looks at once.\n\n"
                "A GB is 10^9 bytes. CPU is in cores, over the time between the last two measurements of the cluster's "
                "exporter, "
                "so --once and --json wait for the next one, which takes some seconds. LIMIT is how much of its memory "
                "a "
                "notebook server uses, FULL the same of a home, OOM how many processes were killed for lack of memory "
                "since the exporter started.\n\n"
                "With --json, one object: {cluster, time, cpu_seconds (what CPU figures are averages of), totals: "
                "{users, "
                "active, servers, dask_clusters, dask_workers, cpu, memory_bytes, homes_used_bytes, homes_free_bytes, "
                "drift_resources}, users: [{user, cpu, memory_bytes, server: null or {ready, started, last_activity}, "
                "notebook: {cpu, memory_bytes, memory_limit_bytes, processes, oom_kills}, dask: {the same, clusters, "
                "workers}, home: {used_bytes, size_bytes}}], dask_clusters: [{dask_cluster, user, workers, cores, "
                "memory_bytes, started, idle_seconds}], parts: [{part, up}], sources: [{source, up, duration_seconds, "
                "last_success}], certificates: [{certificate, expires}]}. What is not known is null.",
        .options = options,
        .min = 1,
        .max = 1,
        .first = COMPLETE_CLUSTER,
        .json = true,
        .run = run,
};
