/* Reading a text event by event: what parse.c and leaf.c share. For this folder only. */
#ifndef CAAS_TREE_READER_H
#define CAAS_TREE_READER_H

#include <jansson.h>
#include <locale.h>
#include <stddef.h>
#include <yaml.h>

#include "tree/diag.h"
#include "tree/path.h"
#include "tree/place.h"

struct node {
        json_t *value;
        struct place *place;
};

struct anchor {
        struct node node; /* without a value while its node is still being read */
};

struct parse {
        yaml_parser_t yaml;
        struct diags *diags;
        const char *text;
        size_t length;
        locale_t locale;
        json_t *names; /* of anchors -> index */
        struct anchor *anchor;
        size_t anchors, anchors_capacity;
        size_t nodes, bytes;         /* so far, aliases expanded */
        const struct path_frame *at; /* what is being read */
};

void node_clear(struct node *node);
#define CLEANUP_NODE __attribute__((cleanup(node_clear)))

static inline int reader_line(const yaml_mark_t *mark)
{
        return (int)mark->line + 1;
}

static inline int reader_column(const yaml_mark_t *mark)
{
        return (int)mark->column + 1;
}

/* A finding where an event begins. */
#define ADD(p, event, ...)                                                                                             \
        diags_add((p)->diags, reader_line(&(event)->start_mark), reader_column(&(event)->start_mark), __VA_ARGS__)

/* "notebook.cpus: " to stand before what is said of it, "" for the root; what is not for a terminal is quoted and cut
 * short. The caller frees. */
char *reader_where(const struct parse *p);

/* Counts what comes in, depth levels down; -1 with a finding when it is too much, and reading ends. */
int reader_count(struct parse *p, const yaml_event_t *event, size_t depth, const struct place *place);

/* A new anchor, without a value yet; its index. A later one of the same name hides it. */
size_t reader_anchor(struct parse *p, const char *name);

void reader_refuse_tag(struct parse *p, const yaml_event_t *event, const yaml_char_t *tag);

/* Nodes without nodes of their own in the text. -1 when reading has to end. */
int reader_alias(struct parse *p, const yaml_event_t *event, size_t depth, struct node *ret);
int reader_scalar(struct parse *p, const yaml_event_t *event, size_t depth, struct node *ret);

/* A NUL character in a scalar. */
bool reader_holds_nul(const yaml_event_t *event);

#endif
