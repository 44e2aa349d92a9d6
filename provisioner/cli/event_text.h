/* An event of the engine as a line for people. */
#ifndef CAAS_CLI_EVENT_TEXT_H
#define CAAS_CLI_EVENT_TEXT_H

#include <stdbool.h>

#include "engine/event.h"

/* "[12/58] hub/service: created (2.3 s)", without newline, safe for a terminal; further lines of a failure are
 * indented. NULL for events that are no line of their own (phases, beginnings, progress). The caller frees. */
char *event_text(const struct event *event, bool color);

/* "looking at what is there" for a phase. */
const char *event_phase_text(const char *phase);

/* "creating" for "create". */
const char *event_doing(const char *action);

#endif
