/* What the log is told: that something is wrong, once, and that it is well again, once. */
#ifndef CAAS_EXPORTER_NOTE_H
#define CAAS_EXPORTER_NOTE_H

#include <stdbool.h>

/* was_well: before now. problem: what is wrong now, one line; NULL = nothing. Thread-safe. */
void note_change(const char *what, bool was_well, const char *problem);

#endif
