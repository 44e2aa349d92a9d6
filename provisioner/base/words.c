#include "base/words.h"

#include "base/str.h"

int words_read(const struct word *table, char **words, void *data, char ***ret_rest, struct err **err)
{
        for (; *words; words++) {
                const char *name = *words;
                if (ret_rest && str_is(name, "--")) {
                        *ret_rest = words + 1;
                        return 0;
                }
                const struct word *word = table;
                while (word->name && !str_is(word->name, name))
                        word++;
                if (!word->name)
                        return err_set(err, ERR_USAGE, "unknown option %s", name);
                if (word->flag) {
                        *word->flag = true;
                        continue;
                }
                const char *value = *++words;
                if (!value)
                        return err_set(err, ERR_USAGE, "%s: its value is missing", name);
                if (word->number && (str_to_long(value, word->number) < 0 || *word->number < 0))
                        return err_set(err, ERR_USAGE, "%s: not a number: %s", name, value);
                if (word->text)
                        *word->text = value;
                int r = word->take ? word->take(data, name, value, err) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}
