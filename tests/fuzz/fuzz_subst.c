/* A text with placeholders (first line) and a value (the rest) that is put in for ${v}; ${k} stays for a second pass.
 * The value must come out as it went in: nothing in it, or of it together with its neighbours, is ever read as a
 * placeholder. */
#include "base/mem.h"
#include "base/str.h"
#include "tree/mark.h"
#include "tree/subst.h"
#include "fuzz.h"

struct pass {
        const char *value;
        bool keep; /* ${k} stays */
};

static int lookup(void *data, const char *name, json_t **ret, struct err **err)
{
        const struct pass *pass = data;
        if (strcmp(name, "k") == 0) {
                if (pass->keep)
                        return SUBST_KEEP;
                *ret = json_string("<kept>");
                return SUBST_VALUE;
        }
        if (strcmp(name, "v") == 0 && pass->value) {
                *ret = json_string(pass->value);
                return SUBST_VALUE;
        }
        if (strcmp(name, "s") == 0) {
                *ret = json_pack("{s:s}", MARK_SECRET, "hub/x");
                return SUBST_VALUE;
        }
        return err_set(err, ERR_NOT_FOUND, "not known");
}

/* What has to come out, found in the most simple way. NULL where the text is an error. */
static char *expected(const char *text, const char *value)
{
        CLEANUP_BUF struct buf buf = BUF_INIT(1 << 24);
        while (*text) {
                if (strncmp(text, "$${", 3) == 0) {
                        buf_str(&buf, "${");
                        text += 3;
                } else if (strncmp(text, "${v}", 4) == 0) {
                        buf_str(&buf, value);
                        text += 4;
                } else if (strncmp(text, "${k}", 4) == 0) {
                        buf_str(&buf, "<kept>");
                        text += 4;
                } else if (strncmp(text, "${s}", 4) == 0) {
                        buf_str(&buf, "<secret>");
                        text += 4;
                } else if (strncmp(text, "${", 2) == 0) {
                        return NULL;
                } else {
                        buf_add(&buf, text++, 1);
                }
        }
        return buf_steal(&buf);
}

/* A string, a marker or a join of them as text. */
static char *flat(const json_t *value)
{
        CLEANUP_BUF struct buf buf = BUF_INIT(1 << 24);
        const json_t *parts = json_object_get(value, MARK_JOIN), *part;
        size_t i;
        if (json_is_string(value))
                return str_copy(json_string_value(value));
        if (!parts) {
                MUST(subst_is_marker(value));
                return str_copy("<secret>");
        }
        json_array_foreach ((json_t *)parts, i, part) {
                CLEANUP_FREE char *text = flat(part);
                buf_str(&buf, text);
        }
        return buf_steal(&buf);
}

static void check(const char *text, const char *value, bool as_tree)
{
        CLEANUP_FREE char *wanted = expected(text, value);
        json_auto_t *root = json_pack("{s:[s]}", "a", text), *first = NULL, *second = NULL, *direct = NULL;
        struct pass one = {.value = value, .keep = true}, two = {0}, both = {.value = value};
        CLEANUP_ERR struct err *err = NULL;
        int rc = as_tree ? subst_tree(root, lookup, &one, true, &first, &err)
                         : subst_text(text, lookup, &one, true, &first, &err);
        MUST((rc < 0) == (wanted == NULL));
        MUST((rc < 0) == (first == NULL) && (rc < 0) == (err != NULL));
        if (rc < 0)
                return;
        rc = subst_tree(first, lookup, &two, false, &second, &err);
        if (rc < 0)
                fprintf(stderr, "second pass: %s\n", err->message);
        MUST(rc == 0);
        rc = as_tree ? subst_tree(root, lookup, &both, false, &direct, &err)
                     : subst_text(text, lookup, &both, false, &direct, &err);
        MUST(rc == 0);
        const json_t *a = as_tree ? json_array_get(json_object_get(second, "a"), 0) : second;
        const json_t *b = as_tree ? json_array_get(json_object_get(direct, "a"), 0) : direct;
        CLEANUP_FREE char *in_two = flat(a);
        CLEANUP_FREE char *in_one = flat(b);
        MUST(strcmp(in_two, wanted) == 0);
        MUST(strcmp(in_one, wanted) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size > 4096 || !str_utf8((const char *)data, size, NULL))
                return 0;
        CLEANUP_FREE char *text = str_copy_n((const char *)data, size);
        char *value = strchr(text, '\n');
        if (value)
                *value++ = '\0';
        check(text, value ? value : "", true);
        check(text, value ? value : "", false);
        return 0;
}
