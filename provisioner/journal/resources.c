/* The inventory: what exists, or may exist because a run was cut off inside it. */
#include "journal/journal.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "journal/journal_impl.h"

static void clear_item(struct journal_resource *item)
{
        resource_clear(&item->resource);
        free(item->digest);
        json_decref(item->state);
        json_decref(item->outputs);
        free(item->pending_kind);
        json_decref(item->pending);
        *item = (struct journal_resource){0};
}

void journal_resources_clear(struct journal_resources *resources)
{
        for (size_t i = 0; i < resources->count; i++)
                clear_item(&resources->item[i]);
        free(resources->item);
        *resources = (struct journal_resources){0};
}

static char **needs_from_json(const json_t *list)
{
        size_t count = json_array_size(list);
        char **needs = mem_zero_array(count + 1, sizeof *needs);
        for (size_t i = 0; i < count; i++)
                needs[i] = str_copy(json_string_value(json_array_get(list, i)) ?: "");
        return needs;
}

enum {
        COL_ID,
        COL_KIND,
        COL_SPEC,
        COL_NEEDS,
        COL_DIGEST,
        COL_STATE,
        COL_OUTPUTS,
        COL_COMPLETE,
        COL_PENDING_KIND,
        COL_PENDING,
        COL_POSITION
};

/* *item is zero, and the caller clears it on failure. */
static int read_item(struct journal *journal, sqlite3_stmt *stmt, struct journal_resource *item, struct err **err)
{
        json_auto_t *needs = NULL;
        int r = db_json(journal, stmt, COL_NEEDS, &needs, err);
        if (r == 0)
                r = db_json(journal, stmt, COL_SPEC, &item->resource.spec, err);
        if (r == 0)
                r = db_json(journal, stmt, COL_STATE, &item->state, err);
        if (r == 0)
                r = db_json(journal, stmt, COL_OUTPUTS, &item->outputs, err);
        if (r == 0)
                r = db_json(journal, stmt, COL_PENDING, &item->pending, err);
        if (r < 0)
                return r;
        item->resource.id = db_text(stmt, COL_ID);
        item->resource.kind = db_text(stmt, COL_KIND);
        item->resource.needs = needs_from_json(needs);
        item->digest = db_text(stmt, COL_DIGEST);
        item->complete = sqlite3_column_int(stmt, COL_COMPLETE) != 0;
        item->pending_kind = db_text(stmt, COL_PENDING_KIND);
        item->position = sqlite3_column_int64(stmt, COL_POSITION);
        if (!item->resource.spec) { /* no apply ever ended: the attempt is all that is known */
                item->resource.kind = str_copy(item->pending_kind ? item->pending_kind : "");
                item->resource.spec = json_incref(item->pending);
        }
        return 0;
}

static int list_resources(
        struct journal *journal, const char *cluster, struct journal_resources *list, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal,
                "SELECT id, kind, spec, needs, digest, state, outputs, complete, pending_kind, pending_spec, position"
                " FROM resource WHERE cluster = ?1 ORDER BY position",
                &stmt, err);
        if (r < 0)
                return r;
        db_bind_text(stmt, 1, cluster);
        size_t capacity = 0;
        while ((r = db_step(journal, stmt, err)) > 0) {
                MEM_GROW(list->item, list->count, capacity);
                struct journal_resource *item = &list->item[list->count++];
                *item = (struct journal_resource){0};
                r = read_item(journal, stmt, item, err);
                if (r < 0)
                        return r;
        }
        return r;
}

int journal_resources(struct journal *journal, const char *cluster, struct journal_resources *ret, struct err **err)
{
        __attribute__((cleanup(journal_resources_clear))) struct journal_resources list = {0};
        int r = db_begin(journal, DB_READ, err);
        if (r < 0)
                return r;
        r = db_end(journal, list_resources(journal, cluster, &list, err), err);
        if (r < 0)
                return r;
        *ret = list;
        list = (struct journal_resources){0};
        return 0;
}

static int find_outputs(struct journal *journal, const char *cluster, const char *id, json_t **ret, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(
                journal, "SELECT outputs FROM resource WHERE cluster = ?1 AND id = ?2 AND complete", &stmt, err);
        if (r < 0)
                return r;
        db_bind_text(stmt, 1, cluster);
        db_bind_text(stmt, 2, id);
        r = db_step(journal, stmt, err);
        if (r < 0)
                return r;
        if (r == 0)
                return err_set(err, ERR_NOT_FOUND, "cluster %s has no finished %s; run caas apply", cluster, id);
        return db_json(journal, stmt, 0, ret, err);
}

int journal_outputs(struct journal *journal, const char *cluster, const char *id, json_t **ret, struct err **err)
{
        json_auto_t *outputs = NULL;
        int r = db_begin(journal, DB_READ, err);
        if (r < 0)
                return r;
        r = db_end(journal, find_outputs(journal, cluster, id, &outputs, err), err);
        if (r < 0)
                return r;
        *ret = outputs ? json_incref(outputs) : json_object();
        return 0;
}
