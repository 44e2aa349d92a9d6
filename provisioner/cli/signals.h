/* SIGINT, SIGTERM and SIGHUP as a cancel flag. The only global of the program: a handler has nothing else to hold on
 * to. */
#ifndef CAAS_CLI_SIGNALS_H
#define CAAS_CLI_SIGNALS_H

#include <stdbool.h>

#include "base/cancel.h"

/* For every command, at the very beginning: a server that closes a connection does not end the program. */
void signals_pipe(void);

/* From here on the first signal raises the flag and says so on standard error (unless a display does, see below), the
 * second raises it again ("at once"), the third ends the process.
 * A reader of our output that went away no longer ends the program. The flag belongs to the program and is never freed.
 * Call it once. */
struct cancel *signals_install(void);

/* The same for work that is given up at the first signal, after which only cleaning up is left. */
struct cancel *signals_install_at_once(void);

/* A live display shows the state itself. */
void signals_silent(bool silent);

#endif
