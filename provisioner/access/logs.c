#include "access/logs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define TAIL_BYTES   (1024 * 1024) /* of one file */
#define FILES_MAX    4             /* of one service: current and the last that were rotated away */
#define PIECE_BYTES  (64 * 1024)
#define FOLLOW_MS    250
#define STAMP_LENGTH 25 /* 2026-11-21_14:03:22.12345 */

static bool has_stamp(const char *line, size_t length)
{
        static const char pattern[] = "dddd-dd-dd_dd:dd:dd.ddddd";
        if (length < STAMP_LENGTH)
                return false;
        for (size_t i = 0; i < STAMP_LENGTH; i++)
                if (pattern[i] == 'd' ? line[i] < '0' || line[i] > '9' : line[i] != pattern[i])
                        return false;
        return true;
}

static struct log_line take_apart(const char *name, const char *line, size_t length)
{
        size_t stamp = has_stamp(line, length) ? STAMP_LENGTH : 0;
        size_t skip = stamp + (stamp && length > stamp && line[stamp] == ' ');
        return (struct log_line){name, line, line + skip, stamp, length - skip};
}

/* ---- the end ---- */

/* A line in the order of time: one without a stamp belongs behind the line it came after. */
struct entry {
        struct log_line line;
        const char *stamp; /* its own, or the last one before it; "" if there was none */
        size_t position;
};

struct lines {
        struct entry *item;
        size_t count, capacity;
        char **kept; /* the texts they point into */
        size_t kept_count, kept_capacity;
};

static void lines_clear(struct lines *lines)
{
        for (size_t i = 0; i < lines->kept_count; i++)
                free(lines->kept[i]);
        free(lines->kept);
        free(lines->item);
}
#define CLEANUP_LINES __attribute__((cleanup(lines_clear)))

/* What a power cut kept from the disk reads as NULs, and nothing behind them would be shown. */
static size_t without_nuls(char *text, size_t length)
{
        size_t kept = 0;
        for (size_t i = 0; i < length; i++)
                if (text[i])
                        text[kept++] = text[i];
        return kept;
}

/* The last bytes of a file; the first, cut line is dropped. */
static int read_end(const char *path, char **ret, struct err **err)
{
        CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        struct stat st;
        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_set_errno(err, errno, "cannot read %s", path);
        off_t from = st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0;
        size_t room = (size_t)(st.st_size - from), length = 0;
        char *text = mem_zero(room + 1);
        while (length < room) {
                ssize_t n = pread(fd, text + length, room - length, from + (off_t)length);
                if (n <= 0)
                        break;
                length += (size_t)n;
        }
        length = without_nuls(text, length);
        text[length] = '\0';
        char *newline = from ? memchr(text, '\n', length) : NULL;
        if (newline)
                memmove(text, newline + 1, length - (size_t)(newline + 1 - text) + 1);
        *ret = text;
        return 0;
}

static void add_lines(struct lines *lines, const char *name, char *text)
{
        MEM_GROW(lines->kept, lines->kept_count, lines->kept_capacity);
        lines->kept[lines->kept_count++] = text;
        const char *stamp = "";
        while (*text) {
                size_t n = strcspn(text, "\n");
                struct log_line line = take_apart(name, text, n);
                if (line.stamp_length)
                        stamp = line.stamp;
                MEM_GROW(lines->item, lines->count, lines->capacity);
                lines->item[lines->count] = (struct entry){line, stamp, lines->count};
                lines->count++;
                text += n + (text[n] == '\n');
        }
}

static int newer_first(const void *a, const void *b)
{
        return strcmp(*(char *const *)b, *(char *const *)a);
}

/* The names of rotated files (@<time>.s or .u), the newest first; NULL-terminated. The caller frees each and the array.
 */
static char **rotated(const char *folder)
{
        char **names = NULL;
        size_t count = 0, capacity = 0;
        DIR *dir = opendir(folder);
        for (struct dirent *entry; dir && (entry = readdir(dir));) {
                if (entry->d_name[0] != '@')
                        continue;
                MEM_GROW(names, count, capacity);
                names[count++] = str_copy(entry->d_name);
        }
        if (dir)
                closedir(dir);
        if (count)
                qsort(names, count, sizeof *names, newer_first);
        MEM_GROW(names, count, capacity);
        names[count] = NULL;
        return names;
}

static int add_source(struct lines *lines, const struct log_source *source, size_t wanted, struct err **err)
{
        CLEANUP_FREE char *current = file_join(source->folder, "current");
        char **older = rotated(source->folder), *text = NULL;
        size_t before = lines->count;
        int r = read_end(current, &text, err);
        if (r == 0 && text)
                add_lines(lines, source->name, text);
        for (size_t i = 0; older[i]; i++) {
                if (r == 0 && i + 1 < FILES_MAX && lines->count - before < wanted) {
                        CLEANUP_FREE char *path = file_join(source->folder, older[i]);
                        text = NULL;
                        r = read_end(path, &text, err);
                        if (r == 0 && text)
                                add_lines(lines, source->name, text);
                }
                free(older[i]);
        }
        free(older);
        return r;
}

static int by_time(const void *a, const void *b)
{
        const struct entry *x = a, *y = b;
        int order = strncmp(x->stamp, y->stamp, STAMP_LENGTH);
        return order ? order : x->position < y->position ? -1 : x->position > y->position;
}

int logs_tail(const struct log_source *sources, size_t count, size_t lines, log_sink sink, void *data, struct err **err)
{
        CLEANUP_LINES struct lines all = {0};
        for (size_t i = 0; i < count; i++) {
                int r = add_source(&all, &sources[i], lines, err);
                if (r < 0)
                        return r;
        }
        if (all.count)
                qsort(all.item, all.count, sizeof *all.item, by_time);
        for (size_t i = all.count > lines ? all.count - lines : 0; i < all.count; i++)
                sink(data, &all.item[i].line);
        return 0;
}

/* ---- what comes ---- */

struct follower {
        const struct log_source *source;
        char *path;
        int fd;
        ino_t inode;
        struct buf rest; /* the beginning of a line */
};

/* from_end: what is there already has been shown. */
static void open_log(struct follower *f, bool from_end)
{
        struct stat st;
        f->fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (f->fd < 0 || fstat(f->fd, &st) < 0)
                return; /* not there yet: it is tried again */
        f->inode = st.st_ino;
        if (from_end)
                lseek(f->fd, 0, SEEK_END);
}

static void give_line(struct follower *f, log_sink sink, void *data)
{
        struct log_line line = take_apart(f->source->name, f->rest.data ? f->rest.data : "", f->rest.length);
        sink(data, &line);
        buf_clear(&f->rest);
}

static void read_more(struct follower *f, log_sink sink, void *data)
{
        char piece[8192];
        for (ssize_t n; f->fd >= 0 && (n = read(f->fd, piece, sizeof piece)) > 0;) {
                for (ssize_t i = 0; i < n; i++) {
                        if (piece[i] == '\n') {
                                give_line(f, sink, data);
                                continue;
                        }
                        buf_add(&f->rest, &piece[i], 1);
                        if (f->rest.length == PIECE_BYTES)
                                give_line(f, sink, data);
                }
        }
}

/* svlogd renames what is full and begins a new file. */
static void look_again(struct follower *f, log_sink sink, void *data)
{
        struct stat st;
        read_more(f, sink, data);
        if (stat(f->path, &st) < 0 || (f->fd >= 0 && st.st_ino == f->inode))
                return;
        read_more(f, sink, data); /* what came between the two looks */
        if (f->fd >= 0)
                close(f->fd);
        open_log(f, false);
        read_more(f, sink, data);
}

void logs_follow(const struct log_source *sources, size_t count, struct cancel *cancel, log_sink sink, void *data)
{
        struct clock *clock = clock_system();
        struct follower *all = mem_zero_array(count, sizeof *all);
        for (size_t i = 0; i < count; i++) {
                all[i] = (struct follower){.source = &sources[i],
                        .path = file_join(sources[i].folder, "current"),
                        .rest = BUF_INIT(PIECE_BYTES)};
                open_log(&all[i], true);
        }
        do
                for (size_t i = 0; i < count; i++)
                        look_again(&all[i], sink, data);
        while (clock->sleep_ms(clock, FOLLOW_MS, cancel) == 0);
        for (size_t i = 0; i < count; i++) {
                if (all[i].fd >= 0)
                        close(all[i].fd);
                buf_clear(&all[i].rest);
                free(all[i].path);
        }
        free(all);
}
