/* The API server's refusals in our words. */
#include <string.h>

#include "base/mem.h"
#include "client/kube/private.h"

#define TEXT_MAX 2000

static const char *text_of(const json_t *object, const char *name)
{
        const char *text = json_string_value(json_object_get(object, name));
        return text ? text : "";
}

static bool has_cause(const json_t *causes, const char *reason)
{
        size_t i;
        json_t *cause;
        json_array_foreach (causes, i, cause)
                if (str_is(text_of(cause, "reason"), reason))
                        return true;
        return false;
}

/* `conflict with "kubectl" using apps/v1` -> kubectl */
static char *manager_of(const char *message)
{
        const char *begin = strchr(message, '"');
        const char *end = begin ? strchr(begin + 1, '"') : NULL;
        return end ? str_copy_n(begin + 1, (size_t)(end - begin - 1)) : str_copy("somebody else");
}

bool kube_status_wrong_object(const struct http_response *response)
{
        return response->status == 500 && response->body &&
               strstr(response->body, "failed to create typed patch object");
}

bool kube_status_own_conflict(const struct http_response *response)
{
        if (response->status != 409)
                return false;
        json_auto_t *status = json_loadb(response->body, response->length, 0, NULL);
        const json_t *causes = json_object_get(json_object_get(status, "details"), "causes");
        bool own = json_array_size(causes) > 0;
        size_t i;
        json_t *cause;
        json_array_foreach (causes, i, cause) {
                CLEANUP_FREE char *manager = manager_of(text_of(cause, "message"));
                own = own && str_is(text_of(cause, "reason"), "FieldManagerConflict") && str_is(manager, KUBE_MANAGER);
        }
        return own;
}

/* "kubectl owns .spec.replicas, .spec.x; helm owns .metadata.y" */
static char *owners(const json_t *causes)
{
        json_auto_t *by_manager = json_object();
        size_t i;
        json_t *cause;
        json_array_foreach (causes, i, cause) {
                CLEANUP_FREE char *manager = manager_of(text_of(cause, "message"));
                json_t *fields = json_object_get(by_manager, manager);
                if (!fields) {
                        fields = json_array();
                        json_object_set_new(by_manager, manager, fields);
                }
                json_array_append(fields, json_object_get(cause, "field"));
        }
        CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
        const char *manager;
        json_t *fields;
        json_object_foreach (by_manager, manager, fields) {
                buf_format(&text, "%s\"%.200s\" owns ", text.length ? "; " : "", manager);
                json_array_foreach (fields, i, cause)
                        buf_format(&text, "%s%.200s", i ? ", " : "",
                                json_string_value(cause) ? json_string_value(cause) : "?");
        }
        return buf_steal(&text);
}

/* The server's message, without control characters. */
static char *message_of(const json_t *status, const struct http_response *response)
{
        const char *said = text_of(status, "message");
        bool json = response->content_type && str_starts(response->content_type, "application/json");
        char *text = *said ? str_copy_n(said, strnlen(said, TEXT_MAX))
                           : str_copy_n(response->body, json ? 0 : strnlen(response->body, 300));
        for (char *c = text; *c; c++)
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        *c = ' ';
        str_trim(text);
        return text;
}

static int conflict(const char *what, const json_t *status, const char *said, struct err **err)
{
        const json_t *causes = json_object_get(json_object_get(status, "details"), "causes");
        if (str_is(text_of(status, "reason"), "AlreadyExists"))
                return err_set(err, ERR_EXISTS, "cannot %s: %s", what, said);
        if (has_cause(causes, "FieldManagerConflict")) {
                CLEANUP_FREE char *who = owners(causes);
                return err_set(err, ERR_REFUSED,
                        "cannot %s: fields that belong to somebody else would change: %s (--force-conflicts takes them "
                        "over)",
                        what, who);
        }
        return err_set(err, ERR_REFUSED, "cannot %s: %s", what, said);
}

int kube_status_error(struct kube *kube, const char *what, const struct http_response *response, struct err **err)
{
        json_auto_t *status = json_loadb(response->body, response->length, 0, NULL);
        const json_t *causes = json_object_get(json_object_get(status, "details"), "causes");
        CLEANUP_FREE char *said = message_of(status, response);
        CLEANUP_FREE char *why = NULL;
        const char *server = kube->config.server;
        if (kube_status_wrong_object(response))
                return err_set(err, ERR_INVALID, "cannot %s: %s", what, said);
        switch (response->status) {
        case 401:
                why = kube_credential_explain(kube);
                return err_set(err, ERR_DENIED, "cannot %s: %s does not know us (401): %s", what, server, why);
        case 403:
                if (has_cause(causes, "NamespaceTerminating"))
                        return err_set(err, ERR_BUSY, "cannot %s: its namespace is just being deleted", what);
                return err_set(err, ERR_DENIED, "cannot %s: %s", what, said);
        case 404:
                return err_set(err, ERR_NOT_FOUND, "cannot %s: %s", what, *said ? said : "not found");
        case 409:
                return conflict(what, status, said, err);
        case 400:
        case 405:
        case 413:
        case 415:
        case 422:
                return err_set(err, ERR_INVALID, "cannot %s: %s", what, said);
        case 429:
                return err_set(err, ERR_UNREACHABLE, "cannot %s: %s has too much to do (429): %s", what, server, said);
        case 502:
        case 503:
        case 504:
                return err_set(err, ERR_UNREACHABLE, "cannot %s: %s is not up to it (%ld): %s", what, server,
                        response->status, said);
        default:
                return err_set(
                        err, ERR_FAILED, "cannot %s: %s answers with %ld: %s", what, server, response->status, said);
        }
}
