#include "access/named_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "form/form.h"

/* Opened as those who read it do it later; nothing of it is read, for it may hold a secret. */
static int look(const char *file, struct err **err)
{
        struct stat st;
        CLEANUP_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_set_errno(err, errno, "cannot open %s", file);
        if (S_ISDIR(st.st_mode))
                return err_set(err, ERR_INVALID, "%s is a folder: write the file in it that is meant", file);
        return S_ISREG(st.st_mode) ? 0 : err_set(err, ERR_INVALID, "%s is not a regular file", file);
}

int named_files_check(const json_t *form, struct tree *tree, struct diags *diags)
{
        json_auto_t *files = form_files(form);
        json_t *one;
        size_t i;
        int result = 0;
        json_array_foreach (files, i, one) {
                const char *path = json_string_value(json_object_get(one, "path"));
                CLEANUP_ERR struct err *err = NULL;
                if (look(json_string_value(json_object_get(one, "file")), &err) == 0)
                        continue;
                int line, column;
                tree_place(tree, path, &line, &column);
                diags_add(diags, line, column, "%s: %s", path, err->message);
                result = -ERR_INVALID;
        }
        return result;
}
