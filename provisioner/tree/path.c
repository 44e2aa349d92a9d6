#include "tree/path.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static void add_key(struct buf *buf, const char *key)
{
        if (*key && !strpbrk(key, ".[]\"\\")) {
                buf_str(buf, buf->length ? "." : "");
                buf_str(buf, key);
                return;
        }
        buf_str(buf, "[\"");
        for (; *key; key++) {
                if (*key == '"' || *key == '\\')
                        buf_str(buf, "\\");
                buf_add(buf, key, 1);
        }
        buf_str(buf, "\"]");
}

char *path_key(const char *path, const char *key)
{
        CLEANUP_BUF struct buf buf = BUF_INIT(SIZE_MAX / 2);
        buf_str(&buf, path);
        add_key(&buf, key);
        return buf_steal(&buf);
}

char *path_item(const char *path, size_t index)
{
        return str_format("%s[%zu]", path, index);
}

static void add_frame(struct buf *buf, const struct path_frame *frame)
{
        if (!frame || !frame->above)
                return;
        add_frame(buf, frame->above);
        if (frame->key)
                add_key(buf, frame->key);
        else
                buf_format(buf, "[%zu]", frame->index);
}

char *path_of(const struct path_frame *frame)
{
        CLEANUP_BUF struct buf buf = BUF_INIT(SIZE_MAX / 2);
        add_frame(&buf, frame);
        return buf_steal(&buf);
}

/* `["key"]` with text after the opening quotation mark. Returns what follows the bracket, NULL if malformed. */
static const char *quoted_key(const char *text, char **ret_key)
{
        CLEANUP_FREE char *key = mem_zero(strlen(text) + 1);
        size_t n = 0;
        for (; *text && *text != '"'; text++) {
                if (*text == '\\' && text[1])
                        text++;
                key[n++] = *text;
        }
        if (text[0] != '"' || text[1] != ']')
                return NULL;
        *ret_key = STEAL(key);
        return text + 2;
}

static const char *item_index(const char *text, size_t *ret_index)
{
        size_t index = 0;
        const char *first = text;
        for (; *text >= '0' && *text <= '9'; text++) {
                size_t digit = (size_t)(*text - '0');
                if (index > (SIZE_MAX - digit) / 10)
                        return NULL;
                index = index * 10 + digit;
        }
        if (text == first || *text != ']')
                return NULL;
        *ret_index = index;
        return text + 1;
}

int path_next(const char **path, struct path_step *ret)
{
        struct path_step step = {0};
        const char *p = *path;
        if (!*p)
                return 0;
        if (*p == '[') {
                p = p[1] == '"' ? quoted_key(p + 2, &step.key) : item_index(p + 1, &step.index);
                if (!p)
                        return -1;
        } else {
                size_t length = strcspn(p, ".[");
                if (length == 0)
                        return -1;
                step.key = str_copy_n(p, length);
                p += length;
        }
        /* A dot separates from the next key, and only from one. */
        if (*p == '.' && p[1] && p[1] != '.' && p[1] != '[')
                p++;
        else if (*p && *p != '[') {
                path_step_clear(&step);
                return -1;
        }
        *path = p;
        *ret = step;
        return 1;
}

void path_step_clear(struct path_step *step)
{
        free(step->key);
        step->key = NULL;
}

char *path_parent(const char *path)
{
        const char *next = path, *last = path;
        for (;;) {
                CLEANUP_PATH_STEP struct path_step step = {0};
                const char *before = next;
                int rc = path_next(&next, &step);
                if (rc < 0)
                        return NULL;
                if (rc == 0)
                        break;
                last = before;
        }
        if (!*path)
                return NULL;
        size_t length = (size_t)(last - path);
        if (length && path[length - 1] == '.')
                length--;
        return str_copy_n(path, length);
}
