#include "cli/args.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

const struct option global_options[] = {
        {"state", 0, "DIR", false, "folder of all clusters' state (default: $CAAS_STATE, else /var/lib/caas)",
                COMPLETE_FOLDER},
        {"json", 0, NULL, false, "machine-readable output", COMPLETE_NOTHING},
        {"quiet", 'q', NULL, false, "say nothing but results and errors", COMPLETE_NOTHING},
        {"no-color", 0, NULL, false, "no colours (also: NO_COLOR in the environment)", COMPLETE_NOTHING},
        {"trace", 0, "COMPONENTS", true, "trace to standard error: all, or a list such as http,engine or all,-ldap",
                COMPLETE_NOTHING},
        {"help", 'h', NULL, false, "explain the command", COMPLETE_NOTHING},
        {0},
};

void args_clear(struct args *args)
{
        free(args->option);
        free(args->operand);
        *args = (struct args){0};
}

/* ---- the command's name ---- */

/* The entry whose name is nearest, or NULL; after `group` the second words are compared. */
static const char *nearest_command(const struct command *const *table, const char *group, const char *word)
{
        size_t skip = group ? strlen(group) + 1 : 0;
        size_t count = 0;
        while (table[count])
                count++;
        CLEANUP_FREE const char **names = mem_zero_array(count + 1, sizeof *names);
        size_t used = 0;
        for (size_t i = 0; i < count; i++)
                if (!group || (strncmp(table[i]->name, group, skip - 1) == 0 && table[i]->name[skip - 1] == ' '))
                        names[used++] = table[i]->name + skip;
        return str_nearest(word, names);
}

static const struct command *find(const struct command *const *table, const char *name)
{
        for (; *table; table++)
                if (str_is((*table)->name, name))
                        return *table;
        return NULL;
}

/* Is `word` the first of two? *ret_list: "add, passwd, remove"; the caller frees. */
static bool is_group(const struct command *const *table, const char *word, char **ret_list)
{
        struct buf list = BUF_INIT(1024);
        size_t n = strlen(word);
        for (; *table; table++)
                if (strncmp((*table)->name, word, n) == 0 && (*table)->name[n] == ' ')
                        buf_format(&list, "%s%s", list.length ? ", " : "", (*table)->name + n + 1);
        bool found = list.length > 0;
        *ret_list = buf_steal(&list);
        return found;
}

static int unknown_command(const struct command *const *table, const char *word, struct err **err)
{
        const char *near = nearest_command(table, NULL, word);
        if (near)
                return err_set(err, ERR_USAGE, "there is no command '%.60s'; did you mean '%s'?", word, near);
        return err_set(err, ERR_USAGE, "there is no command '%.60s'; 'caas help' lists what there is", word);
}

/* Takes one more word of the command's name; *group holds the first of two in between. */
static int name_word(
        const struct command *const *table, const char *word, const char **group, struct args *args, struct err **err)
{
        CLEANUP_FREE char *list = NULL;
        if (*group) {
                CLEANUP_FREE char *full = str_format("%s %.60s", *group, word);
                args->command = find(table, full);
                if (args->command)
                        return 0;
                const char *near = nearest_command(table, *group, word);
                is_group(table, *group, &list);
                if (near)
                        return err_set(
                                err, ERR_USAGE, "there is no command '%s'; did you mean '%s %s'?", full, *group, near);
                return err_set(
                        err, ERR_USAGE, "there is no command '%s'; after '%s' comes one of: %s", full, *group, list);
        }
        args->command = find(table, word);
        if (args->command)
                return 0;
        if (!is_group(table, word, &list))
                return unknown_command(table, word, err);
        *group = word;
        return 0;
}

/* ---- options ---- */

static const struct option *match(const struct option *list, const char *name, size_t length, char letter)
{
        for (; list && list->name; list++) {
                if (letter ? list->letter == letter
                           : strlen(list->name) == length && strncmp(list->name, name, length) == 0)
                        return list;
        }
        return NULL;
}

static const struct option *find_option(const struct args *args, const char *name, size_t length, char letter)
{
        const struct option *own = args->command ? match(args->command->options, name, length, letter) : NULL;
        return own ? own : match(global_options, name, length, letter);
}

/* "%s%s" in front of what is wrong with an option: "apply: ", or nothing before there is a command. */
#define WHO(args) (args)->command ? (args)->command->name : "", (args)->command ? ": " : ""
/* "'caas help%s%s' lists them" */
#define HELP(args) (args)->command ? " " : "", (args)->command ? (args)->command->name : ""

static int unknown_option(const struct args *args, const char *name, size_t length, struct err **err)
{
        const char *names[64];
        size_t count = 0;
        for (const struct option *o = args->command ? args->command->options : NULL; o && o->name && count < 40; o++)
                names[count++] = o->name;
        for (const struct option *o = global_options; o->name; o++)
                names[count++] = o->name;
        names[count] = NULL;
        CLEANUP_FREE char *word = str_copy_n(name, length < 60 ? length : 60);
        const char *near = str_nearest(word, names);
        if (near)
                return err_set(
                        err, ERR_USAGE, "%s%sthere is no option '--%s'; did you mean '--%s'?", WHO(args), word, near);
        return err_set(err, ERR_USAGE, "%s%sthere is no option '--%s'; 'caas help%s%s' lists them", WHO(args), word,
                HELP(args));
}

static void keep(struct args *args, const struct option *option, const char *value)
{
        MEM_GROW(args->option, args->option_count, args->option_capacity);
        args->option[args->option_count++] = (struct args_option){option, value};
}

/* "--name", "--name=value" or "--name value". *i moves on when the value is the next word. */
static int long_option(struct args *args, int argc, char **argv, int *i, struct err **err)
{
        const char *name = argv[*i] + 2;
        size_t length = strcspn(name, "=");
        const char *value = name[length] ? name + length + 1 : NULL;
        const struct option *option = find_option(args, name, length, '\0');
        if (!option)
                return unknown_option(args, name, length, err);
        if (value && !option->value)
                return err_set(err, ERR_USAGE, "%s%soption '--%s' takes no value", WHO(args), option->name);
        if (!value && option->value && !option->optional) {
                if (*i + 1 >= argc)
                        return err_set(err, ERR_USAGE, "%s%soption '--%s' needs a value (%s)", WHO(args), option->name,
                                option->value);
                value = argv[++*i];
        }
        keep(args, option, value);
        return 0;
}

/* "-q", "-qf", "-n50" or "-n 50". */
static int short_options(struct args *args, int argc, char **argv, int *i, struct err **err)
{
        for (const char *letter = argv[*i] + 1; *letter; letter++) {
                const struct option *option = find_option(args, NULL, 0, *letter);
                if (!option)
                        return err_set(err, ERR_USAGE, "%s%sthere is no option '-%.1s'; 'caas help%s%s' lists them",
                                WHO(args), letter, HELP(args));
                const char *value = NULL;
                if (option->value && !option->optional) {
                        if (letter[1])
                                value = letter + 1;
                        else if (*i + 1 < argc)
                                value = argv[++*i];
                        else
                                return err_set(err, ERR_USAGE, "%s%soption '-%c' needs a value (%s)", WHO(args),
                                        *letter, option->value);
                }
                keep(args, option, value);
                if (value)
                        return 0;
        }
        return 0;
}

/* ---- all of it ---- */

static int check_count(const struct args *args, struct err **err)
{
        const struct command *command = args->command;
        if (args->count < (size_t)command->min)
                return err_set(err, ERR_USAGE, "%s: something is missing: caas %s %s", command->name, command->name,
                        command->args);
        if (command->max >= 0 && args->count > (size_t)command->max)
                return err_set(err, ERR_USAGE, "%s: '%.60s' is one too many: caas %s%s%s", command->name,
                        args->operand[command->max], command->name, *command->args ? " " : "", command->args);
        if (args_has(args, "json") && !command->json)
                return err_set(err, ERR_USAGE, "%s: has no --json", command->name);
        return 0;
}

static int parse_word(const struct command *const *table, int argc, char **argv, int *i, bool *literal,
        const char **group, struct args *args, struct err **err)
{
        const char *word = argv[*i];
        if (!*literal && strcmp(word, "--") == 0) {
                *literal = true;
                return 0;
        }
        if (!*literal && str_starts(word, "--"))
                return long_option(args, argc, argv, i, err);
        if (!*literal && word[0] == '-' && word[1])
                return short_options(args, argc, argv, i, err);
        if (!args->command)
                return name_word(table, word, group, args, err);
        MEM_GROW(args->operand, args->count, args->capacity);
        args->operand[args->count++] = word;
        return 0;
}

int args_parse(const struct command *const *table, int argc, char **argv, struct args *ret, struct err **err)
{
        const char *group = NULL;
        bool literal = false;
        for (int i = 1; i < argc; i++) {
                /* `caas --version` is what people type. */
                bool version = !ret->command && !literal && strcmp(argv[i], "--version") == 0;
                int r = version ? name_word(table, "version", &group, ret, err)
                                : parse_word(table, argc, argv, &i, &literal, &group, ret, err);
                if (r < 0)
                        return r;
        }
        ret->group = ret->command ? NULL : group;
        if (group && !ret->command && !args_has(ret, "help")) {
                CLEANUP_FREE char *list = NULL;
                is_group(table, group, &list);
                return err_set(err, ERR_USAGE, "after '%s' comes one of: %s", group, list);
        }
        if (!ret->command || args_has(ret, "help"))
                return 0;
        return check_count(ret, err);
}

static const struct args_option *last(const struct args *args, const char *name)
{
        for (size_t i = args->option_count; i > 0; i--)
                if (str_is(args->option[i - 1].option->name, name))
                        return &args->option[i - 1];
        return NULL;
}

bool args_has(const struct args *args, const char *name)
{
        return last(args, name) != NULL;
}

const char *args_value(const struct args *args, const char *name)
{
        const struct args_option *option = last(args, name);
        return option ? option->value : NULL;
}

int args_number(const struct args *args, const char *name, long low, long high, long *ret, struct err **err)
{
        const char *text = args_value(args, name);
        long number;
        if (!text)
                return 0;
        if (str_to_long(text, &number) < 0 || number < low || number > high)
                return err_set(err, ERR_USAGE, "%s%soption '--%s' wants a whole number from %ld to %ld, not '%.60s'",
                        WHO(args), name, low, high, text);
        *ret = number;
        return 0;
}
