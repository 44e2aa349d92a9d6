/* Fixture folders: tests/cases/<layer>/<case>/ with input.yaml and either output.json or error, each case a test of its
 * own. Run from the repository's root (or give CASES_DIR); UPDATE=1 rewrites what is expected. */
#ifndef CAAS_TESTS_CASES_H
#define CAAS_TESTS_CASES_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "tree/tree.h"

#define CASES_MAX 1000

/* What a case yields: exactly one of the two, to be freed. `folder` holds more files of the case, if it has any. */
struct case_result {
        char *output, *error;
};
typedef struct case_result (*case_run)(const char *folder, const char *text, size_t length);

static case_run cases_run;

/* Findings as lines "line:column: message", sorted as they came out of diags_sort. */
static inline char *cases_findings(struct diags *diags)
{
        CLEANUP_BUF struct buf buf = BUF_INIT(1024 * 1024);
        for (size_t i = 0; i < diags->count; i++)
                buf_format(&buf, "%d:%d: %s\n", diags->item[i].line, diags->item[i].column, diags->item[i].message);
        return buf_steal(&buf);
}

static inline void cases_expect(const char *folder, const char *name, const char *actual)
{
        CLEANUP_FREE char *path = file_join(folder, name);
        CLEANUP_FREE char *expected = NULL;
        if (getenv("UPDATE")) {
                if (actual)
                        assert_int_equal(
                                file_write_atomic(path, actual, strlen(actual), 0644, (uid_t)-1, (gid_t)-1, NULL), 0);
                else
                        assert_int_equal(file_remove(path, NULL), 0);
                return;
        }
        file_read(path, 4 * 1024 * 1024, &expected, NULL, NULL);
        if (!str_is(expected ? expected : "(no file)", actual ? actual : "(no file)"))
                fail_msg("%s\n--- expected\n%s\n--- actual\n%s", path, expected ? expected : "(no file)",
                        actual ? actual : "(no file)");
}

static inline void cases_test(void **state)
{
        const char *folder = *state;
        CLEANUP_FREE char *path = file_join(folder, "input.yaml");
        CLEANUP_FREE char *text = NULL;
        size_t length = 0;
        if (file_read(path, 4 * 1024 * 1024, &text, &length, NULL) < 0)
                fail_msg("%s: cannot be read", path);
        /* exactly as long as it is, so that the sanitizers see a read beyond its end */
        char *exact = malloc(length ? length : 1);
        memcpy(exact, text, length);
        struct case_result result = cases_run(folder, exact, length);
        free(exact);
        assert_true((result.output == NULL) != (result.error == NULL));
        cases_expect(folder, "output.json", result.output);
        cases_expect(folder, "error", result.error);
        free(result.output);
        free(result.error);
}

static inline int cases_by_name(const struct dirent **a, const struct dirent **b)
{
        return strcmp((*a)->d_name, (*b)->d_name);
}

/* All cases of a layer, at least `least` of them. For main(). */
static inline int cases_main(const char *layer, size_t least, case_run run)
{
        struct CMUnitTest tests[CASES_MAX] = {0};
        struct dirent **entries = NULL;
        const char *base = getenv("CASES_DIR");
        char *folder = file_join(base ? base : "tests/cases", layer);
        size_t count = 0;
        int n = scandir(folder, &entries, NULL, cases_by_name);
        cases_run = run;
        for (int i = 0; i < n; i++) {
                if (entries[i]->d_name[0] != '.' && count < CASES_MAX)
                        tests[count++] = (struct CMUnitTest){.name = entries[i]->d_name,
                                .test_func = cases_test,
                                .initial_state = file_join(folder, entries[i]->d_name)};
        }
        int failed = 1;
        if (count < least)
                fprintf(stderr, "%s: %zu cases, but there are at least %zu: is this the repository's root?\n", folder,
                        count, least);
        else
                failed = _cmocka_run_group_tests(layer, tests, count, NULL, NULL);
        for (size_t i = 0; i < count; i++)
                free(tests[i].initial_state);
        for (int i = 0; i < n; i++)
                free(entries[i]);
        free(entries);
        free(folder);
        return failed;
}

#endif
