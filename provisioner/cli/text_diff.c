#include "cli/text_diff.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define CONTEXT   2
#define CELLS_MAX 4000000 /* of the table of common lengths */

struct line {
        const char *text;
        size_t length;
};
struct lines {
        struct line *item;
        size_t count, capacity;
};

/* One line of the whole edit script. */
struct edit {
        char sign;
        struct line line;
};
struct script {
        struct edit *item;
        size_t count, capacity;
};

static void split(const char *text, struct lines *ret)
{
        while (*text) {
                size_t n = strcspn(text, "\n");
                MEM_GROW(ret->item, ret->count, ret->capacity);
                ret->item[ret->count++] = (struct line){text, n};
                text += n + (text[n] == '\n');
        }
}

static bool same(const struct line *a, const struct line *b)
{
        return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
}

static void push(struct script *script, char sign, const struct line *line)
{
        MEM_GROW(script->item, script->count, script->capacity);
        script->item[script->count++] = (struct edit){sign, *line};
}

/* The longest common subsequence of what is left between the common beginning and end. */
static void middle(const struct line *a, size_t n, const struct line *b, size_t m, struct script *script)
{
        size_t i = 0, j = 0;
        if (n && m && n * m <= CELLS_MAX) {
                size_t width = m + 1;
                CLEANUP_FREE uint32_t *common = mem_zero_array((n + 1) * width, sizeof *common);
                for (size_t x = n; x-- > 0;)
                        for (size_t y = m; y-- > 0;) {
                                uint32_t down = common[(x + 1) * width + y], right = common[x * width + y + 1];
                                common[x * width + y] = same(&a[x], &b[y]) ? common[(x + 1) * width + y + 1] + 1
                                                        : down > right     ? down
                                                                           : right;
                        }
                while (i < n && j < m) {
                        if (same(&a[i], &b[j])) {
                                push(script, ' ', &a[i++]);
                                j++;
                        } else if (common[(i + 1) * width + j] >= common[i * width + j + 1]) {
                                push(script, '-', &a[i++]);
                        } else {
                                push(script, '+', &b[j++]);
                        }
                }
        }
        while (i < n)
                push(script, '-', &a[i++]);
        while (j < m)
                push(script, '+', &b[j++]);
}

static void compare(const struct lines *a, const struct lines *b, struct script *script)
{
        size_t head = 0, tail = 0;
        while (head < a->count && head < b->count && same(&a->item[head], &b->item[head]))
                push(script, ' ', &a->item[head++]);
        while (tail < a->count - head && tail < b->count - head &&
                same(&a->item[a->count - 1 - tail], &b->item[b->count - 1 - tail]))
                tail++;
        size_t n = a->count - head - tail, m = b->count - head - tail;
        middle(n ? a->item + head : NULL, n, m ? b->item + head : NULL, m, script);
        for (size_t i = a->count - tail; i < a->count; i++)
                push(script, ' ', &a->item[i]);
}

/* Is a changed line within reach of i? */
static bool near_change(const struct script *script, size_t i)
{
        size_t from = i > CONTEXT ? i - CONTEXT : 0, to = i + CONTEXT;
        for (size_t k = from; k <= to && k < script->count; k++)
                if (script->item[k].sign != ' ')
                        return true;
        return false;
}

static size_t give_out(const struct script *script, size_t max_lines, text_diff_line line, void *data)
{
        size_t given = 0, more = 0, passed = 0;
        for (size_t i = 0; i < script->count; i++) {
                const struct edit *edit = &script->item[i];
                if (!near_change(script, i)) {
                        passed++;
                        continue;
                }
                if (given >= max_lines) {
                        more++;
                        continue;
                }
                if (passed) {
                        char text[48];
                        int n = snprintf(text, sizeof text, "%zu %s", passed, passed == 1 ? "line" : "lines");
                        line(data, '@', text, (size_t)n);
                        passed = 0;
                        given++;
                }
                line(data, edit->sign, edit->line.text, edit->line.length);
                given++;
        }
        return more;
}

size_t text_diff(const char *old, const char *new_, size_t max_lines, text_diff_line line, void *data)
{
        struct lines a = {0}, b = {0};
        struct script script = {0};
        split(old, &a);
        split(new_, &b);
        compare(&a, &b, &script);
        size_t more = give_out(&script, max_lines, line, data);
        free(a.item);
        free(b.item);
        free(script.item);
        return more;
}
