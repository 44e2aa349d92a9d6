#include "kind/kube_diff.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/kube/amount.h"
#include "tree/diff.h"

#define HIDDEN "(secret)"

/* ---- covering ---- */

/* Below these keys stand amounts, which the server writes its own way. */
static bool holds_amounts(const char *key)
{
        static const char *const keys[] = {"resources", "hard", "capacity", "limits", "requests"};
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
                if (str_is(key, keys[i]))
                        return true;
        return false;
}

/* What the server leaves out, and means the same by it. An empty selector of peers, for one, is not none. */
static bool is_left_out(const char *key, const json_t *value)
{
        static const char *const maps[] = {"nodeSelector", "labels", "annotations", "data"};
        if (json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0))
                return true;
        for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
                if (str_is(key, maps[i]))
                        return json_is_object(value) && json_object_size(value) == 0;
        return false;
}

static bool covers(const json_t *live, const json_t *ours, bool amounts)
{
        const char *key;
        json_t *value;
        size_t i;
        if (json_is_object(ours)) {
                if (!json_is_object(live))
                        return false;
                json_object_foreach ((json_t *)ours, key, value) {
                        const json_t *there = json_object_get(live, key);
                        if (!there && is_left_out(key, value))
                                continue;
                        if (!there || !covers(there, value, amounts || holds_amounts(key)))
                                return false;
                }
                return true;
        }
        if (json_is_array(ours)) {
                if (!json_is_array(live) || json_array_size(live) != json_array_size(ours))
                        return false;
                json_array_foreach ((json_t *)ours, i, value)
                        if (!covers(json_array_get(live, i), value, amounts))
                                return false;
                return true;
        }
        if (json_equal(live, ours))
                return true;
        double a = amounts ? kube_amount(live) : NAN, b = amounts ? kube_amount(ours) : NAN;
        return !isnan(a) && !isnan(b) && fabs(a - b) <= 1e-9 * fabs(a);
}

bool kube_covers(const json_t *live, const json_t *ours)
{
        return covers(live, ours, false);
}

/* ---- differences ---- */

/* A list whose items all have names of their own is shown by them. */
static bool by_names(const json_t *list)
{
        size_t i;
        const json_t *item;
        json_auto_t *seen = json_object();
        json_array_foreach (list, i, item) {
                const char *name = json_string_value(json_object_get(item, "name"));
                if (!name || json_object_get(seen, name))
                        return false;
                json_object_set_new(seen, name, json_true());
        }
        return json_array_size(list) > 0;
}

static json_t *simplified(const json_t *value)
{
        const char *key;
        json_t *item, *copy;
        size_t i;
        if (json_is_object(value)) {
                copy = json_object();
                json_object_foreach ((json_t *)value, key, item)
                        json_object_set_new(copy, key, simplified(item));
                return copy;
        }
        if (!json_is_array(value))
                return json_incref((json_t *)value);
        bool named = by_names(value);
        copy = named ? json_object() : json_array();
        json_array_foreach ((json_t *)value, i, item) {
                json_t *new_ = simplified(item);
                if (named)
                        json_object_set_new(copy, json_string_value(json_object_get(item, "name")), new_);
                else
                        json_array_append_new(copy, new_);
        }
        return copy;
}

/* What the server keeps for itself goes. */
static json_t *stripped(const json_t *object)
{
        static const char *const own[] = {"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid",
                "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"};
        json_t *copy = simplified(object);
        json_object_del(copy, "status");
        json_t *metadata = json_object_get(copy, "metadata");
        for (size_t i = 0; i < sizeof own / sizeof *own; i++)
                json_object_del(metadata, own[i]);
        return copy;
}

static bool holds_hidden(const json_t *value, const json_t *hidden)
{
        const char *key, *text = json_string_value(value);
        json_t *item;
        size_t i;
        if (text) {
                json_array_foreach (hidden, i, item)
                        if (strstr(text, json_string_value(item)))
                                return true;
                return false;
        }
        json_array_foreach (value, i, item)
                if (holds_hidden(item, hidden))
                        return true;
        json_object_foreach ((json_t *)value, key, item)
                if (holds_hidden(item, hidden))
                        return true;
        return false;
}

static void hide(json_t *field, bool all, const json_t *hidden)
{
        static const char *const sides[] = {"old", "new"};
        bool found = all;
        for (size_t i = 0; i < 2; i++)
                found |= holds_hidden(json_object_get(field, sides[i]), hidden);
        for (size_t i = 0; i < 2 && found; i++)
                if (json_object_get(field, sides[i]))
                        json_object_set_new(field, sides[i], json_string(HIDDEN));
}

json_t *kube_diff(const json_t *live, const json_t *would, const json_t *hidden)
{
        json_auto_t *a = stripped(live), *b = stripped(would);
        json_t *fields = diff_trees(a, b), *field;
        bool secret = str_is(json_string_value(json_object_get(would, "kind")), "Secret");
        size_t i;
        json_array_foreach (fields, i, field) {
                const char *path = json_string_value(json_object_get(field, "path"));
                hide(field, secret && (str_starts(path, "data") || str_starts(path, "stringData")), hidden);
        }
        return fields;
}

json_t *kube_diff_turned(const json_t *fields)
{
        json_t *turned = json_array(), *entry;
        size_t i;
        const json_t *field;
        json_array_foreach (fields, i, field) {
                entry = json_object();
                json_object_set(entry, "path", json_object_get(field, "path"));
                if (json_object_get(field, "new"))
                        json_object_set(entry, "old", json_object_get(field, "new"));
                if (json_object_get(field, "old"))
                        json_object_set(entry, "new", json_object_get(field, "old"));
                json_object_set_new(entry, "drift", json_true());
                json_array_append_new(turned, entry);
        }
        return turned;
}

/* ---- the server's messages ---- */

static bool is_by_hand(const char *manager)
{
        static const char *const tools[] = {
                "kubectl", "k9s", "Lens", "lens", "freelens", "OpenLens", "Mozilla", "dashboard", "headlamp", "octant"};
        for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
                if (str_starts(manager, tools[i]))
                        return true;
        return false;
}

/* The client says: "kubectl" owns .spec.replicas, .spec.paused; "helm" owns .metadata.labels */
bool kube_conflict_by_hand(const char *message)
{
        static const char owns[] = "\" owns ";
        size_t found = 0;
        for (const char *end = message; end && (end = strstr(end, owns)); end += strlen(owns)) {
                const char *begin = end;
                while (begin > message && begin[-1] != '"')
                        begin--;
                CLEANUP_FREE char *manager = str_copy_n(begin, (size_t)(end - begin));
                if (!is_by_hand(manager))
                        return false;
                found++;
        }
        return found > 0;
}

bool kube_is_immutable(const char *message)
{
        static const char *const says[] = {"field is immutable", "is immutable after", "cannot change roleRef",
                "updates to statefulset spec for fields other than", "updates to provisioner are forbidden",
                "updates to parameters are forbidden", "may not be changed once set", "when `immutable` is set",
                "may not change once set", "is forbidden after creation", "updates to reclaimPolicy are forbidden",
                "volumeBindingMode: field is immutable", "primary clusterIP can not be unset"};
        for (size_t i = 0; i < sizeof says / sizeof *says; i++)
                if (message && strstr(message, says[i]))
                        return true;
        return false;
}

bool kube_definition_fits(const json_t *fields)
{
        size_t i;
        const json_t *field;
        json_array_foreach (fields, i, field) {
                /* What it has beside ours (a further version, a short name) does no harm, and its marks are its own. */
                bool about = str_starts(json_string_value(json_object_get(field, "path")), "spec");
                if (about && json_object_get(field, "new"))
                        return false;
        }
        return true;
}
