/* Scalars and aliases, and the counting that keeps what they expand to within bounds. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tree/number.h"
#include "tree/reader.h"
#include "tree/tree.h"

/* Keys and scalars, aliases expanded: what a document of TREE_BYTES_MAX may grow to. */
#define EXPANDED_BYTES_MAX (8 * TREE_BYTES_MAX)

void node_clear(struct node *node)
{
        json_decref(node->value);
        place_free(node->place);
        *node = (struct node){0};
}

char *reader_where(const struct parse *p)
{
        CLEANUP_FREE char *path = diags_full(p->diags) ? str_copy("") : path_of(p->at);
        CLEANUP_FREE char *quoted = diag_quote(path);
        if (*path == '\0')
                return str_copy("");
        return str_format("%s: ", strlen(quoted) == strlen(path) + 2 ? path : quoted);
}

int reader_count(struct parse *p, const yaml_event_t *event, size_t depth, const struct place *place)
{
        p->nodes += place->nodes;
        p->bytes += place->bytes;
        if (p->nodes > TREE_NODES_MAX) {
                ADD(p, event, "this brings the document to more than %d values, anchors expanded", TREE_NODES_MAX);
                return -1;
        }
        if (p->bytes > EXPANDED_BYTES_MAX) {
                ADD(p, event, "this brings the document to more than %d MiB, anchors expanded",
                        EXPANDED_BYTES_MAX / (1024 * 1024));
                return -1;
        }
        if (depth + place->height - 1 > TREE_DEPTH_MAX) {
                ADD(p, event, "this is nested deeper than %d levels", TREE_DEPTH_MAX);
                return -1;
        }
        return 0;
}

size_t reader_anchor(struct parse *p, const char *name)
{
        MEM_GROW(p->anchor, p->anchors, p->anchors_capacity);
        p->anchor[p->anchors] = (struct anchor){0};
        json_object_set_new_nocheck(p->names, name, json_integer((json_int_t)p->anchors));
        return p->anchors++;
}

/* Containers are copied, so that a change in one place stays there; scalars never change and are shared. */
static json_t *copy_containers(json_t *value)
{
        json_t *copy, *item;
        const char *key;
        size_t i;
        if (json_is_object(value)) {
                copy = json_object();
                json_object_foreach (value, key, item)
                        json_object_set_new_nocheck(copy, key, copy_containers(item));
                return copy;
        }
        if (json_is_array(value)) {
                copy = json_array();
                json_array_foreach (value, i, item)
                        json_array_append_new(copy, copy_containers(item));
                return copy;
        }
        return json_incref(value);
}

int reader_alias(struct parse *p, const yaml_event_t *event, size_t depth, struct node *ret)
{
        const char *name = (const char *)event->data.alias.anchor;
        const json_t *index = json_object_get(p->names, name);
        const struct anchor *anchor = index ? &p->anchor[json_integer_value(index)] : NULL;
        if (!anchor || !anchor->node.value) {
                CLEANUP_FREE char *at = reader_where(p);
                CLEANUP_FREE char *quoted = diag_quote(name);
                const int length = (int)strlen(quoted) - 2;
                if (anchor)
                        ADD(p, event, "%s*%.*s stands inside the value that it repeats", at, length, quoted + 1);
                else
                        ADD(p, event,
                                "%s*%.*s: there is no anchor of that name before it; put the text in quotes if none is "
                                "meant",
                                at, length, quoted + 1);
                *ret = (struct node){.value = json_null(),
                        .place = place_new(reader_line(&event->start_mark), reader_column(&event->start_mark))};
                ret->place->suspect = true;
                return reader_count(p, event, depth, ret->place);
        }
        if (reader_count(p, event, depth, anchor->node.place) < 0)
                return -1;
        ret->value = copy_containers(anchor->node.value);
        ret->place = place_use(anchor->node.place);
        return 0;
}

bool reader_holds_nul(const yaml_event_t *event)
{
        return strlen((const char *)event->data.scalar.value) != event->data.scalar.length;
}

void reader_refuse_tag(struct parse *p, const yaml_event_t *event, const yaml_char_t *tag)
{
        static const char core[] = "tag:yaml.org,2002:"; /* what !! stands for */
        const char *name = (const char *)tag;
        bool short_form = str_starts(name, core);
        CLEANUP_FREE char *written = str_format("%s%s", short_form ? "!!" : "", name + (short_form ? strlen(core) : 0));
        CLEANUP_FREE char *quoted = diag_quote(written);
        CLEANUP_FREE char *at = reader_where(p);
        ADD(p, event, "%sa tag (%.*s): tags are not allowed here", at, (int)strlen(quoted) - 2, quoted + 1);
}

int reader_scalar(struct parse *p, const yaml_event_t *event, size_t depth, struct node *ret)
{
        const char *text = (const char *)event->data.scalar.value;
        size_t length = event->data.scalar.length;
        json_t *value = NULL;
        const char *problem = NULL;
        bool suspect = false;

        if (event->data.scalar.tag) {
                reader_refuse_tag(p, event, event->data.scalar.tag);
                suspect = true;
        }
        if (reader_holds_nul(event)) {
                CLEANUP_FREE char *at = reader_where(p);
                ADD(p, event, "%sthe text holds a NUL character (\\0), which is not allowed", at);
                suspect = true;
                value = json_null();
        } else if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
                value = json_stringn_nocheck(text, length);
        } else if (scalar_resolve(text, length, p->locale, &value, &problem) < 0) {
                CLEANUP_FREE char *quoted = diag_quote(text);
                CLEANUP_FREE char *at = reader_where(p);
                ADD(p, event, "%s%.*s %s", at, (int)strlen(quoted) - 2, quoted + 1, problem);
                suspect = true;
                value = json_null();
        }
        *ret = (struct node){
                .value = value, .place = place_new(reader_line(&event->start_mark), reader_column(&event->start_mark))};
        ret->place->suspect = suspect;
        ret->place->bytes = (unsigned)length;
        return reader_count(p, event, depth, ret->place);
}
