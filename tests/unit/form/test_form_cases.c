/* tests/cases/form: the complete form of a text, or everything that is wrong with it. A first line "# address: A" says
 * which address the machine has; a file old.yaml is the form applied before. */
#include "../tree/cases.h"

#include "form/form.h"

static char *address_of(const char *text, size_t length)
{
        static const char head[] = "# address: ";
        size_t n = strlen(head);
        if (length < n || memcmp(text, head, n) != 0)
                return NULL;
        CLEANUP_FREE char *copy = str_copy_n(text + n, length - n);
        return str_copy_n(copy, strcspn(copy, "\n"));
}

static json_t *old_form(const char *folder)
{
        CLEANUP_FREE char *path = file_join(folder, "old.yaml");
        CLEANUP_FREE char *text = NULL;
        CLEANUP_DIAGS struct diags diags = {0};
        size_t length;
        json_t *form = NULL;
        if (!file_exists(path))
                return NULL;
        assert_int_equal(file_read(path, TREE_BYTES_MAX, &text, &length, NULL), 0);
        CLEANUP_FREE char *address = address_of(text, length);
        assert_int_equal(form_read(text, length, &(struct form_facts){.address = address}, &form, NULL, &diags), 0);
        return form;
}

static void must_be_sorted(const struct diags *diags)
{
        for (size_t i = 1; i < diags->count; i++)
                assert_true(diags->item[i - 1].line <= diags->item[i].line);
}

static struct case_result run(const char *folder, const char *text, size_t length)
{
        CLEANUP_DIAGS struct diags diags = {0};
        CLEANUP_FREE char *address = address_of(text, length);
        json_auto_t *old = old_form(folder), *form = NULL;
        struct tree *tree = NULL;
        int rc = form_read(text, length, &(struct form_facts){.address = address}, &form, &tree, &diags);
        if (rc == 0 && old)
                rc = form_check_update(old, form, tree, &diags);
        tree_free(tree);
        must_be_sorted(&diags);
        assert_int_equal(rc<0, diags.count> 0);
        if (rc < 0)
                return (struct case_result){.error = cases_findings(&diags)};
        char *json = json_dumps(form, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
        char *output = str_format("%s\n", json);
        free(json);
        return (struct case_result){.output = output};
}

int main(void)
{
        return cases_main("form", 60, run);
}
