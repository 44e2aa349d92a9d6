#include "base/utf8.h"

#include <string.h>

#include "base/str.h"

char *utf8_make(char *text)
{
        size_t length = strlen(text), done = 0, bad;
        for (; !str_utf8(text + done, length - done, &bad); done += bad + 1)
                text[done + bad] = '?';
        return text;
}
