/* What differs between a live object and what ours would make of it. Pure. */
#ifndef CAAS_KIND_KUBE_DIFF_H
#define CAAS_KIND_KUBE_DIFF_H

#include <jansson.h>
#include <stdbool.h>

/* Does the live object hold all that ours says, word for word? False also where only the server can tell (an amount
 * written another way, a value it leaves out): then its dry run is asked. */
bool kube_covers(const json_t *live, const json_t *ours);

/* {"path", "old", "new"} for each field in which two answers of the server differ, but for what the server keeps for
 * itself (status, generation, managers …). Items of lists go by their names. Values of Secrets, and every text that
 * holds one of `hidden`, are "(secret)". New reference. */
json_t *kube_diff(const json_t *live, const json_t *would, const json_t *hidden);

/* The same fields seen from the other side: how it was left, and how it was found ("drift": true). New reference. */
json_t *kube_diff_turned(const json_t *fields);

/* Is everybody whom the server's message about a conflict names a tool that people work with by hand (kubectl and the
 * like)? */
bool kube_conflict_by_hand(const char *message);

/* Does the server's message say that a field cannot be changed? */
bool kube_is_immutable(const char *message);

/* Does the definition that is there serve all versions of ours, with the same schema? */
bool kube_definition_fits(const json_t *fields);

#endif
