/* libyaml's complaints in plain words. For this folder only. */
#ifndef CAAS_TREE_YAML_ERROR_H
#define CAAS_TREE_YAML_ERROR_H

#include <stddef.h>
#include <yaml.h>

#include "tree/diag.h"

/* The finding for a parser that just failed on this text. */
void yaml_error_add(const yaml_parser_t *yaml, const char *text, size_t length, struct diags *diags);

#endif
