/* Groups made by systemd: transient scopes. `systemd-run --scope` registers its own process with the manager and then
 * becomes the command, so the caller's process number stays what it was. */
#include "client/cgroup/cgroup_impl.h"

#include <inttypes.h>

#include "base/mem.h"
#include "base/str.h"

char **cgroup_scope_command(const struct cgroup_tree *tree, const char *name, const struct cgroup_limits *limits)
{
        char **words = mem_zero_array(16, sizeof *words);
        size_t n = 0;
        words[n++] = str_copy("systemd-run");
        words[n++] = str_copy("--scope");
        words[n++] = str_copy("--quiet");
        words[n++] = str_copy("--collect"); /* leaves no failed unit behind that would hold the name */
        words[n++] = str_format("--description=%s of %s", name, tree->parent); /* else it is the whole command line */
        words[n++] = str_format("--slice=%s", tree->slice);
        words[n++] = str_format("--unit=%s-%s.scope", tree->parent, name);
        words[n++] = str_format("--property=MemoryMax=%" PRId64, limits->memory);
        words[n++] = str_copy("--property=MemorySwapMax=0");
        words[n++] = str_format("--property=CPUQuota=%ld.%ld%%", limits->cpu / 10, limits->cpu % 10);
        words[n++] = str_format("--property=TasksMax=%ld", limits->tasks);
        words[n++] = str_copy("--property=CPUAccounting=yes");
        /* "what runs in here is not your business": so an out-of-memory kill of one kernel does not stop the whole
         * scope (OOMPolicy= says it more directly, but not to scopes before version 253) */
        words[n++] = str_copy("--property=Delegate=yes");
        words[n++] = str_copy("--");
        return words;
}
