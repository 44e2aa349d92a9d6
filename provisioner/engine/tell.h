/* Tells of steps that ended, once their outcomes are on the disk. The threads that carry steps out go on meanwhile;
 * what they write next comes after those outcomes in the journal, so it is never there without them. */
#ifndef CAAS_ENGINE_TELL_H
#define CAAS_ENGINE_TELL_H

#include "engine/private.h"

struct teller;

/* lost: called when an outcome could not be put onto the disk, from any thread. */
struct teller *teller_new(
        struct engine *engine, void (*lost)(void *data, size_t step, const struct err *why), void *data);

/* Thread-safe. event: what to say, its strings are copied but for id, kind and action. kept: a further event's text, or
 * NULL. */
void teller_add(struct teller *teller, size_t step, const struct event *event, const char *kept);

/* Everything is told when it returns. */
struct teller *teller_end(struct teller *teller);

#endif
