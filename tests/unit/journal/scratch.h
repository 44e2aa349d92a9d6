/* A temporary state folder for a test. */
#ifndef CAAS_TEST_SCRATCH_H
#define CAAS_TEST_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "journal/journal.h"

static inline int scratch_setup(void **state)
{
        const char *tmp = getenv("TMPDIR");
        char *path = str_format("%s/caas-journal-XXXXXX", tmp && *tmp ? tmp : "/tmp");
        *state = path;
        return mkdtemp(path) ? 0 : -1;
}

static inline int scratch_teardown(void **state)
{
        struct err *err = NULL;
        int r = file_remove_tree(*state, &err);
        err_free(err);
        free(*state);
        return r;
}

#define scratch_test(function) cmocka_unit_test_setup_teardown(function, scratch_setup, scratch_teardown)

/* Fails the test with the error's text. */
#define assert_done(call)                                                                                              \
        do {                                                                                                           \
                struct err *e_ = NULL, **err = &e_;                                                                    \
                if ((call) < 0) {                                                                                      \
                        char *t_ = err_text(e_);                                                                       \
                        print_error("%s\n", t_);                                                                       \
                        free(t_);                                                                                      \
                        err_free(e_);                                                                                  \
                        fail();                                                                                        \
                }                                                                                                      \
                assert_null(e_);                                                                                       \
        } while (0)

/* The call fails with this code, and its message holds the text. */
#define assert_error(call, wanted, part)                                                                               \
        do {                                                                                                           \
                struct err *e_ = NULL, **err = &e_;                                                                    \
                int r_ = (call);                                                                                       \
                assert_int_equal(r_, -(wanted));                                                                       \
                assert_non_null(e_);                                                                                   \
                assert_int_equal(e_->code, wanted);                                                                    \
                if (!strstr(e_->message, part)) {                                                                      \
                        print_error("message: %s\n", e_->message);                                                     \
                        fail();                                                                                        \
                }                                                                                                      \
                assert_null(strchr(e_->message, '\n'));                                                                \
                err_free(e_);                                                                                          \
        } while (0)

static inline struct journal *open_journal(const char *path)
{
        struct journal *journal = NULL;
        assert_done(journal_open(path, true, &journal, err));
        return journal;
}

static inline void write_text(const char *folder, const char *name, const char *text)
{
        char *path = file_join(folder, name);
        assert_done(file_write_atomic(path, text, strlen(text), 0644, (uid_t)-1, (gid_t)-1, err));
        free(path);
}

#endif
