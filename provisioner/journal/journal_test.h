/* Fault injection for tests: makes the journal behave as if the process had been killed at its n-th write. */
#ifndef CAAS_JOURNAL_JOURNAL_TEST_H
#define CAAS_JOURNAL_JOURNAL_TEST_H

#ifndef CAAS_JOURNAL_TEST_ALLOWED
#error "journal_test.h is for tests: define CAAS_JOURNAL_TEST_ALLOWED before including it"
#endif

#include <stdbool.h>
#include <stdint.h>

#include "journal/journal.h"

/* Write transactions begun so far: run once without a fault to learn how many boundaries there are. */
int64_t journal_test_writes(struct journal *journal);

/* The countdown-th write transaction from now (1 = the next) fails: before its commit (nothing of it is kept) or after
 * it (it is kept, but the caller is not told). From then on every call fails with -ERR_CANCELLED; close the journal and
 * open it again, as the next process would. 0 takes a countdown back. */
void journal_test_kill(struct journal *journal, int64_t countdown, bool after_commit);

#endif
