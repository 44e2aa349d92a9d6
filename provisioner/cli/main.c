#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/reach.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/signals.h"

#define MAPPED_FROM 65536

/* Secrets are in memory: nothing of it goes to a core file, and nobody else's debugger looks at it. (The leak checker
 * of the sanitizers is such a debugger.) */
static void harden(void)
{
        umask(022);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
#ifndef __SANITIZE_ADDRESS__
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

/* Where one of them is closed, the next file that is opened would become it, and what is printed would be written into
 * that file. Nothing can be written to what stands here instead, and that is an error as before. */
static void keep_standard_streams(void)
{
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd)
                        _exit(EXIT_NO);
}

static int run(struct cli *cli, int argc, char **argv, struct err **err)
{
        int r = args_parse(command_table, argc, argv, &cli->args, err);
        struct err **first = r < 0 ? NULL : err; /* an error of parsing is told with --json, --no-color in mind */
        int opened = cli_open(cli, first);
        if (r < 0 || opened < 0)
                return r < 0 ? r : opened;
        if (args_has(&cli->args, "trace"))
                log_configure(args_value(&cli->args, "trace") ? args_value(&cli->args, "trace") : "all");
        else
                log_configure(getenv("CAAS_TRACE"));
        if (args_has(&cli->args, "help")) {
                if (cli->args.command)
                        help_command(cli->out, cli->args.command);
                else if (cli->args.group)
                        help_group(cli->out, cli->args.group);
                else
                        help_overview(cli->out);
                return EXIT_FINE;
        }
        if (!cli->args.command) {
                help_overview(cli->notes);
                return EXIT_USAGE;
        }
        return cli->args.command->run(cli, err);
}

int main(int argc, char **argv)
{
        keep_standard_streams();
        harden();
        signals_pipe();
        proc_own_environment();
        /* Threads wait for others, not for memory: heaps of their own are a megabyte more. Large blocks are mapped,
         * always: answers and what is sent come and go, and leave holes in the heap that nothing else fits into. */
        mallopt(M_ARENA_MAX, 1);
        mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
        struct cli cli = {.out = stdout, .notes = stderr};
        CLEANUP_ERR struct err *err = NULL;
        int status = run(&cli, argc, argv, &err);
        if (status < 0) {
                if (err)
                        cli_error(&cli, err);
                status = err && err->code == ERR_USAGE ? EXIT_USAGE : EXIT_NO;
        }
        /* A full disk behind a redirection must not look like success. */
        if ((fflush(stdout) != 0 || ferror(stdout)) && status != EXIT_USAGE) {
                fprintf(stderr, "caas: cannot write the output: %m\n");
                status = EXIT_NO;
        }
        reach_close();
        cli_close(&cli);
        return status;
}
