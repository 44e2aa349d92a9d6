#include "cli/cli.h"
#include "cli/version.h"

static int run(struct cli *cli, struct err **err)
{
        (void)err;
        if (!cli->json) {
                fprintf(cli->out, "caas %s\n", caas_version);
                return EXIT_FINE;
        }
        json_auto_t *document = json_pack(
                "{s:s, s:s, s:s}", "version", caas_version, "data", cli->data_dir, "libexec", cli->libexec_dir);
        cli_json(cli, document);
        return EXIT_FINE;
}

const struct command cmd_version = {
        .name = "version",
        .args = "",
        .summary = "print the version",
        .json = true,
        .run = run,
};
