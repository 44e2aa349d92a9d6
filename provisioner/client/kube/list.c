/* Lists, in pages. */
#include "client/kube/list.h"

#include "base/mem.h"
#include "client/kube/private.h"

#define PAGE         500
#define PAGE_MAX     (32UL * 1024 * 1024)
#define RESTARTS_MAX 5

struct pages {
        struct kube *kube;
        const struct kube_list *list;
        int (*each)(void *data, const json_t *object);
        void *data;
        char *base, *what;
        char *next;    /* where the next page begins; NULL = the first */
        json_t *given; /* uids of what was given, while there are more pages */
        int size, restarts;
        int64_t end_ms;
        char *version;
        bool stopped;
};

static void pages_clear(struct pages *pages)
{
        free(pages->base);
        free(pages->what);
        free(pages->next);
        free(pages->version);
        json_decref(pages->given);
}

int kube_list_path(struct kube *kube, const struct kube_list *list, struct buf *path, struct err **err)
{
        CLEANUP_FREE char *base = NULL;
        int r = kube_path(kube, list->api_version, list->kind, list->namespace, NULL, &base, err);
        if (r < 0)
                return r;
        buf_str(path, base);
        if (list->labels && *list->labels)
                kube_query(path, "labelSelector", list->labels);
        if (list->fields && *list->fields)
                kube_query(path, "fieldSelector", list->fields);
        if (path->truncated)
                return err_set(err, ERR_INVALID, "list of %s: the selector is too long", list->kind);
        return 0;
}

/* In a list the items of the server's own kinds do not say what they are. */
static void name_kind(const struct kube_list *list, json_t *item)
{
        if (!json_object_get(item, "apiVersion"))
                json_object_set_new(item, "apiVersion", json_string(list->api_version));
        if (!json_object_get(item, "kind"))
                json_object_set_new(item, "kind", json_string(list->kind));
}

static int give(struct pages *pages, json_t *items, bool more)
{
        size_t i;
        json_t *item;
        json_array_foreach (items, i, item) {
                const char *uid = json_string_value(json_object_get(json_object_get(item, "metadata"), "uid"));
                if (!json_is_object(item) || (uid && json_object_get(pages->given, uid)))
                        continue;
                if (uid && (more || pages->given)) {
                        pages->given = pages->given ? pages->given : json_object();
                        json_object_set_new(pages->given, uid, json_true());
                }
                name_kind(pages->list, item);
                int r = pages->each(pages->data, item);
                pages->stopped = r > 0;
                if (r)
                        return r < 0 ? r : 0;
        }
        return 0;
}

static int read_page(struct pages *pages, const struct http_response *response, struct err **err)
{
        json_error_t where;
        json_auto_t *answer = json_loadb(response->body, response->length, 0, &where);
        json_t *items = json_object_get(answer, "items");
        const json_t *metadata = json_object_get(answer, "metadata");
        if (!answer || (items && !json_is_array(items) && !json_is_null(items)))
                return err_set(err, ERR_FAILED, "cannot %s: %s: the answer is no list: %s", pages->what,
                        pages->kube->config.server, answer ? "no items" : where.text);
        const char *next = json_string_value(json_object_get(metadata, "continue"));
        const char *version = json_string_value(json_object_get(metadata, "resourceVersion"));
        free(pages->next);
        pages->next = next && *next ? str_copy(next) : NULL;
        free(pages->version);
        pages->version = str_copy(version ? version : "");
        return give(pages, items, pages->next != NULL);
}

static char *page_path(const struct pages *pages)
{
        struct buf path = BUF_INIT(2 * KUBE_PATH_MAX);
        CLEANUP_FREE char *limit = str_format("%d", pages->size);
        buf_str(&path, pages->base);
        kube_query(&path, "limit", limit);
        if (pages->next)
                kube_query(&path, "continue", pages->next);
        return buf_steal(&path);
}

/* One page. *ret_end: it was the last. */
static int page(struct pages *pages, bool *ret_end, struct err **err)
{
        CLEANUP_FREE char *path = page_path(pages);
        CLEANUP_RESPONSE struct http_response response = {0};
        struct err *why = NULL;
        struct kube_request request = {
                .path = path, .what = pages->what, .max_bytes = PAGE_MAX, .end_ms = pages->end_ms};
        int r = kube_send(pages->kube, &request, &response, &why);
        if (r == -ERR_INVALID && pages->size > 1) { /* too large: smaller pages */
                pages->size = pages->size / 4 + 1 < pages->size ? pages->size / 4 + 1 : 1;
                err_free(why);
                return 0;
        }
        if (r < 0) {
                err_set(err, (enum err_code) - r, "%s", why->message);
                err_free(why);
                return r;
        }
        if (response.status == 410 && pages->next && pages->restarts++ < RESTARTS_MAX) {
                free(STEAL(pages->next));
                return 0;
        }
        if (response.status >= 300)
                return kube_status_error(pages->kube, pages->what, &response, err);
        r = read_page(pages, &response, err);
        *ret_end = r < 0 || pages->stopped || !pages->next;
        return r;
}

int kube_list_until(struct kube *kube, const struct kube_list *list, int64_t end_ms,
        int (*each)(void *data, const json_t *object), void *data, char **ret_version, struct err **err)
{
        CLEANUP_BUF struct buf base = BUF_INIT(KUBE_PATH_MAX);
        int r = kube_list_path(kube, list, &base, err);
        if (r < 0)
                return r;
        __attribute__((cleanup(pages_clear))) struct pages pages = {.kube = kube,
                .list = list,
                .each = each,
                .data = data,
                .base = buf_steal(&base),
                .what = str_format("list %s%s%s", list->kind, list->namespace ? " in " : "",
                        list->namespace ? list->namespace : ""),
                .end_ms = end_ms,
                .size = list->page > 0 ? list->page : PAGE};
        for (bool end = false; r == 0 && !end;)
                r = page(&pages, &end, err);
        if (r == 0 && ret_version)
                *ret_version = pages.version ? STEAL(pages.version) : str_copy("");
        return r;
}

int kube_list(struct kube *kube, const struct kube_list *list, int (*each)(void *data, const json_t *object),
        void *data, char **ret_version, struct err **err)
{
        return kube_list_until(kube, list, 0, each, data, ret_version, err);
}
