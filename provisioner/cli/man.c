/* The manual page. What the table knows comes from the table; the rest stands here, beside it. docs/caas.1 is this
 * program's own output, and a test says so when the two drift apart. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/help.h"

/* mdoc takes a leading dot or quote for a request and a backslash for an escape. */
static void print_escaped(FILE *out, const char *text, size_t length)
{
        for (size_t i = 0; i < length; i++) {
                bool begin = i == 0 || text[i - 1] == '\n';
                if (begin && (text[i] == '.' || text[i] == '\''))
                        fputs("\\&", out);
                if (text[i] == '\\')
                        fputs("\\e", out);
                else if (text[i] == '-')
                        fputs("\\-", out);
                else
                        fputc(text[i], out);
        }
}

static void print_paragraphs(FILE *out, const char *text)
{
        while (*text) {
                const char *end = strstr(text, "\n\n");
                size_t length = end ? (size_t)(end - text) : strlen(text);
                print_escaped(out, text, length);
                fputc('\n', out);
                text += length;
                if (*text) {
                        fputs(".Pp\n", out);
                        text += 2;
                }
        }
}

static void print_options(FILE *out, const struct option *option)
{
        fputs(".Bl -tag -width Ds\n", out);
        for (; option->name; option++) {
                fputs(".It ", out);
                if (option->letter)
                        fprintf(out, "Fl %c , ", option->letter);
                fprintf(out, "Fl \\-%s", option->name);
                if (option->value && option->optional)
                        fprintf(out, " Ns Op = Ns Ar %s", option->value);
                else if (option->value)
                        fprintf(out, " Ar %s", option->value);
                fputc('\n', out);
                print_paragraphs(out, option->summary);
        }
        fputs(".El\n", out);
}

static void print_command(FILE *out, const struct command *command)
{
        fprintf(out, ".It Nm caas Cm %s%s%s\n", command->name, *command->args ? " Ar " : "", command->args);
        print_escaped(out, command->summary, strlen(command->summary));
        fputs(".\n", out);
        if (command->details)
                print_paragraphs(out, command->details);
        if (command->options && command->options->name)
                print_options(out, command->options);
}

static const char head[] = ".Dd November 2026\n"
                           ".Dt CAAS 1\n"
                           ".Os\n"
                           ".Sh NAME\n"
                           ".Nm caas\n"
                           ".Nd a Pangeo cluster from one form\n";

static const char description[] =
        ".Sh DESCRIPTION\n"
        ".Nm\n"
        "turns a form, one YAML file, into a working Pangeo: JupyterHub with LDAP sign\\-in, notebooks with the "
        "Pangeo\n"
        "libraries and Dask clusters, behind TLS.\n"
        "It compares what the form wants with what was done and what is there, and changes what differs.\n"
        "A run that was interrupted, or killed, goes on where it stopped when the same command is given again.\n"
        ".Pp\n"
        "Options may stand anywhere after the command; those of all commands before it, too.\n"
        "They are:\n";

static const char tail[] =
        ".Sh ENVIRONMENT\n"
        ".Bl -tag -width Ds\n"
        ".It Ev CAAS_STATE\n"
        "Folder of all clusters' state, if\n"
        ".Fl \\-state\n"
        "is not given.\n"
        ".It Ev CAAS_CACHE\n"
        "Folder for downloads; the default is\n"
        ".Pa cache\n"
        "in the state folder.\n"
        "It may be emptied at any time.\n"
        ".It Ev CAAS_DATA\n"
        "Folder that holds\n"
        ".Pa roles/ ,\n"
        ".Pa templates/\n"
        "and\n"
        ".Pa monitoring/ .\n"
        ".It Ev CAAS_TRACE\n"
        "As\n"
        ".Fl \\-trace .\n"
        ".It Ev NO_COLOR\n"
        "If set and not empty, no colours.\n"
        ".It Ev KUBECONFIG\n"
        "As kubectl reads it, where a form for Kubernetes names no kubeconfig.\n"
        ".It Ev https_proxy , PIP_INDEX_URL , UV_DEFAULT_INDEX , npm_config_registry\n"
        "These and all others are handed on to the programs that install things: apt\\-get, pip, uv, npm.\n"
        ".El\n"
        ".Sh FILES\n"
        ".Bl -tag -width Ds\n"
        ".It Pa /var/lib/caas\n"
        "The state folder: journal, key, clusters, downloads.\n"
        ".It Pa clusters/NAME/homes/images\n"
        "In the state folder: the users' homes.\n"
        "They outlive\n"
        ".Cm destroy\n"
        "unless\n"
        ".Fl \\-delete\\-data\n"
        "is given.\n"
        ".It Pa share/doc/caas\n"
        "Below the prefix of the installation:\n"
        ".Pa README.md\n"
        "and\n"
        ".Pa docs/ ,\n"
        "which alerts and messages name.\n"
        ".El\n"
        ".Sh EXIT STATUS\n"
        ".Bl -tag -width Ds\n"
        ".It 0\n"
        "Fine;\n"
        ".Cm plan :\n"
        "nothing to do.\n"
        ".It 1\n"
        "Refused or failed.\n"
        ".It 2\n"
        ".Cm plan :\n"
        "there is something to do.\n"
        ".It 64\n"
        "Wrong usage.\n"
        ".El\n"
        ".Sh EXAMPLES\n"
        "A cluster from nothing:\n"
        ".Bd -literal -offset indent\n"
        "caas new lab > lab.yaml\n"
        "caas check lab.yaml\n"
        "caas apply lab.yaml\n"
        "caas password lab\n"
        "caas test lab\n"
        ".Ed\n"
        ".Pp\n"
        "A user, with a password from a file:\n"
        ".Bd -literal -offset indent\n"
        "caas user add lab alice < password.txt\n"
        "caas grant lab alice\n"
        ".Ed\n";

void help_manual(FILE *out)
{
        fputs(head, out);
        fputs(".Sh SYNOPSIS\n", out);
        for (size_t i = 0; command_table[i]; i++)
                fprintf(out, ".Nm\n.Cm %s\n%s%s%s", command_table[i]->name, *command_table[i]->args ? ".Ar " : "",
                        command_table[i]->args, *command_table[i]->args ? "\n" : "");
        fputs(description, out);
        print_options(out, global_options);
        CLEANUP_FREE char *without = help_without_json();
        fprintf(out, ".Fl \\-json\nis an option of all commands but %s.\n", without);
        fputs(".Sh COMMANDS\n.Bl -tag -width Ds\n", out);
        for (size_t i = 0; command_table[i]; i++)
                print_command(out, command_table[i]);
        fputs(".El\n", out);
        fputs(tail, out);
}
