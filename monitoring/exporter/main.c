/* caas-exporter: what runs in a cluster and how it is, for Prometheus. One process a cluster. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "exporter/registry.h"
#include "exporter/server.h"
#include "exporter/version.h"

#define USAGE_STATUS 64
#define STOP_MS      5000
#define MAPPED_FROM  65536

static const char USAGE[] = "usage: caas-exporter CONFIG     serves the figures of a cluster\n"
                            "       caas-exporter --families what it can say, as JSON\n"
                            "       caas-exporter --version\n";

/* Tokens and a password are in memory: nothing of it goes to a core file. (The leak checker of the sanitizers has to be
 * let in.) */
static void harden(void)
{
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
#ifndef __SANITIZE_ADDRESS__
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

/* Signals are taken by sigwait, so that nothing runs in a handler; threads inherit the mask. */
static void block_signals(sigset_t *set)
{
        sigemptyset(set);
        sigaddset(set, SIGTERM);
        sigaddset(set, SIGINT);
        pthread_sigmask(SIG_BLOCK, set, NULL);
        signal(SIGPIPE, SIG_IGN);
}

static int print_families(void)
{
        json_t *list = registry_families(SOURCES);
        bool written = json_dumpf(list, stdout, JSON_INDENT(1)) == 0 && puts("") >= 0 && fflush(stdout) == 0;
        json_decref(list);
        return written ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Until a signal says so. */
static int serve(struct config *config, const sigset_t *set, struct err **err)
{
        struct registry *registry = NULL;
        struct server *server = NULL;
        int got, r = registry_start(SOURCES, config, clock_system(), &registry, err);
        if (r == 0)
                r = server_start(config, registry, &server, err);
        if (r == 0) {
                printf("caas-exporter %s: %zu sources, listening at %s\n", exporter_version(), registry_count(registry),
                        config->listen);
                fflush(stdout);
                while (sigwait(set, &got) != 0)
                        ;
        }
        server_stop(server);
        cancel_raise(config->cancel);
        cancel_raise(config->cancel); /* requests on their way, too */
        if (!registry_stop(registry, STOP_MS)) {
                /* a source hangs in the kernel (a disk, a mount): nothing it uses may be taken from under it */
                if (r < 0)
                        fprintf(stderr, "caas-exporter: %s\n", err && *err ? (*err)->message : "failed");
                fflush(NULL);
                _exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
        }
        return r;
}

int main(int argc, char **argv)
{
        sigset_t set;
        CLEANUP_ERR struct err *err = NULL;
        if (argc == 2 && str_is(argv[1], "--families"))
                return print_families();
        if (argc == 2 && str_is(argv[1], "--version"))
                return printf("caas-exporter %s\n", exporter_version()) < 0;
        if (argc != 2 || argv[1][0] == '-') {
                fputs(USAGE, stderr);
                return USAGE_STATUS;
        }
        /* One heap for all threads: what one source gave back another can have. Large blocks are mapped, always, so
         * that they grow without being copied and go back to the system when a refresh has replaced them. */
        mallopt(M_ARENA_MAX, 1);
        mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
        proc_own_environment();
        harden();
        block_signals(&set);
        CLEANUP_CONFIG struct config *config = NULL;
        int r = config_load(argv[1], &config, &err);
        if (r == 0)
                r = serve(config, &set, &err);
        if (r < 0) {
                CLEANUP_FREE char *text = err_text(err);
                fprintf(stderr, "caas-exporter: %s\n", text);
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
