#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/text.h"
#include "cli/version.h"

#define STATE_DIR "/var/lib/caas"

/* From the current folder; without slashes at the end. The caller frees. */
static int absolute(const char *path, char **ret, struct err **err)
{
        char *full;
        if (path[0] == '/') {
                full = str_copy(path);
        } else {
                CLEANUP_FREE char *here = realpath(".", NULL);
                if (!here)
                        return err_set_errno(err, errno, "the current folder");
                full = file_join(here, path);
        }
        for (size_t n = strlen(full); n > 1 && full[n - 1] == '/'; n--)
                full[n - 1] = '\0';
        *ret = full;
        return 0;
}

static const char *from_env(const char *name)
{
        const char *value = getenv(name);
        return value && *value ? value : NULL;
}

/* The folder of this program; the caller frees. */
static char *program_folder(void)
{
        char path[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
        if (n <= 0)
                return str_copy(".");
        path[n] = '\0';
        char *slash = strrchr(path, '/');
        return str_copy_n(path, slash && slash > path ? (size_t)(slash - path) : 1);
}

/* `base`/`beside` if `wanted` is in it. The caller frees. */
static char *folder_with(const char *base, const char *beside, const char *wanted)
{
        CLEANUP_FREE char *folder = file_join(base, beside);
        CLEANUP_FREE char *inside = file_join(folder, wanted);
        char *real = file_exists(inside) ? realpath(folder, NULL) : NULL;
        return real;
}

/* In the source tree the program is build/caas and roles/ is beside build/; installed, they are where the build said
 * or, moved as a whole, in ../share and ../libexec. */
static void find_parts(struct cli *cli)
{
        CLEANUP_FREE char *here = program_folder();
        const char *data = from_env("CAAS_DATA");
        cli->data_dir = data ? realpath(data, NULL) : folder_with(here, "..", "roles");
        if (!cli->data_dir)
                cli->data_dir = data ? str_copy(data) : folder_with(here, "../share/caas", "roles");
        if (!cli->data_dir)
                cli->data_dir = str_copy(caas_datadir);
        cli->libexec_dir = folder_with(here, ".", "caas-sandbox");
        if (!cli->libexec_dir)
                cli->libexec_dir = folder_with(here, "../libexec/caas", "caas-sandbox");
        if (!cli->libexec_dir)
                cli->libexec_dir = str_copy(caas_libexecdir);
}

int cli_open(struct cli *cli, struct err **err)
{
        cli->json = args_has(&cli->args, "json");
        cli->quiet = args_has(&cli->args, "quiet");
        bool plain = args_has(&cli->args, "no-color") || from_env("NO_COLOR") || str_is(getenv("TERM"), "dumb");
        cli->color = !plain && !cli->json && isatty(fileno(cli->out));
        cli->interactive = !cli->json && isatty(STDIN_FILENO) && isatty(fileno(cli->notes));

        const char *state = args_value(&cli->args, "state");
        if (state && !*state)
                return err_set(err, ERR_USAGE, "option '--state' needs a folder");
        if (!state)
                state = from_env("CAAS_STATE");
        int r = absolute(state ? state : STATE_DIR, &cli->state_dir, err);
        if (r < 0)
                return r;
        const char *cache = from_env("CAAS_CACHE");
        if (!cache)
                cli->cache_dir = file_join(cli->state_dir, "cache");
        else if ((r = absolute(cache, &cli->cache_dir, err)) < 0)
                return r;
        find_parts(cli);
        return 0;
}

void cli_close(struct cli *cli)
{
        free(cli->state_dir);
        free(cli->cache_dir);
        free(cli->data_dir);
        free(cli->libexec_dir);
        json_decref(cli->findings);
        args_clear(&cli->args);
}

void cli_json(const struct cli *cli, const json_t *document)
{
        size_t flags = JSON_ENCODE_ANY | (isatty(fileno(cli->out)) ? JSON_INDENT(2) : JSON_COMPACT);
        json_dumpf(document, cli->out, flags);
        fputc('\n', cli->out);
}

void cli_error(const struct cli *cli, const struct err *err)
{
        CLEANUP_FREE char *text = err_text(err);
        CLEANUP_FREE char *safe = text_safe(text, true);
        bool color = cli->color && isatty(fileno(cli->notes));
        fflush(cli->out);
        fprintf(cli->notes, "%scaas:%s %s\n", cli_style(color, STYLE_RED), cli_style(color, STYLE_NONE), safe);
        if (!cli->json)
                return;
        json_auto_t *document = json_pack("{s:{s:s, s:s, s:s?, s:i, s:i}}", "error", "code", err_code_name(err->code),
                "message", err->message, "file", err->file, "line", err->line, "column", err->column);
        if (document && cli->findings)
                json_object_set(json_object_get(document, "error"), "findings", cli->findings);
        if (document) {
                json_dumpf(document, cli->out, JSON_COMPACT);
                fputc('\n', cli->out);
        }
}

bool cli_confirm(const struct cli *cli, const char *question)
{
        char answer[16] = "";
        fflush(cli->out);
        fprintf(cli->notes, "%s [y/N] ", question);
        fflush(cli->notes);
        size_t n = 0;
        int r;
        for (char c; (r = cli_read_byte(cli, STDIN_FILENO, &c, NULL)) == 0 && c != '\n';)
                if (n + 1 < sizeof answer)
                        answer[n++] = c;
        if (r < 0)
                return false;
        answer[n] = '\0';
        char *word = str_trim(answer);
        return strcasecmp(word, "y") == 0 || strcasecmp(word, "yes") == 0;
}

const char *cli_style(bool color, enum style style)
{
        static const char *const codes[] = {
                [STYLE_NONE] = "\x1b[0m",
                [STYLE_BOLD] = "\x1b[1m",
                [STYLE_DIM] = "\x1b[2m",
                [STYLE_GREEN] = "\x1b[32m",
                [STYLE_YELLOW] = "\x1b[33m",
                [STYLE_RED] = "\x1b[31m",
                [STYLE_CYAN] = "\x1b[36m",
        };
        return color ? codes[style] : "";
}
