/* docs/FORM.md is the table of fields, printed. UPDATE=1 writes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "form/form.h"

static const char head[] =
        "# The form\n\n"
        "One YAML file a cluster. `caas new` prints one with comments, `caas check` says what is wrong "
        "with yours, `caas schema` prints\nthe JSON Schema. GB means 10^9 bytes. This table is made from "
        "the same source as all of them.\n\n";

static void test_the_document_is_the_table(void **state)
{
        (void)state;
        CLEANUP_FREE char *table = form_markdown();
        CLEANUP_FREE char *wanted = str_format("%s%s", head, table);
        if (getenv("UPDATE"))
                assert_int_equal(
                        file_write_atomic("docs/FORM.md", wanted, strlen(wanted), 0644, (uid_t)-1, (gid_t)-1, NULL), 0);
        CLEANUP_FREE char *found = NULL;
        assert_int_equal(file_read("docs/FORM.md", 1000000, &found, NULL, NULL), 0);
        assert_string_equal(found, wanted);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_document_is_the_table)};
        return cmocka_run_group_tests_name("form document", tests, NULL, NULL);
}
