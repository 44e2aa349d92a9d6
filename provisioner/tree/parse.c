/* From text to values and places: libyaml's events, one at a time, so that nothing is expanded before it was counted.
 */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tree/number.h"
#include "tree/reader.h"
#include "tree/text.h"
#include "tree/tree.h"
#include "tree/yaml_error.h"

/* -1 with a finding when the text is no YAML. */
static int next_event(struct parse *p, yaml_event_t *ret)
{
        if (yaml_parser_parse(&p->yaml, ret))
                return 0;
        yaml_error_add(&p->yaml, p->text, p->length, p->diags);
        return -1;
}

static int read_node(struct parse *p, const yaml_event_t *event, size_t depth, struct node *ret);

static int read_list(struct parse *p, size_t depth, struct node *node)
{
        for (;;) {
                yaml_event_t event;
                if (next_event(p, &event) < 0)
                        return -1;
                if (event.type == YAML_SEQUENCE_END_EVENT) {
                        yaml_event_delete(&event);
                        place_end(node->place);
                        return 0;
                }
                CLEANUP_NODE struct node item = {0};
                struct path_frame below = {.above = p->at, .index = node->place->count};
                p->at = &below;
                int rc = read_node(p, &event, depth + 1, &item);
                p->at = below.above;
                int line = reader_line(&event.start_mark), column = reader_column(&event.start_mark);
                yaml_event_delete(&event);
                if (rc < 0)
                        return -1;
                place_add(node->place, NULL, line, column, STEAL(item.place));
                json_array_append_new(node->value, STEAL(item.value));
        }
}

struct key {
        char *text; /* NULL: it is no key, and its value is read and dropped */
        int line, column;
        bool merge; /* << */
};

static void key_clear(struct key *key)
{
        free(key->text);
}
#define CLEANUP_KEY __attribute__((cleanup(key_clear)))

/* An unquoted key that means something else than text. */
static bool means_other(struct parse *p, const char *text, size_t length)
{
        json_auto_t *value = NULL;
        const char *problem;
        return scalar_resolve(text, length, p->locale, &value, &problem) < 0 || !json_is_string(value);
}

static int read_scalar_key(struct parse *p, const yaml_event_t *event, struct key *ret)
{
        const char *text = (const char *)event->data.scalar.value;
        bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        CLEANUP_FREE char *quoted = diag_quote(text);

        if (event->data.scalar.tag)
                reader_refuse_tag(p, event, event->data.scalar.tag);
        if (reader_holds_nul(event)) {
                ADD(p, event, "the key holds a NUL character (\\0), which is not allowed");
                return 0;
        }
        if (plain && *text == '\0') {
                ADD(p, event, "a key is missing before the \":\"");
                return 0;
        }
        if (plain && means_other(p, text, event->data.scalar.length)) {
                ADD(p, event, "a key must be text: write %s in quotes", quoted);
                return 0;
        }
        ret->merge = plain && str_is(text, "<<");
        ret->text = str_copy(text);
        return 0;
}

/* The key of an entry; an anchor on it may be used later. A key that is none is a finding, and reading goes on. */
static int read_key(struct parse *p, const yaml_event_t *event, size_t depth, struct key *ret)
{
        ret->line = reader_line(&event->start_mark);
        ret->column = reader_column(&event->start_mark);
        if (event->type == YAML_SCALAR_EVENT) {
                if (event->data.scalar.anchor) {
                        CLEANUP_NODE struct node ignored = {0};
                        if (read_node(p, event, depth + 1, &ignored) < 0)
                                return -1;
                        if (ignored.place->suspect)
                                return 0;
                }
                return read_scalar_key(p, event, ret);
        }
        ADD(p, event, "a key must be text, not %s",
                event->type == YAML_ALIAS_EVENT            ? "an alias"
                : event->type == YAML_SEQUENCE_START_EVENT ? "a list"
                                                           : "a mapping");
        CLEANUP_NODE struct node ignored = {0};
        return read_node(p, event, depth + 1, &ignored);
}

/* Lays what << brings under the entries that are there already; these win, and so do the earlier ones of several. */
static void merge_object(struct node *node, const struct node *from)
{
        for (size_t i = 0; i < from->place->count; i++) {
                const struct place_entry *entry = &from->place->entry[i];
                if (json_object_get(node->value, entry->key))
                        continue;
                json_object_set_nocheck(node->value, entry->key, json_object_get(from->value, entry->key));
                place_add(node->place, entry->key, entry->line, entry->column, place_use(entry->value));
        }
}

static void merge(struct parse *p, struct node *node, const struct node *from, const struct key *key)
{
        if (from->place->suspect)
                return;
        if (json_is_object(from->value)) {
                merge_object(node, from);
                return;
        }
        bool right = json_is_array(from->value);
        size_t i;
        json_t *item;
        json_array_foreach (from->value, i, item)
                right = right && json_is_object(item);
        if (!right) {
                diags_add(p->diags, key->line, key->column, "\"<<\" wants a mapping, or a list of mappings");
                return;
        }
        json_array_foreach (from->value, i, item) {
                struct node part = {.value = item, .place = from->place->entry[i].value};
                merge_object(node, &part);
        }
}

static void twice(struct parse *p, const struct place *place, const struct key *key)
{
        if (diags_full(p->diags))
                return;
        size_t i = 0;
        while (i < place->count && !str_is(place->entry[i].key, key->text))
                i++;
        CLEANUP_FREE char *at = reader_where(p);
        diags_add(p->diags, key->line, key->column, "%sstands here twice: the first is in line %d", at,
                i < place->count ? place->entry[i].line : 0);
}

static int read_value(struct parse *p, size_t depth, struct node *ret)
{
        yaml_event_t event;
        if (next_event(p, &event) < 0)
                return -1;
        int rc = read_node(p, &event, depth, ret);
        yaml_event_delete(&event);
        return rc;
}

/* One entry of a mapping whose key was just read. `merged` keeps the value of <<. */
static int read_entry(struct parse *p, size_t depth, struct node *node, struct key *key, struct node *merged)
{
        CLEANUP_NODE struct node value = {0};
        struct path_frame below = {.above = p->at, .key = key->text ? key->text : "?"};
        p->at = &below;
        int rc = read_value(p, depth + 1, &value);
        if (rc == 0 && key->text && !key->merge && json_object_get(node->value, key->text))
                twice(p, node->place, key);
        p->at = below.above;
        if (rc < 0)
                return -1;
        if (!key->text)
                return 0;
        p->bytes += strlen(key->text);
        if (key->merge) {
                if (merged->value) {
                        diags_add(p->diags, key->line, key->column, "\"<<\" stands here twice: write <<: [*one, *two]");
                        return 0;
                }
                *merged = value;
                value = (struct node){0};
                return 0;
        }
        if (json_object_get(node->value, key->text))
                return 0; /* the first one counts */
        place_add(node->place, key->text, key->line, key->column, STEAL(value.place));
        json_object_set_new_nocheck(node->value, key->text, STEAL(value.value));
        return 0;
}

static int read_mapping(struct parse *p, size_t depth, struct node *node)
{
        CLEANUP_NODE struct node merged = {0};
        struct key merge_key = {0};
        for (;;) {
                yaml_event_t event;
                CLEANUP_KEY struct key key = {0};
                if (next_event(p, &event) < 0)
                        return -1;
                if (event.type == YAML_MAPPING_END_EVENT) {
                        yaml_event_delete(&event);
                        break;
                }
                int rc = read_key(p, &event, depth, &key);
                yaml_event_delete(&event);
                if (rc < 0)
                        return -1;
                if (key.merge && !merged.value)
                        merge_key = (struct key){.line = key.line, .column = key.column};
                if (read_entry(p, depth, node, &key, &merged) < 0)
                        return -1;
        }
        if (merged.value)
                merge(p, node, &merged, &merge_key);
        place_end(node->place);
        return 0;
}

static int read_container(struct parse *p, const yaml_event_t *event, size_t depth, struct node *ret)
{
        bool list = event->type == YAML_SEQUENCE_START_EVENT;
        const yaml_char_t *tag = list ? event->data.sequence_start.tag : event->data.mapping_start.tag;
        *ret = (struct node){.value = list ? json_array() : json_object(),
                .place = place_new(reader_line(&event->start_mark), reader_column(&event->start_mark))};
        if (tag)
                reader_refuse_tag(p, event, tag);
        if (reader_count(p, event, depth, ret->place) < 0)
                return -1;
        return list ? read_list(p, depth, ret) : read_mapping(p, depth, ret);
}

static const char *anchor_of(const yaml_event_t *event)
{
        switch (event->type) {
        case YAML_SCALAR_EVENT:
                return (const char *)event->data.scalar.anchor;
        case YAML_SEQUENCE_START_EVENT:
                return (const char *)event->data.sequence_start.anchor;
        case YAML_MAPPING_START_EVENT:
                return (const char *)event->data.mapping_start.anchor;
        default:
                return NULL;
        }
}

/* The node that begins with this event, depth levels down (the root is 1). -1 when reading has to end. */
static int read_node(struct parse *p, const yaml_event_t *event, size_t depth, struct node *ret)
{
        if (event->type == YAML_ALIAS_EVENT)
                return reader_alias(p, event, depth, ret);
        const char *name = anchor_of(event);
        size_t index = name ? reader_anchor(p, name) : 0;
        int rc = event->type == YAML_SCALAR_EVENT ? reader_scalar(p, event, depth, ret)
                                                  : read_container(p, event, depth, ret);
        if (rc == 0 && name)
                p->anchor[index].node = (struct node){.value = json_incref(ret->value), .place = place_use(ret->place)};
        return rc;
}

/* After the root: the end, or a second document. */
static int read_end(struct parse *p)
{
        for (;;) {
                yaml_event_t event;
                if (next_event(p, &event) < 0)
                        return -1;
                yaml_event_type_t type = event.type;
                if (type == YAML_DOCUMENT_START_EVENT)
                        ADD(p, &event, "a second document begins here: a file holds one");
                yaml_event_delete(&event);
                if (type == YAML_STREAM_END_EVENT)
                        return 0;
                if (type == YAML_DOCUMENT_START_EVENT)
                        return -1;
        }
}

/* -1 when there is no root to go on with. */
static int read_stream(struct parse *p, struct node *ret)
{
        for (;;) {
                yaml_event_t event;
                if (next_event(p, &event) < 0)
                        return -1;
                yaml_event_type_t type = event.type;
                int rc = 1;
                if (type == YAML_STREAM_END_EVENT) {
                        *ret = (struct node){.value = json_null(), .place = place_new(1, 1)};
                        rc = 0;
                } else if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT) {
                        rc = read_node(p, &event, 1, ret);
                        yaml_event_delete(&event);
                        return rc < 0 ? -1 : read_end(p);
                }
                yaml_event_delete(&event);
                if (rc == 0)
                        return 0;
        }
}

static void parse_clear(struct parse *p)
{
        for (size_t i = 0; i < p->anchors; i++)
                node_clear(&p->anchor[i].node);
        free(p->anchor);
        json_decref(p->names);
        yaml_parser_delete(&p->yaml);
        if (p->locale)
                freelocale(p->locale);
}

static int parse_text(const char *text, size_t length, struct node *ret, struct diags *diags)
{
        const struct path_frame root = {0};
        __attribute__((cleanup(parse_clear))) struct parse p = {
                .diags = diags, .text = text, .length = length, .at = &root};
        p.names = json_object();
        p.locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
        if (!yaml_parser_initialize(&p.yaml) || !p.locale || !p.names)
                abort(); /* out of memory, as in base/mem.c */
        yaml_parser_set_encoding(&p.yaml, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&p.yaml, (const unsigned char *)text, length);
        return read_stream(&p, ret);
}

int tree_parse_all(const char *text, size_t length, struct tree **ret_tree, struct diags *diags)
{
        size_t before = diags->count;
        if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark is no content */
                text += 3;
                length -= 3;
        }
        if (text_check(text, length, diags) < 0)
                return -ERR_INVALID;
        CLEANUP_FREE char *copy = str_copy_n(text, length);
        if (text_replace_tabs(copy, length, diags) < 0)
                return -ERR_INVALID;
        CLEANUP_NODE struct node root = {0};
        if (parse_text(copy, length, &root, diags) < 0)
                return -ERR_INVALID;
        struct tree *tree = mem_zero(sizeof *tree);
        *tree = (struct tree){.root = STEAL(root.value), .place = STEAL(root.place)};
        *ret_tree = tree;
        return diags->count > before ? -ERR_INVALID : 0;
}

int tree_parse(const char *text, size_t length, struct tree **ret_tree, struct diags *diags)
{
        struct tree *tree = NULL;
        int rc = tree_parse_all(text, length, &tree, diags);
        if (rc < 0)
                tree_free(tree);
        else
                *ret_tree = tree;
        return rc;
}
