#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/help.h"

static json_t *option_json(const struct option *option)
{
        json_t *list = json_array();
        for (; option && option->name; option++)
                json_array_append_new(list, json_pack("{s:s, s:s?, s:s}", "name", option->name, "value", option->value,
                                                    "summary", option->summary));
        return list;
}

static void print_json(const struct cli *cli)
{
        json_auto_t *list = json_array();
        for (size_t i = 0; command_table[i]; i++) {
                const struct command *command = command_table[i];
                json_array_append_new(
                        list, json_pack("{s:s, s:s, s:s, s:o}", "name", command->name, "arguments", command->args,
                                      "summary", command->summary, "options", option_json(command->options)));
        }
        cli_json(cli, list);
}

static int run(struct cli *cli, struct err **err)
{
        if (cli->json) {
                print_json(cli);
                return EXIT_FINE;
        }
        if (!cli->args.count) {
                help_overview(cli->out);
                return EXIT_FINE;
        }
        /* The parser knows how to find a command and what to say when there is none. */
        char *argv[] = {(char *)"caas", (char *)cli->args.operand[0],
                (char *)(cli->args.count > 1 ? cli->args.operand[1] : "--help"), (char *)"--help", NULL};
        CLEANUP_ARGS struct args args = {0};
        int r = args_parse(command_table, 4, argv, &args, err);
        if (r < 0)
                return r;
        if (args.command)
                help_command(cli->out, args.command);
        else
                help_group(cli->out, cli->args.operand[0]);
        return EXIT_FINE;
}

const struct command cmd_help = {
        .name = "help",
        .args = "[COMMAND]",
        .summary = "explain a command",
        .max = 2,
        .first = COMPLETE_COMMAND,
        .rest = COMPLETE_COMMAND,
        .json = true,
        .run = run,
};
