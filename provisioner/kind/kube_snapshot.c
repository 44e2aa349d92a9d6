#include "kind/kube_snapshot.h"

#include <pthread.h>

#include "base/mem.h"
#include "base/str.h"
#include "kind/kind.h"
#include "kind/kube_manifest.h"

/* A new connection costs both sides more than several requests over one that is there. */
#define LISTS_AT_ONCE 2

struct group {
        char *name; /* "apps/v1 Deployment pangeo" */
        bool loaded;
        json_t *objects; /* by name */
        struct group *next;
};

struct kube_snapshot {
        char *labels;
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        unsigned loading;
        struct err *away;            /* the server could not be asked: said for all, it is not tried again and again */
        struct group *first;         /* others hold on to one while it is loaded: so none moves */
        pthread_mutex_t space_mutex; /* of what follows */
        json_t *spaces;              /* by name: is the namespace missing? */
};

struct kube_snapshot *kube_snapshot_new(const char *cluster)
{
        struct kube_snapshot *snapshot = mem_zero(sizeof *snapshot);
        snapshot->labels = str_format("%s=%s,%s=%s", KUBE_LABEL_MANAGER, KUBE_MANAGED_BY, KUBE_LABEL_CLUSTER, cluster);
        pthread_mutex_init(&snapshot->mutex, NULL);
        pthread_cond_init(&snapshot->changed, NULL);
        pthread_mutex_init(&snapshot->space_mutex, NULL);
        snapshot->spaces = json_object();
        return snapshot;
}

struct kube_snapshot *kube_snapshot_free(struct kube_snapshot *snapshot)
{
        if (!snapshot)
                return NULL;
        for (struct group *group = snapshot->first, *next; group; group = next) {
                next = group->next;
                kind_forget(group->objects);
                free(group->name);
                free(group);
        }
        err_free(snapshot->away);
        free(snapshot->labels);
        json_decref(snapshot->spaces);
        pthread_mutex_destroy(&snapshot->space_mutex);
        pthread_mutex_destroy(&snapshot->mutex);
        pthread_cond_destroy(&snapshot->changed);
        free(snapshot);
        return NULL;
}

static int each(void *data, const json_t *object)
{
        json_t *objects = data, *metadata = json_object_get(object, "metadata");
        const char *name = json_string_value(json_object_get(metadata, "name"));
        if (!name)
                return 0;
        json_object_del(
                metadata, "managedFields"); /* who wrote which field is half of an object, and not asked of ours */
        json_object_set(objects, name, (json_t *)object);
        return 0;
}

/* The group of the name; *ret_new: it was not there, and is ours to load. With the mutex held. */
static struct group *find(struct kube_snapshot *snapshot, const char *name, bool *ret_new)
{
        *ret_new = false;
        for (struct group *group = snapshot->first; group; group = group->next)
                if (str_is(group->name, name))
                        return group;
        struct group *group = mem_zero(sizeof *group);
        group->name = str_copy(name);
        group->next = snapshot->first;
        snapshot->first = group;
        *ret_new = true;
        return group;
}

bool kube_snapshot_lacks(struct kube_snapshot *snapshot, struct kube *kube, const char *space)
{
        pthread_mutex_lock(&snapshot->space_mutex);
        const json_t *known = json_object_get(snapshot->spaces, space);
        if (!known) {
                const struct kube_ref ref = {"v1", "Namespace", NULL, space};
                json_auto_t *live = NULL;
                json_object_set_new(
                        snapshot->spaces, space, json_boolean(kube_get(kube, &ref, &live, NULL) == -ERR_NOT_FOUND));
                known = json_object_get(snapshot->spaces, space);
        }
        bool missing = json_is_true(known);
        pthread_mutex_unlock(&snapshot->space_mutex);
        return missing;
}

static bool is_missing(struct kube_snapshot *snapshot, const char *space)
{
        pthread_mutex_lock(&snapshot->space_mutex);
        bool missing = space && json_is_true(json_object_get(snapshot->spaces, space));
        pthread_mutex_unlock(&snapshot->space_mutex);
        return missing;
}

json_t *kube_snapshot_spaces(struct kube_snapshot *snapshot)
{
        pthread_mutex_lock(&snapshot->space_mutex);
        json_t *spaces = json_deep_copy(snapshot->spaces);
        pthread_mutex_unlock(&snapshot->space_mutex);
        return spaces;
}

/* With the mutex held; it is let go meanwhile. */
static void load(struct kube_snapshot *snapshot, struct kube *kube, const struct kube_ref *ref, struct group *group)
{
        bool away = snapshot->away != NULL;
        snapshot->loading++;
        pthread_mutex_unlock(&snapshot->mutex);
        json_t *objects = json_object();
        struct kube_list list = {.api_version = ref->api_version,
                .kind = ref->kind,
                .namespace = ref->namespace,
                .labels = snapshot->labels};
        CLEANUP_ERR struct err *fault = NULL;
        if (!away) /* may we not list, each is asked for by itself */
                kube_list(kube, &list, each, objects, NULL, &fault);
        pthread_mutex_lock(&snapshot->mutex);
        if (fault && !snapshot->away && (fault->code == ERR_UNREACHABLE || fault->code == ERR_TIMEOUT))
                snapshot->away = STEAL(fault);
        group->objects = objects;
        group->loaded = true;
        snapshot->loading--;
        pthread_cond_broadcast(&snapshot->changed);
}

const char *kube_snapshot_space(const struct kube_ref *ref)
{
        return str_is(ref->kind, "Namespace") && str_is(ref->api_version, "v1") ? ref->name : ref->namespace;
}

int kube_snapshot_get(
        struct kube_snapshot *snapshot, struct kube *kube, const struct kube_ref *ref, json_t **ret, struct err **err)
{
        const char *space = kube_snapshot_space(ref);
        if (is_missing(snapshot, space))
                return err_set(err, ERR_NOT_FOUND, "there is no namespace %s", space);
        CLEANUP_FREE char *name =
                str_format("%s %s %s", ref->api_version, ref->kind, ref->namespace ? ref->namespace : "");
        bool ours;
        pthread_mutex_lock(&snapshot->mutex);
        struct group *group = find(snapshot, name, &ours);
        while (ours ? snapshot->loading >= LISTS_AT_ONCE : !group->loaded)
                pthread_cond_wait(&snapshot->changed, &snapshot->mutex);
        if (ours)
                load(snapshot, kube, ref, group);
        json_t *found = json_incref(json_object_get(group->objects, ref->name));
        int r = 0;
        if (found)
                json_object_del(group->objects, ref->name);
        else if (snapshot->away)
                r = err_set(err, snapshot->away->code, "%s", snapshot->away->message);
        pthread_mutex_unlock(&snapshot->mutex);
        if (found)
                *ret = found;
        if (found || r < 0)
                return r;
        if (ref->namespace && kube_snapshot_lacks(snapshot, kube, ref->namespace))
                return err_set(err, ERR_NOT_FOUND, "there is no namespace %s", ref->namespace);
        return kube_get(kube, ref, ret, err);
}
