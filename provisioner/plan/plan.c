#include "plan/plan.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "plan/fill.h"
#include "plan/graph.h"
#include "tree/diff.h"
#include "tree/subst.h"

void plan_clear(struct plan *plan)
{
        for (size_t i = 0; i < plan->count; i++) {
                resource_clear(&plan->step[i].resource);
                change_clear(&plan->step[i].change);
                free(plan->step[i].after);
        }
        free(plan->step);
        *plan = (struct plan){0};
}

/* ---- ids to numbers ---- */

static void index_put(json_t *index, const char *id, size_t number)
{
        json_object_set_new(index, id, json_integer((json_int_t)number));
}

static bool index_get(const json_t *index, const char *id, size_t *ret)
{
        const json_t *number = json_object_get(index, id);
        if (!number)
                return false;
        *ret = (size_t)json_integer_value(number);
        return true;
}

/* ---- the graph of what is desired ---- */

struct edges {
        const json_t *index;
        size_t *item, count, capacity;
        size_t *mark; /* per node: 1 + the node that added it last; against double edges */
        size_t self;
        char *missing; /* an id that is not there */
};

static void add_edge(struct edges *edges, const char *id)
{
        size_t other;
        if (!index_get(edges->index, id, &other)) {
                if (!edges->missing)
                        edges->missing = str_copy(id);
                return;
        }
        if (edges->mark[other] == edges->self + 1)
                return;
        edges->mark[other] = edges->self + 1;
        MEM_GROW(edges->item, edges->count, edges->capacity);
        edges->item[edges->count++] = other;
}

static void add_edge_of_output(void *data, const char *id)
{
        add_edge(data, id);
}

static int needs_of(const struct resource *r, size_t self, const json_t *index, size_t *mark, struct graph_node *ret,
        struct err **err)
{
        struct edges edges = {.index = index, .mark = mark, .self = self};
        for (char **need = r->needs; need && *need; need++)
                add_edge(&edges, *need);
        int result = plan_fill_needs(r->spec, add_edge_of_output, &edges, err);
        if (result < 0)
                err_prefix(err, "%s", r->id);
        else if (edges.missing)
                result = err_set(err, ERR_INVALID, "%s needs %s, which does not exist", r->id, edges.missing);
        free(edges.missing);
        if (result < 0) {
                free(edges.item);
                return result;
        }
        *ret = (struct graph_node){r->id, edges.item, edges.count};
        return 0;
}

static void nodes_free(struct graph_node *nodes, size_t count)
{
        for (size_t i = 0; nodes && i < count; i++)
                free(nodes[i].needs);
        free(nodes);
}

static int graph_of(const struct resources *desired, json_t *index, struct graph_node *nodes, struct err **err)
{
        for (size_t i = 0; i < desired->count; i++) {
                size_t twice;
                if (index_get(index, desired->item[i].id, &twice))
                        return err_set(err, ERR_INVALID, "%s is there twice", desired->item[i].id);
                index_put(index, desired->item[i].id, i);
        }
        CLEANUP_FREE size_t *mark = mem_zero_array(desired->count, sizeof *mark);
        for (size_t i = 0; i < desired->count; i++) {
                int r = needs_of(&desired->item[i], i, index, mark, &nodes[i], err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- steps ---- */

static void count_change(struct plan *plan, const struct change *change)
{
        size_t *const counter[] = {[ACTION_CREATE] = &plan->create,
                [ACTION_UPDATE] = &plan->update,
                [ACTION_REPLACE] = &plan->replace,
                [ACTION_REMOVE] = &plan->remove,
                [ACTION_REFUSE] = &plan->refuse};
        if (change->action != ACTION_NONE)
                ++*counter[change->action];
        plan->drift += change->drift;
}

void plan_count(struct plan *plan)
{
        plan->create = plan->update = plan->replace = plan->remove = plan->refuse = plan->drift = 0;
        for (size_t i = 0; i < plan->count; i++)
                count_change(plan, &plan->step[i].change);
}

static char **copy_needs(char *const *needs)
{
        size_t n = 0;
        while (needs && needs[n])
                n++;
        char **copy = mem_zero_array(n + 1, sizeof *copy);
        for (size_t i = 0; i < n; i++)
                copy[i] = str_copy(needs[i]);
        return copy;
}

/* What differs, for people: the form's side first, then what somebody changed by hand. */
static json_t *fields_of(const struct plan_step *step)
{
        json_t *fields = diff_trees(step->recorded.spec, step->resource.spec);
        if (!step->recorded.complete || !step->recorded.state || !step->state)
                return fields;
        json_t *drift = diff_trees(step->recorded.state, step->state), *field;
        size_t i;
        json_array_foreach (drift, i, field)
                json_object_set_new(field, "drift", json_true());
        json_array_extend(fields, drift);
        json_decref(drift);
        return fields;
}

struct maker {
        const struct plan_known *known;
        json_t *known_index;
        json_t *outputs; /* of what stays as it is */
        plan_compare compare;
        void *data;
};

static int make_step(struct maker *m, const struct resource *r, struct plan_step *step, struct err **err)
{
        const struct plan_known *known = NULL;
        size_t number;
        if (index_get(m->known_index, r->id, &number))
                known = &m->known[number];
        int result = plan_fill(r->spec, m->outputs, &step->resource.spec, err);
        if (result < 0)
                return err_prefix(err, "%s", r->id);
        step->resource.id = str_copy(r->id);
        step->resource.kind = str_copy(r->kind);
        step->resource.needs = copy_needs(r->needs);
        if (known) {
                step->recorded = known->recorded;
                step->state = known->state;
        }
        const struct recorded *recorded = step->recorded.kind ? &step->recorded : NULL;
        if (known && known->unseen) { /* looked at again when its turn comes */
                step->change.action = recorded ? ACTION_UPDATE : ACTION_CREATE;
                step->change.reason = str_copy(known->unseen);
                return 0;
        }
        result = m->compare(m->data, &step->resource, recorded, step->state, &step->change, err);
        if (result < 0)
                return err_prefix(err, "%s", r->id);
        if ((step->change.action == ACTION_UPDATE || step->change.action == ACTION_REPLACE) && recorded &&
                !step->change.fields)
                step->change.fields = fields_of(step);
        if (step->change.action == ACTION_NONE && recorded)
                json_object_set_new(m->outputs, r->id,
                        step->recorded.outputs ? json_incref((json_t *)step->recorded.outputs) : json_object());
        return 0;
}

/* Removals of known[i] for i in which[]: in that order, but what needs others before them. */
static void add_removals(struct plan *plan, const struct plan_known *known, const size_t *which, size_t count)
{
        json_t *index = json_object();
        struct graph_node *nodes = mem_zero_array(count, sizeof *nodes);
        for (size_t i = 0; i < count; i++) {
                index_put(index, known[which[i]].id, i);
                nodes[i].id = known[which[i]].id;
        }
        size_t *capacity = mem_zero_array(count, sizeof *capacity);
        for (size_t i = 0; i < count; i++)
                for (char **need = known[which[i]].needs; need && *need; need++) {
                        size_t other;
                        if (!index_get(index, *need, &other) || other == i)
                                continue; /* stays, or was made by another release */
                        /* the other way round: the needed one waits for the one that needs it */
                        MEM_GROW(nodes[other].needs, nodes[other].count, capacity[other]);
                        nodes[other].needs[nodes[other].count++] = i;
                }
        size_t *order = mem_zero_array(count, sizeof *order), *place = mem_zero_array(count, sizeof *place);
        /* Rows of several releases may need each other in a circle: then the order in which they were made has to do.
         */
        bool sorted = graph_sort(nodes, count, order, NULL) == 0;
        for (size_t i = 0; !sorted && i < count; i++) {
                order[i] = i;
                nodes[i].count = 0;
        }
        size_t base = plan->count;
        for (size_t k = 0; k < count; k++)
                place[order[k]] = base + k;
        for (size_t k = 0; k < count; k++) {
                const struct plan_known *old = &known[which[order[k]]];
                struct plan_step *step = &plan->step[plan->count++];
                *step = (struct plan_step){.recorded = old->recorded, .state = old->state};
                step->resource = (struct resource){str_copy(old->id), str_copy(old->recorded.kind),
                        json_incref((json_t *)old->recorded.spec), copy_needs(old->needs)};
                step->change.action = ACTION_REMOVE;
                count_change(plan, &step->change);
                const struct graph_node *node = &nodes[order[k]];
                step->after = mem_zero_array(node->count, sizeof *step->after);
                step->after_count = node->count;
                for (size_t i = 0; i < node->count; i++)
                        step->after[i] = place[node->needs[i]];
        }
        json_decref(index);
        nodes_free(nodes, count);
        free(capacity);
        free(order);
        free(place);
}

static json_t *index_known(const struct plan_known *known, size_t count)
{
        json_t *index = json_object();
        for (size_t i = 0; i < count; i++)
                index_put(index, known[i].id, i);
        return index;
}

static int make_steps(struct maker *m, const struct resources *desired, const struct graph_node *nodes,
        const size_t *order, struct plan *plan, struct err **err)
{
        CLEANUP_FREE size_t *place = mem_zero_array(desired->count, sizeof *place);
        for (size_t k = 0; k < desired->count; k++) {
                const struct graph_node *node = &nodes[order[k]];
                struct plan_step *step = &plan->step[plan->count++];
                place[order[k]] = k;
                int r = make_step(m, &desired->item[order[k]], step, err);
                if (r < 0)
                        return r;
                count_change(plan, &step->change);
                step->after = mem_zero_array(node->count, sizeof *step->after);
                step->after_count = node->count;
                for (size_t i = 0; i < node->count; i++)
                        step->after[i] = place[node->needs[i]];
        }
        return 0;
}

int plan_make(const struct resources *desired, const struct plan_known *known, size_t known_count, plan_compare compare,
        void *data, struct plan *ret, struct err **err)
{
        struct maker m = {known, index_known(known, known_count), json_object(), compare, data};
        json_t *index = json_object();
        struct graph_node *nodes = mem_zero_array(desired->count, sizeof *nodes);
        CLEANUP_FREE size_t *order = mem_zero_array(desired->count, sizeof *order);
        CLEANUP_FREE size_t *gone = mem_zero_array(known_count, sizeof *gone);
        struct plan plan = {.step = mem_zero_array(desired->count + known_count, sizeof *plan.step)};
        int r = graph_of(desired, index, nodes, err);
        if (r == 0)
                r = graph_sort(nodes, desired->count, order, err);
        if (r == 0)
                r = make_steps(&m, desired, nodes, order, &plan, err);
        size_t gone_count = 0;
        for (size_t i = known_count; i-- > 0;) /* the newest first */
                if (known[i].recorded.kind && !json_object_get(index, known[i].id))
                        gone[gone_count++] = i;
        if (r == 0)
                add_removals(&plan, known, gone, gone_count);
        json_decref(m.known_index);
        json_decref(m.outputs);
        json_decref(index);
        nodes_free(nodes, desired->count);
        if (r < 0) {
                plan_clear(&plan);
                return r;
        }
        *ret = plan;
        return 0;
}

int plan_make_removal(const struct plan_known *known, size_t known_count, struct plan *ret, struct err **err)
{
        struct resources nothing = {0};
        return plan_make(&nothing, known, known_count, NULL, NULL, ret, err);
}

/* A tree's objects with nothing in them: against these a difference goes down to every leaf. New reference. */
static json_t *hollow(const json_t *value)
{
        json_t *result = json_object(), *below;
        const char *key;
        json_object_foreach ((json_t *)value, key, below)
                if (json_is_object(below) && !subst_is_marker(below))
                        json_object_set_new_nocheck(result, key, hollow(below));
        return result;
}

json_t *plan_step_fields(const struct plan_step *step)
{
        if (step->change.fields || step->change.action != ACTION_CREATE)
                return json_incref(step->change.fields);
        json_auto_t *nothing = hollow(step->resource.spec);
        return diff_trees(nothing, step->resource.spec);
}

json_t *plan_to_json(const struct plan *plan, bool all)
{
        json_t *steps = json_array();
        for (size_t i = 0; i < plan->count; i++) {
                const struct plan_step *s = &plan->step[i];
                if (s->change.action == ACTION_NONE && !all)
                        continue;
                json_t *step = json_pack("{s:s, s:s, s:s}", "id", s->resource.id, "kind", s->resource.kind, "action",
                        action_name(s->change.action));
                if (s->change.reason)
                        json_object_set_new(step, "reason", json_string(s->change.reason));
                json_auto_t *fields = all ? plan_step_fields(s) : json_incref(s->change.fields);
                if (fields)
                        json_object_set(step, "fields", fields);
                if (s->change.notice)
                        json_object_set_new(step, "notice", json_string(s->change.notice));
                json_array_append_new(steps, step);
        }
        return json_pack("{s:o, s:{s:I, s:I, s:I, s:I, s:I}}", "steps", steps, "summary", "create",
                (json_int_t)plan->create, "update", (json_int_t)plan->update, "replace", (json_int_t)plan->replace,
                "remove", (json_int_t)plan->remove, "refuse", (json_int_t)plan->refuse);
}
