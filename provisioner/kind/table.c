#include "kind/table.h"

extern const struct kind kind_host_account, kind_host_claim, kind_host_directory, kind_host_file, kind_host_homes,
        kind_host_tree, kind_value;

const struct kind *const kind_table[] = {
        &kind_host_account,
        &kind_host_claim,
        &kind_host_directory,
        &kind_host_file,
        &kind_host_homes,
        &kind_host_tree,
        &kind_value,
        NULL,
};
