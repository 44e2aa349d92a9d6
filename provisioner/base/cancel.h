/* A flag that stops work: raised from a signal handler or another thread, waited for with poll. */
#ifndef CAAS_BASE_CANCEL_H
#define CAAS_BASE_CANCEL_H

#include <stdbool.h>

#include "base/err.h"

struct cancel;

struct cancel *cancel_new(void);
struct cancel *cancel_free(struct cancel *cancel);

/* Async-signal-safe and thread-safe. The second time means "at once". */
void cancel_raise(struct cancel *cancel);

/* 0, 1 (finish what runs, start nothing new) or 2 and more (at once). NULL is never cancelled. Thread-safe. */
int cancel_level(const struct cancel *cancel);

/* Readable once raised; -1 for NULL. */
int cancel_fd(const struct cancel *cancel);

/* -ERR_CANCELLED with a message when raised at least `level` times, otherwise 0. */
int cancel_check(const struct cancel *cancel, int level, struct err **err);

#endif
