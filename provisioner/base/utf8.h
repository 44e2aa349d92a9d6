/* Text that has to be UTF-8 whatever it was made of: JSON takes nothing else. */
#ifndef CAAS_BASE_UTF8_H
#define CAAS_BASE_UTF8_H

/* Puts "?" in the place of each byte that keeps text from being UTF-8. In place; returns text. */
char *utf8_make(char *text);

#endif
