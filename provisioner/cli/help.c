#include "cli/help.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "form/form.h"

#define WIDTH 100

/* Breaks `text` between words, every line after the first indented. Empty lines part paragraphs. */
static void print_wrapped(FILE *out, const char *text, int indent, int column)
{
        while (*text) {
                if (strncmp(text, "\n\n", 2) == 0) {
                        fprintf(out, "\n\n%*s", indent, "");
                        column = indent;
                        text += 2;
                        continue;
                }
                if (*text == ' ' || *text == '\n') {
                        text++;
                        continue;
                }
                int n = (int)strcspn(text, " \n");
                bool first = column == indent;
                if (!first && column + 1 + n > WIDTH) {
                        fprintf(out, "\n%*s", indent, "");
                        column = indent;
                        first = true;
                }
                column += fprintf(out, "%s%.*s", first ? "" : " ", n, text);
                text += n;
        }
        fputc('\n', out);
}

static char *option_text(const struct option *option)
{
        const char *open = option->optional ? "[=" : option->value ? " " : "";
        char letter[8] = "";
        if (option->letter)
                snprintf(letter, sizeof letter, "-%c, ", option->letter);
        return str_format("%s--%s%s%s%s", letter, option->name, open, option->value ? option->value : "",
                option->optional ? "]" : "");
}

static void print_option(FILE *out, const struct option *option)
{
        CLEANUP_FREE char *text = option_text(option);
        int column = fprintf(out, "  %-22s  ", text);
        if (column > 26) {
                fprintf(out, "\n%26s", "");
                column = 26;
        }
        print_wrapped(out, option->summary, 26, column);
}

static void print_options(FILE *out, const struct option *option, bool json)
{
        for (; option && option->name; option++)
                if (json || !str_is(option->name, "json"))
                        print_option(out, option);
}

char *help_without_json(void)
{
        CLEANUP_BUF struct buf names = BUF_INIT(1000);
        size_t left = 0;
        for (size_t i = 0; command_table[i]; i++)
                left += !command_table[i]->json;
        for (size_t i = 0; command_table[i]; i++) {
                if (command_table[i]->json)
                        continue;
                buf_format(&names, "%s%s", command_table[i]->name, left > 2 ? ", " : left > 1 ? " and " : "");
                left--;
        }
        return buf_steal(&names);
}

void help_overview(FILE *out)
{
        fputs("caas - a Pangeo (JupyterHub, Dask, LDAP sign-in) from one form\n\n"
              "usage: caas COMMAND [ARGUMENT...] [OPTION...]\n\n",
                out);
        for (size_t i = 0; command_table[i]; i++) {
                const struct command *command = command_table[i];
                CLEANUP_FREE char *usage = str_format("%s %s", command->name, command->args);
                fprintf(out, "  %-32s %s\n", usage, command->summary);
        }
        fputs("\noptions of all commands:\n", out);
        print_options(out, global_options, false);
        CLEANUP_FREE char *without = help_without_json();
        fprintf(out, "\noption of all commands but %s:\n", without);
        for (const struct option *option = global_options; option->name; option++)
                if (str_is(option->name, "json"))
                        print_option(out, option);
        fputs("\n'caas help COMMAND' says more about one of them. To begin:\n"
              "  caas new lab > form.yaml     then fill it in\n"
              "  caas apply form.yaml\n",
                out);
}

void help_command(FILE *out, const struct command *command)
{
        fprintf(out, "caas %s - %s\n\nusage: caas %s%s%s [OPTION...]\n", command->name, command->summary, command->name,
                *command->args ? " " : "", command->args);
        if (command->details) {
                fputc('\n', out);
                print_wrapped(out, command->details, 0, 0);
        }
        fputs("\noptions:\n", out);
        print_options(out, command->options, true);
        print_options(out, global_options, command->json);
}

void help_group(FILE *out, const char *first)
{
        CLEANUP_FREE char *prefix = str_format("%s ", first);
        for (size_t i = 0; command_table[i]; i++) {
                if (!str_starts(command_table[i]->name, prefix))
                        continue;
                help_command(out, command_table[i]);
                fputc('\n', out);
        }
}

/* ---- completion ---- */

static const char *action_of(enum complete complete)
{
        switch (complete) {
        case COMPLETE_FILE:
                return "files";
        case COMPLETE_FOLDER:
                return "folders";
        case COMPLETE_CLUSTER:
                return "clusters";
        case COMPLETE_USER:
                return "users";
        case COMPLETE_COMMAND:
                return "commands";
        case COMPLETE_SHELL:
                return "shells";
        case COMPLETE_TARGET:
                return "targets";
        default:
                return "nothing";
        }
}

static void bash_options(FILE *out, const struct option *option, bool json)
{
        for (; option && option->name; option++)
                if (json || !str_is(option->name, "json"))
                        fprintf(out, " --%s", option->name);
}

/* The options that want a value, as a case of the shell: "--state) folders". */
static void bash_values(FILE *out, const struct option *option, const char *indent)
{
        for (; option && option->name; option++)
                if (option->value && !option->optional)
                        fprintf(out, "%s--%s) what=%s ;;\n", indent, option->name, action_of(option->complete));
}

void help_completion_bash(FILE *out)
{
        CLEANUP_BUF struct buf targets = BUF_INIT(1000);
        for (const char *const *target = form_targets(); *target; target++)
                buf_format(&targets, "%s%s", targets.length ? " " : "", *target);
        fputs("# bash completion for caas; made by `caas completion bash`\n"
              "_caas() {\n"
              "        local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} word i state= name= "
              "count=0\n"
              "        local options= first=nothing rest=nothing what= names= one=\n",
                out);
        fputs("        local all='", out);
        for (size_t i = 0; command_table[i]; i++)
                fprintf(out, "%s%s", i ? "|" : "", command_table[i]->name);
        fputs("'\n", out);
        fputs("        for ((i = 1; i < COMP_CWORD; i++)); do\n"
              "                word=${COMP_WORDS[i]}\n"
              "                case $word in\n"
              "                --state) state=${COMP_WORDS[++i]} ;;\n"
              "                -*) ;;\n"
              "                *)      if [[ \"|$all|\" == *\"|$name|\"* ]]; then\n"
              "                                ((++count == 1)) && one=$word\n"
              "                        else\n"
              "                                name=${name:+$name }$word\n"
              "                        fi ;;\n"
              "                esac\n"
              "        done\n"
              "        case $name in\n",
                out);
        for (size_t i = 0; command_table[i]; i++) {
                const struct command *command = command_table[i];
                fprintf(out, "        '%s') first=%s rest=%s options='", command->name,
                        command->max != 0 ? action_of(command->first) : "nothing",
                        command->max < 0 || command->max > 1 ? action_of(command->rest) : "nothing");
                bash_options(out, command->options, true);
                bash_options(out, global_options, command->json);
                fputs("' ;;\n", out);
        }
        fputs("        *) options='", out);
        bash_options(out, global_options, true);
        fputs("' ;;\n        esac\n        case $prev in\n", out);
        bash_values(out, global_options, "        ");
        for (size_t i = 0; command_table[i]; i++)
                bash_values(out, command_table[i]->options, "        ");
        fputs("        esac\n"
              "        if [[ -z $what && $cur == -* ]]; then\n"
              "                mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")\n"
              "                return\n"
              "        fi\n"
              "        if [[ -z $what ]]; then\n"
              "                if [[ \"|$all|\" != *\"|$name|\"* ]]; then\n"
              "                        names=$(tr '|' '\\n' <<<\"$all\" | sed -n \"s/^${name:+$name }\\([^ "
              "]*\\).*/\\1/p\" | sort -u)\n"
              "                        mapfile -t COMPREPLY < <(compgen -W \"$names\" -- \"$cur\")\n"
              "                        return\n"
              "                fi\n"
              "                if ((count == 0)); then what=$first; else what=$rest; fi\n"
              "        fi\n"
              "        case $what in\n"
              "        files) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
              "        folders) mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n"
              "        commands) names=$(tr '|' '\\n' <<<\"$all\" | sed -n \"s/^${one:+$one }\\([^ ]*\\).*/\\1/p\" | "
              "sort "
              "-u)\n"
              "                mapfile -t COMPREPLY < <(compgen -W \"$names\" -- \"$cur\") ;;\n"
              "        shells) mapfile -t COMPREPLY < <(compgen -W 'bash man' -- \"$cur\") ;;\n",
                out);
        fprintf(out, "        targets) mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\") ;;\n", targets.data);
        fputs("        clusters) names=$(caas list --names ${state:+--state \"$state\"} 2>/dev/null)\n"
              "                mapfile -t COMPREPLY < <(compgen -W \"$names\" -- \"$cur\") ;;\n"
              "        users) names=$(caas users \"$one\" --names ${state:+--state \"$state\"} 2>/dev/null)\n"
              "                mapfile -t COMPREPLY < <(compgen -W \"$names\" -- \"$cur\") ;;\n"
              "        esac\n"
              "}\n"
              "complete -o filenames -F _caas caas\n",
                out);
}
