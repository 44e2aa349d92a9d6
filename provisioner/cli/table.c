/* The one list of commands. */
#include "cli/command.h"

const struct command *const command_table[] = {
        &cmd_new,
        &cmd_check,
        &cmd_plan,
        &cmd_apply,
        &cmd_status,
        &cmd_top,
        &cmd_list,
        &cmd_destroy,
        &cmd_adopt,
        &cmd_grant,
        &cmd_revoke,
        &cmd_users,
        &cmd_user_add,
        &cmd_user_passwd,
        &cmd_user_remove,
        &cmd_password,
        &cmd_history,
        &cmd_logs,
        &cmd_test,
        &cmd_schema,
        &cmd_version,
        &cmd_completion,
        &cmd_help,
        NULL,
};
