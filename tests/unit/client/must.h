/* Calls of ours that have to succeed, or to be refused with these words; the call names its last argument err. */
#ifndef CAAS_TESTS_MUST_H
#define CAAS_TESTS_MUST_H

#include <string.h>

#include "base/err.h"

static inline void must(int r, struct err *err)
{
        if (r < 0)
                fail_msg("%s", err ? err->message : "no message");
}
#define MUST(call)                                                                                                     \
        do {                                                                                                           \
                struct err *e_ = NULL;                                                                                 \
                struct err **err = &e_;                                                                                \
                int r_ = (call);                                                                                       \
                must(r_, e_);                                                                                          \
        } while (0)

static inline void expect(int r, enum err_code code, struct err *err, const char *words)
{
        assert_int_equal(r, -(int)code);
        assert_non_null(err);
        if (!strstr(err->message, words))
                fail_msg("\"%s\" is not in \"%s\"", words, err->message);
        err_free(err);
}
#define REFUSED(call, code, words)                                                                                     \
        do {                                                                                                           \
                struct err *e_ = NULL;                                                                                 \
                struct err **err = &e_;                                                                                \
                int r_ = (call);                                                                                       \
                expect(r_, code, e_, words);                                                                           \
        } while (0)

#endif
