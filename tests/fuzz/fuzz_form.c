/* Any bytes as a form: no crash, findings exactly when refused; a complete form is complete, and a form again. */
#include "base/mem.h"
#include "base/str.h"
#include "form/form.h"
#include "form/table.h"
#include "fuzz.h"

/* What was left out ("", the port 0 of a node) and what is derived are no part of a form. */
static json_t *prune(const json_t *value)
{
        json_t *result, *item;
        const char *key;
        size_t i;
        if (json_is_array(value)) {
                result = json_array();
                json_array_foreach (value, i, item)
                        json_array_append_new(result, prune(item));
                return result;
        }
        if (!json_is_object(value))
                return json_incref((json_t *)value);
        result = json_object();
        json_object_foreach ((json_t *)value, key, item) {
                bool left_out = str_is(json_string_value(item), "") ||
                                (str_is(key, "node_port") && json_integer_value(item) == 0);
                if (!left_out && !str_starts(key, "largest_"))
                        json_object_set_new(result, key, prune(item));
        }
        return result;
}

static void again(const json_t *form)
{
        json_auto_t *pruned = prune(form), *second = NULL;
        CLEANUP_FREE char *yaml = tree_to_yaml(pruned);
        CLEANUP_DIAGS struct diags diags = {0};
        struct tree *tree = NULL;
        if (form_read(yaml, strlen(yaml), NULL, &second, &tree, &diags) < 0) {
                fprintf(stderr, "%s\n%s\n", yaml, diags.item[0].message);
                abort();
        }
        /* what was derived from what was given or not may differ; the fields may not */
        json_auto_t *second_pruned = prune(second);
        MUST(json_equal(pruned, second_pruned));
        MUST(form_check_update(form, second, tree, &diags) == 0);
        tree_free(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char *const addresses[] = {NULL, "127.0.0.1", "9.9.9.9", "2a01:4f8::1"};
        CLEANUP_DIAGS struct diags diags = {0};
        json_auto_t *form = NULL;
        struct tree *tree = NULL;
        struct form_facts facts = {.address = addresses[size % 4]};
        int rc = form_read((const char *)data, size, &facts, &form, &tree, &diags);
        MUST((rc < 0) == (diags.count > 0));
        MUST((rc < 0) == (form == NULL) && (rc < 0) == (tree == NULL));
        for (size_t i = 0; i < diags.count; i++) {
                MUST(i == 0 || diags.item[i - 1].line <= diags.item[i].line);
                MUST(str_utf8(diags.item[i].message, strlen(diags.item[i].message), NULL));
                MUST(strpbrk(diags.item[i].message, "\n\r\x1b") == NULL);
        }
        if (form) {
                const char *target = json_string_value(tree_get(form, "target"));
                for (size_t i = 0; i < form_table_count; i++)
                        MUST(form_in_items(&form_table[i]) ||
                                form_of_other_target(&form_table[i], target) == !tree_get(form, form_table[i].path));
                again(form);
                form_resolve_paths(form, "/folder");
        }
        tree_free(tree);
        return 0;
}
