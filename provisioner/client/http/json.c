/* JSON over HTTP, and the escaping of paths. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/http/http.h"
#include "client/http/private.h"

static int status_error(const struct http_request *request, const struct http_response *response, struct err **err)
{
        enum err_code code = ERR_FAILED;
        if (response->status == 404)
                code = ERR_NOT_FOUND;
        else if (response->status == 401 || response->status == 403)
                code = ERR_DENIED;
        else if (response->status == 429 || (response->status >= 502 && response->status <= 504))
                code = ERR_UNREACHABLE;
        CLEANUP_FREE char *name = http_shown(request->url);
        json_auto_t *answer = json_loadb(response->body, response->length, JSON_REJECT_DUPLICATES, NULL);
        const char *said = json_string_value(json_object_get(answer, "message"));
        if (!said)
                said = json_string_value(json_object_get(answer, "error"));
        return err_set(err, code, "%s %s: status %ld%s%.500s", request->method ? request->method : "GET", name,
                response->status, said ? ": " : "", said ? said : "");
}

static const char **json_headers(const struct http_request *request, bool body)
{
        size_t count = 0;
        bool accept = false;
        while (request->headers && request->headers[count])
                accept = strncasecmp(request->headers[count++], "accept:", 7) == 0 || accept;
        const char **headers = mem_zero_array(count + 3, sizeof *headers);
        for (size_t i = 0; i < count; i++)
                headers[i] = request->headers[i];
        if (!accept)
                headers[count++] = "Accept: application/json";
        if (body)
                headers[count] = "Content-Type: application/json";
        return headers;
}

int http_json(struct http_client *client, const struct http_request *request, const json_t *body, json_t **ret,
        struct err **err)
{
        char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        CLEANUP_FREE const char **headers = json_headers(request, body != NULL);
        struct http_request filled = *request;
        filled.headers = headers;
        if (text) {
                filled.body = text;
                filled.body_length = strlen(text);
        }
        CLEANUP_RESPONSE struct http_response response = {0};
        int r = http_send(client, &filled, &response, err);
        mem_wipe_free(text, text ? strlen(text) : 0);
        if (r < 0)
                return r;
        if (response.status >= 300)
                return status_error(request, &response, err);
        if (!ret)
                return 0;
        json_error_t where;
        json_t *answer = response.length ? json_loadb(response.body, response.length,
                                                   JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where)
                                         : json_null();
        if (!answer) {
                CLEANUP_FREE char *name = http_shown(request->url);
                return err_set(err, ERR_INVALID, "%s: the answer is no JSON: %s", name, where.text);
        }
        *ret = answer;
        return 0;
}

char *http_escape(const char *text)
{
        struct buf out = BUF_INIT(3 * strlen(text) + 1);
        for (const unsigned char *c = (const unsigned char *)text; *c; c++)
                if (isalnum(*c) || strchr("-._~", *c))
                        buf_add(&out, (const char *)c, 1);
                else
                        buf_format(&out, "%%%02X", *c);
        return buf_steal(&out);
}
