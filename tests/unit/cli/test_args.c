/* The command line: what is taken from it, and what is said about what cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "cli/args.h"

struct parsed {
        struct args args;
        struct err *err;
        int result;
};

static void parse(struct parsed *p, const char *const *words)
{
        int argc = 0;
        while (words[argc])
                argc++;
        *p = (struct parsed){0};
        p->result = args_parse(command_table, argc, (char **)words, &p->args, &p->err);
}
#define PARSE(p, ...) parse(p, (const char *const[]){"caas", __VA_ARGS__, NULL})

static void done(struct parsed *p)
{
        args_clear(&p->args);
        err_free(p->err);
}

static void good(struct parsed *p, const char *command)
{
        if (p->result < 0)
                fail_msg("refused: %s", p->err->message);
        assert_string_equal(p->args.command->name, command);
}

static void test_options_anywhere(void **state)
{
        (void)state;
        struct parsed p;
        PARSE(&p, "--state", "/s", "apply", "-y", "form.yaml", "--json");
        good(&p, "apply");
        assert_string_equal(args_value(&p.args, "state"), "/s");
        assert_true(args_has(&p.args, "yes"));
        assert_true(args_has(&p.args, "json"));
        assert_false(args_has(&p.args, "wait"));
        assert_int_equal(p.args.count, 1);
        assert_string_equal(p.args.operand[0], "form.yaml");
        done(&p);

        PARSE(&p, "plan", "--state=/t", "--", "--odd-name.yaml");
        good(&p, "plan");
        assert_string_equal(args_value(&p.args, "state"), "/t");
        assert_string_equal(p.args.operand[0], "--odd-name.yaml");
        done(&p);
}

static void test_two_word_commands(void **state)
{
        (void)state;
        struct parsed p;
        PARSE(&p, "user", "add", "lab", "alice", "--full-name", "Alice A.");
        good(&p, "user add");
        assert_int_equal(p.args.count, 2);
        assert_string_equal(args_value(&p.args, "full-name"), "Alice A.");
        done(&p);
        PARSE(&p, "user", "--state", "/s", "passwd", "lab", "alice");
        good(&p, "user passwd");
        done(&p);
}

static void test_short_options(void **state)
{
        (void)state;
        struct parsed p;
        long n = 7;
        PARSE(&p, "logs", "lab", "-fn20", "hub");
        good(&p, "logs");
        assert_true(args_has(&p.args, "follow"));
        assert_int_equal(args_number(&p.args, "lines", 1, 100, &n, NULL), 0);
        assert_int_equal(n, 20);
        assert_int_equal(p.args.count, 2);
        done(&p);
        PARSE(&p, "logs", "lab", "-n", "3");
        good(&p, "logs");
        assert_int_equal(args_number(&p.args, "lines", 1, 100, &n, NULL), 0);
        assert_int_equal(n, 3);
        done(&p);
}

static void test_optional_value(void **state)
{
        (void)state;
        struct parsed p;
        PARSE(&p, "list", "--trace");
        good(&p, "list");
        assert_true(args_has(&p.args, "trace"));
        assert_null(args_value(&p.args, "trace"));
        done(&p);
        PARSE(&p, "--trace=all,-ldap", "list");
        good(&p, "list");
        assert_string_equal(args_value(&p.args, "trace"), "all,-ldap");
        done(&p);
}

static void test_last_one_wins_and_numbers(void **state)
{
        (void)state;
        struct parsed p;
        long n = 5;
        PARSE(&p, "logs", "lab", "-n", "1", "--lines=2");
        good(&p, "logs");
        assert_int_equal(args_number(&p.args, "lines", 1, 100, &n, NULL), 0);
        assert_int_equal(n, 2);
        done(&p);
        PARSE(&p, "logs", "lab", "-n", "0");
        good(&p, "logs");
        struct err *err = NULL;
        n = 5;
        assert_int_equal(args_number(&p.args, "lines", 1, 100, &n, &err), -ERR_USAGE);
        assert_string_equal(err->message, "logs: option '--lines' wants a whole number from 1 to 100, not '0'");
        assert_int_equal(n, 5);
        err_free(err);
        done(&p);
        n = 5; /* not given: the default stays */
        PARSE(&p, "logs", "lab");
        assert_int_equal(args_number(&p.args, "lines", 1, 100, &n, NULL), 0);
        assert_int_equal(n, 5);
        done(&p);
}

static void test_help_needs_no_operands(void **state)
{
        (void)state;
        struct parsed p;
        PARSE(&p, "apply", "--help");
        good(&p, "apply");
        done(&p);
        PARSE(&p, "-h");
        assert_int_equal(p.result, 0);
        assert_null(p.args.command);
        done(&p);
        PARSE(&p, "--version");
        good(&p, "version");
        done(&p);
}

static void test_what_is_wrong_is_said(void **state)
{
        (void)state;
        static const struct {
                const char *words[6];
                const char *message;
        } cases[] = {
                {{"caas", "aply", "x"}, "there is no command 'aply'; did you mean 'apply'?"},
                {{"caas", "frobnicate"}, "there is no command 'frobnicate'; 'caas help' lists what there is"},
                {{"caas", "user"}, "after 'user' comes one of: add, passwd, remove"},
                {{"caas", "user", "ad"}, "there is no command 'user ad'; did you mean 'user add'?"},
                {{"caas", "user", "zap"},
                        "there is no command 'user zap'; after 'user' comes one of: add, passwd, remove"},
                {{"caas", "apply"}, "apply: something is missing: caas apply FORM"},
                {{"caas", "apply", "a", "b"}, "apply: 'b' is one too many: caas apply FORM"},
                {{"caas", "list", "a"}, "list: 'a' is one too many: caas list"},
                {{"caas", "apply", "a", "--yess"}, "apply: there is no option '--yess'; did you mean '--yes'?"},
                {{"caas", "apply", "a", "--quickly"},
                        "apply: there is no option '--quickly'; 'caas help apply' lists them"},
                {{"caas", "--quickly"}, "there is no option '--quickly'; 'caas help' lists them"},
                {{"caas", "apply", "a", "-x"}, "apply: there is no option '-x'; 'caas help apply' lists them"},
                {{"caas", "apply", "a", "--yes=1"}, "apply: option '--yes' takes no value"},
                {{"caas", "list", "--state"}, "list: option '--state' needs a value (DIR)"},
                {{"caas", "logs", "lab", "-n"}, "logs: option '-n' needs a value (N)"},
                {{"caas", "completion", "bash", "--json"}, "completion: has no --json"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct parsed p;
                parse(&p, cases[i].words);
                assert_int_equal(p.result, -ERR_USAGE);
                assert_string_equal(p.err->message, cases[i].message);
                done(&p);
        }
}

static void test_hostile_words(void **state)
{
        (void)state;
        char *word = str_format("--%0*d", 100000, 7); /* a message must not grow with what was typed */
        struct parsed p;
        PARSE(&p, "list", word);
        assert_int_equal(p.result, -ERR_USAGE);
        assert_true(strlen(p.err->message) < 200);
        done(&p);
        PARSE(&p, word + 2);
        assert_int_equal(p.result, -ERR_USAGE);
        assert_true(strlen(p.err->message) < 200);
        done(&p);
        free(word);
        PARSE(&p, "list", "-");
        assert_int_equal(p.result, -ERR_USAGE); /* "-" is an operand, and one too many */
        done(&p);
        PARSE(&p, "");
        assert_int_equal(p.result, -ERR_USAGE);
        done(&p);
}

/* The table itself: names apart, operands and their text in step, every option with a summary. */
static void test_table(void **state)
{
        (void)state;
        for (size_t i = 0; command_table[i]; i++) {
                const struct command *c = command_table[i];
                assert_non_null(c->run);
                assert_non_null(c->summary);
                assert_false(str_ends(c->summary, "."));
                assert_true(c->max < 0 || c->min <= c->max);
                assert_int_equal(*c->args == '\0', c->max == 0);
                assert_int_equal(strstr(c->args, "...") != NULL, c->max < 0);
                for (const struct option *o = c->options; o && o->name; o++) {
                        assert_non_null(o->summary);
                        for (const struct option *g = global_options; g->name; g++)
                                assert_string_not_equal(o->name, g->name);
                }
                for (size_t k = 0; k < i; k++)
                        assert_string_not_equal(c->name, command_table[k]->name);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_options_anywhere),
                cmocka_unit_test(test_two_word_commands),
                cmocka_unit_test(test_short_options),
                cmocka_unit_test(test_optional_value),
                cmocka_unit_test(test_last_one_wins_and_numbers),
                cmocka_unit_test(test_help_needs_no_operands),
                cmocka_unit_test(test_what_is_wrong_is_said),
                cmocka_unit_test(test_hostile_words),
                cmocka_unit_test(test_table),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
