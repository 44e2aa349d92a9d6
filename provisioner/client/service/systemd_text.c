#include "client/service/systemd_text.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define UNIT_BYTES_MAX (512 * 1024)

char *systemd_unit_name(const char *cluster, const char *name)
{
        return str_format("caas-%s-%s.service", cluster, name);
}

/* Quoted as systemd.syntax(7) says, with the specifiers (%) taken away. */
static void add_quoted(struct buf *text, const char *word)
{
        buf_str(text, "\"");
        for (const char *p = word; *p; p++) {
                if (*p == '\n' || *p == '\r') { /* a line break would begin another setting */
                        buf_str(text, *p == '\n' ? "\\n" : "\\r");
                        continue;
                }
                if (*p == '"' || *p == '\\')
                        buf_str(text, "\\");
                if (*p == '%')
                        buf_str(text, "%");
                buf_add(text, p, 1);
        }
        buf_str(text, "\"");
}

/* Values that stand without quotes: only specifiers mean something there. */
static void add_plain(struct buf *text, const char *key, const char *value)
{
        buf_format(text, "%s=", key);
        for (const char *p = value; *p; p++) {
                if (*p == '%')
                        buf_str(text, "%");
                buf_add(text, p, 1);
        }
        buf_str(text, "\n");
}

static bool has_line_break(const char *const *words)
{
        for (; words && *words; words++)
                if (strpbrk(*words, "\n\r"))
                        return true;
        return false;
}

static void add_words(struct buf *text, const char *key, const char *const *words)
{
        buf_format(text, "%s=", key);
        for (const char *const *w = words; w && *w; w++)
                buf_format(text, "%s%s", w == words ? "" : " ", *w);
        buf_str(text, "\n");
}

/* A user other than root gets what it needs and no way to more. Root services make mounts, which everybody has to see,
 * and users' processes: no name space of their own, no list of devices; but nothing of the kernel itself. */
static void add_user(struct buf *text, const struct service *service)
{
        buf_str(text, "RestrictRealtime=yes\nLockPersonality=yes\n");
        if (!service->user || str_is(service->user, "root")) {
                buf_str(text,
                        "CapabilityBoundingSet=~CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_TIME CAP_SYS_BOOT CAP_SYSLOG "
                        "CAP_WAKE_ALARM CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_AUDIT_CONTROL CAP_BPF CAP_PERFMON\n");
                return;
        }
        add_plain(text, "User", service->user);
        add_plain(text, "Group", service->group ? service->group : service->user);
        add_words(text, "AmbientCapabilities", service->capabilities);
        add_words(text, "CapabilityBoundingSet", service->capabilities);
        buf_str(text, "NoNewPrivileges=yes\nProtectSystem=full\nPrivateDevices=yes\nProtectKernelTunables=yes\n"
                      "ProtectKernelModules=yes\nProtectControlGroups=yes\nRestrictSUIDSGID=yes\n");
}

static void add_service(struct buf *text, const struct service *service, const char *secrets)
{
        /* exec: a start ends when the program has been entered, so that a missing one is an error at once */
        buf_str(text, "[Service]\nType=exec\nExecStart=:"); /* ":" = no $VARIABLES in the arguments */
        for (const char *const *word = service->command; *word; word++) {
                add_quoted(text, *word);
                buf_str(text, word[1] ? " " : "\n");
        }
        add_plain(text, "WorkingDirectory", service->directory ? service->directory : "/");
        buf_str(text, "Environment=\"LANG=C.UTF-8\"\n"
                      "Environment=\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n");
        for (const char *const *e = service->env; e && *e; e++) {
                buf_str(text, "Environment=");
                add_quoted(text, *e);
                buf_str(text, "\n");
        }
        if (secrets)
                add_plain(text, "EnvironmentFile", secrets);
        add_user(text, service);
        buf_format(text, "KillMode=%s\nTimeoutStopSec=%d\n", service->stop_group ? "mixed" : "process",
                service->stop_seconds > 0 ? service->stop_seconds : 10);
        buf_str(text, "Restart=always\nRestartSec=1\nUMask=0022\n");
        if (service->delegate)
                buf_str(text, "Delegate=yes\n");
        if (service->nofile > 0)
                buf_format(text, "LimitNOFILE=%ld\n", service->nofile);
}

int systemd_unit_text(
        const char *cluster, const struct service *service, const char *secrets, char **ret, struct err **err)
{
        const char *plain[] = {service->directory ? service->directory : "", service->user ? service->user : "",
                service->group ? service->group : "", secrets ? secrets : "", NULL};
        if (has_line_break(plain) || has_line_break(service->capabilities))
                return err_set(err, ERR_INVALID, "a line break in the folder, user or capabilities of service %s",
                        service->name);
        CLEANUP_BUF struct buf text = BUF_INIT(UNIT_BYTES_MAX);
        buf_format(&text,
                "# Service %s of cluster %s. Written by caas; changes do not last.\n"
                "[Unit]\nDescription=Pangeo cluster %s: %s\nWants=network-online.target\nAfter=network-online.target\n"
                /* a service that waits for another may die often at boot; one that never starts is given up */
                "StartLimitIntervalSec=300\nStartLimitBurst=100\n\n",
                service->name, cluster, cluster, service->name);
        add_service(&text, service, secrets);
        buf_str(&text, "\n[Install]\nWantedBy=multi-user.target\n");
        if (text.truncated)
                return err_set(err, ERR_INVALID, "the definition is larger than %d bytes", UNIT_BYTES_MAX);
        *ret = buf_steal(&text);
        return 0;
}
