#include "client/service/runit_text.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define SCRIPT_BYTES_MAX (512 * 1024)

/* setpriv: another user, with the few capabilities it is to keep and no way to get more. */
static void add_user(struct buf *text, const struct service *service)
{
        if (!service->user || str_is(service->user, "root"))
                return;
        buf_str(text, "/usr/bin/setpriv --reuid ");
        buf_shell(text, service->user);
        buf_str(text, " --regid ");
        buf_shell(text, service->group ? service->group : service->user);
        buf_str(text, " --init-groups --no-new-privs");
        CLEANUP_BUF struct buf keep = BUF_INIT(1024);
        for (const char *const *c = service->capabilities; c && *c; c++) {
                buf_str(&keep, ",+");
                for (const char *p = str_starts(*c, "CAP_") ? *c + 4 : *c; *p; p++) {
                        char lower = (char)tolower((unsigned char)*p);
                        buf_add(&keep, &lower, 1);
                }
        }
        CLEANUP_FREE char *set = str_format("-all%s", keep.length ? keep.data : "");
        static const char *const sets[] = {"--inh-caps", "--ambient-caps", "--bounding-set"};
        for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
                buf_format(text, " %s ", sets[i]);
                buf_shell(text, set);
        }
        buf_str(text, " -- ");
}

int runit_run_text(const char *cluster, const struct service *service, const char *folder, char **ret, struct err **err)
{
        CLEANUP_FREE char *env = NULL;
        int result = service_env_file(service->env, &env, err);
        if (result < 0)
                return result;
        CLEANUP_BUF struct buf text = BUF_INIT(SCRIPT_BYTES_MAX);
        buf_format(&text, "#!/bin/sh\n# Service %s of cluster %s. Written by caas; changes do not last.\n",
                service->name, cluster);
        /* its own session, whose number is ours: exec keeps the pid */
        buf_str(&text, "exec 2>&1\numask 022\necho $$ >session\nset -a\n");
        buf_str(&text, env);
        if (service->secrets && *service->secrets) {
                CLEANUP_FREE char *secrets = str_format("%s/secrets", folder);
                buf_str(&text, ". ");
                buf_shell(&text, secrets);
                buf_str(&text, "\n");
        }
        buf_str(&text, "set +a\n");
        if (service->nofile > 0)
                buf_format(&text, "ulimit -n %ld 2>/dev/null || ulimit -n \"$(ulimit -H -n)\"\n", service->nofile);
        buf_str(&text, "cd ");
        buf_shell(&text, service->directory ? service->directory : "/");
        buf_str(&text, " || exit 111\nexec /usr/bin/setsid ");
        add_user(&text, service);
        for (const char *const *word = service->command; *word; word++) {
                buf_shell(&text, *word);
                buf_str(&text, word[1] ? " " : "\n");
        }
        if (text.truncated)
                return err_set(err, ERR_INVALID, "the definition is larger than %d bytes", SCRIPT_BYTES_MAX);
        *ret = buf_steal(&text);
        return 0;
}

char *runit_finish_text(const struct service *service)
{
        if (!service->stop_group)
                return NULL;
        return str_copy("#!/bin/sh\n# What it leaves behind would be in the way of the next start.\n"
                        "read -r pid <session && kill -s KILL -- \"-$pid\" 2>/dev/null\nexit 0\n");
}

char *runit_log_text(const char *log_folder)
{
        CLEANUP_BUF struct buf text = BUF_INIT(SCRIPT_BYTES_MAX);
        buf_str(&text, "#!/bin/sh\nexec svlogd -tt ");
        buf_shell(&text, log_folder);
        buf_str(&text, "\n");
        return buf_steal(&text);
}
