#include "exporter/note.h"

#include <stddef.h>
#include <stdio.h>

void note_change(const char *what, bool was_well, const char *problem)
{
        if (was_well != (problem == NULL))
                fprintf(stderr, "caas-exporter: %s: %s\n", what, problem ? problem : "well again");
}
