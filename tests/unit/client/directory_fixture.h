/* A real 389 Directory Server for tests: what roles/identity/role.yaml says, applied with the real kinds in a folder of
 * its own, with a process of ours in place of the service. About a second. Needs root and Debian's 389-ds-base. */
#ifndef CAAS_TESTS_DIRECTORY_FIXTURE_H
#define CAAS_TESTS_DIRECTORY_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <jansson.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/ldap/directory.h"
#include "kind/kind.h"
#include "tree/subst.h"
#include "tree/tree.h"

extern const struct kind kind_host_certificate, kind_directory_instance, kind_ldap_entry, kind_ldap_group, kind_value;

struct fixture {
        char state[64];   /* the state folder */
        char cluster[96]; /* the cluster's */
        int port;
        pid_t server;
        json_t *values;    /* what ${…} stands for: "cluster.name", "identity/ca.certificate", … */
        json_t *resources; /* id -> {"kind", "spec"}, as applied */
        json_t *outputs;   /* id -> outputs */
        struct kind_ctx ctx;
};

__attribute__((unused)) static bool fixture_possible(void)
{
        return geteuid() == 0 && access("/usr/sbin/ns-slapd", X_OK) == 0 && access("/usr/bin/certutil", X_OK) == 0 &&
               getpwnam("dirsrv") != NULL;
}

static int fixture_try(int port, bool listening)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
        struct sockaddr_in to = {
                .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        int r = listening ? connect(fd, (struct sockaddr *)&to, sizeof to)
                          : bind(fd, (struct sockaddr *)&to, sizeof to);
        close(fd);
        return r;
}

static const struct kind *fixture_kind(const char *name)
{
        static const struct kind *const kinds[] = {
                &kind_host_certificate, &kind_directory_instance, &kind_ldap_entry, &kind_ldap_group, &kind_value};
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
                if (str_is(kinds[i]->name, name))
                        return kinds[i];
        return NULL;
}

static int fixture_lookup(void *data, const char *name, json_t **ret, struct err **err)
{
        const struct fixture *f = data;
        json_t *value = json_object_get(f->values, name);
        if (!value)
                return err_set(err, ERR_NOT_FOUND, "the test knows no ${%s}", name);
        *ret = json_incref(value);
        return SUBST_VALUE;
}

/* So that a test that gives up leaves nothing behind. */
static pid_t fixture_running;
static const char *fixture_folder;

static void fixture_print_log(void)
{
        CLEANUP_FREE char *path = str_format("%s/log", fixture_folder), *text = NULL;
        if (file_read(path, 1024 * 1024, &text, NULL, NULL) == 0)
                fprintf(stderr, "the server's log:\n%s\n", strlen(text) > 3000 ? text + strlen(text) - 3000 : text);
}

static void fixture_die(const char *what, struct err *err)
{
        char *text = err ? err_text(err) : NULL;
        fprintf(stderr, "fixture: %s: %s\n", what, text ? text : "");
        if (fixture_running > 0)
                kill(fixture_running, SIGTERM), waitpid(fixture_running, NULL, 0);
        if (fixture_folder) {
                fixture_print_log();
                file_remove_tree(fixture_folder, NULL);
        }
        exit(1);
}

static void fixture_output(struct fixture *f, const char *id, json_t *outputs)
{
        const char *name;
        json_t *value;
        json_object_foreach (outputs, name, value) {
                CLEANUP_FREE char *key = str_format("%s.%s", id, name);
                json_object_set(f->values, key, value);
        }
        json_object_set_new(f->outputs, id, outputs);
}

static bool fixture_wait(const struct fixture *f, int port)
{
        for (int i = 0; i < 600; i++) {
                if (fixture_try(port, true) == 0)
                        return true;
                if (f->server > 0 && waitpid(f->server, NULL, WNOHANG) == f->server)
                        return false;
                nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
        }
        return false;
}

/* What host.service does, in short. */
static bool fixture_start(struct fixture *f, const json_t *spec)
{
        const json_t *command = json_object_get(spec, "command");
        const char *argv[16] = {NULL};
        for (size_t i = 0; i < json_array_size(command) && i < 15; i++)
                argv[i] = json_string_value(json_array_get(command, i));
        CLEANUP_FREE char *log = str_format("%s/log", f->state);
        const struct passwd *account = getpwnam("dirsrv");
        f->server = fork();
        if (f->server == 0) {
                if (!freopen(log, "a", stderr) || dup2(2, 1) < 0 || initgroups("dirsrv", account->pw_gid) < 0 ||
                        setgid(account->pw_gid) < 0 || setuid(account->pw_uid) < 0 || chdir("/") < 0 ||
                        prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
                        _exit(120);
                unsetenv("ASAN_OPTIONS");
                execv(argv[0], (char *const *)argv);
                _exit(121);
        }
        fixture_running = f->server;
        return fixture_wait(f, f->port);
}

static void fixture_stop(struct fixture *f)
{
        if (f->server <= 0)
                return;
        kill(f->server, SIGTERM);
        for (int i = 0; i < 300 && waitpid(f->server, NULL, WNOHANG) == 0; i++) {
                nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
                if (i == 200)
                        kill(f->server, SIGKILL);
        }
        fixture_running = f->server = 0;
}

/* The other kinds, in miniature. */
static json_t *fixture_play(struct fixture *f, const char *kind, const char *id, const json_t *spec)
{
        if (str_is(kind, "host.claim"))
                return str_is(id, "identity/ids") ? json_pack("{s:i}", "first", 200000)
                                                  : json_pack("{s:i}", "ldaps", f->port);
        if (str_is(kind, "host.account"))
                return json_pack("{s:s}", "name", "dirsrv");
        if (str_is(kind, "host.file")) {
                const char *path = json_string_value(json_object_get(spec, "path"));
                const char *content = json_string_value(json_object_get(spec, "content"));
                struct err *err = NULL;
                CLEANUP_FREE char *folder = str_format("%s/bin", f->cluster);
                if (file_make_dirs(folder, 0755, &err) < 0 ||
                        file_write_atomic(path, content, strlen(content), 0755, 0, 0, &err) < 0)
                        fixture_die(id, err);
                return json_pack("{s:s, s:s}", "path", path, "digest", "1");
        }
        if (str_is(kind, "host.service") && !fixture_start(f, spec))
                fixture_die("the server did not start; its log says why", NULL);
        return json_object();
}

static void fixture_apply(struct fixture *f, const char *id, const char *kind_name, json_t *spec)
{
        const struct kind *kind = fixture_kind(kind_name);
        json_t *outputs = NULL, *state = NULL;
        struct err *err = NULL;
        struct resource r = {.id = (char *)id, .kind = (char *)kind_name, .spec = spec};
        if (!kind) {
                outputs = fixture_play(f, kind_name, id, spec);
        } else {
                if ((kind->check && kind->check(spec, &err) < 0) || kind->observe(&f->ctx, &r, &state, &err) < 0 ||
                        kind->apply(&f->ctx, &r, NULL, state, &outputs, &err) < 0)
                        fixture_die(id, err);
                json_decref(state);
        }
        json_object_set_new(f->resources, id, json_pack("{s:s, s:O}", "kind", kind_name, "spec", spec));
        fixture_output(f, id, outputs ? outputs : json_object());
}

static bool fixture_wanted(struct fixture *f, const json_t *resource)
{
        const json_t *when = json_object_get(resource, "when");
        json_auto_t *provider = NULL;
        if (!when)
                return true;
        return fixture_lookup(f, "form.identity.provider", &provider, NULL) == SUBST_VALUE &&
               json_equal(json_object_get(when, "${form.identity.provider}"), provider);
}

static void fixture_file(json_t *spec)
{
        const char *name = json_string_value(json_object_get(spec, "source"));
        if (!name)
                return;
        CLEANUP_FREE char *path = str_format("roles/identity/%s", name), *text = NULL;
        struct err *err = NULL;
        if (file_read(path, 1024 * 1024, &text, NULL, &err) < 0)
                fixture_die(path, err);
        json_object_set_new(spec, "content", json_string(text));
        json_object_del(spec, "source");
}

/* `entries: {yaml: FILE}`, as it stands for all targets. */
static void fixture_yaml(json_t *spec)
{
        const char *name = json_string_value(json_object_get(json_object_get(spec, "entries"), "yaml"));
        if (!name)
                return;
        CLEANUP_FREE char *path = str_format("roles/identity/%s", name);
        struct err *err = NULL;
        struct tree *tree = NULL;
        if (tree_load(path, &tree, &err) < 0)
                fixture_die(path, err);
        json_object_set(spec, "entries", tree_root(tree));
        tree_free(tree);
}

static void fixture_resource(struct fixture *f, const json_t *resource)
{
        if (!fixture_wanted(f, resource))
                return;
        struct err *err = NULL;
        json_t *spec = NULL;
        json_auto_t *text = json_deep_copy(json_object_get(resource, "spec"));
        const char *id = json_string_value(json_object_get(resource, "id"));
        fixture_yaml(text);
        if (subst_tree(text, fixture_lookup, f, false, &spec, &err) < 0)
                fixture_die(id, err);
        fixture_file(spec);
        fixture_apply(f, id, json_string_value(json_object_get(resource, "kind")), spec);
        json_decref(spec);
}

static int fixture_open(struct fixture *f, int first_port)
{
        signal(SIGPIPE, SIG_IGN); /* as the program does */
        *f = (struct fixture){
                .port = first_port, .values = json_object(), .resources = json_object(), .outputs = json_object()};
        strcpy(f->state, "/tmp/caas-directory-XXXXXX");
        if (!mkdtemp(f->state) || chmod(f->state, 0711) < 0)
                return -1;
        snprintf(f->cluster, sizeof f->cluster, "%s/clusters/t", f->state);
        fixture_folder = f->state;
        while (fixture_try(f->port, false) < 0 && f->port < first_port + 20)
                f->port++;
        f->ctx = (struct kind_ctx){
                .cluster = "t", .state_dir = f->state, .cluster_dir = f->cluster, .clock = clock_system()};
        static const char *const secrets[] = {"root", "hub", "provisioner", "admin"};
        for (size_t i = 0; i < 4; i++) {
                CLEANUP_FREE char *name = str_format("secret.identity/%s_password", secrets[i]);
                CLEANUP_FREE char *value = str_format("%s-secret-0123456789", secrets[i]);
                json_object_set_new(f->values, name, json_string(value));
        }
        json_object_set_new(f->values, "form.identity.provider", json_string("embedded"));
        json_object_set_new(f->values, "cluster.name", json_string("t"));
        json_object_set_new(f->values, "cluster.dir", json_string(f->cluster));
        struct err *err = NULL;
        struct tree *tree = NULL;
        if (file_make_dirs(f->cluster, 0711, &err) < 0 || tree_load("roles/identity/role.yaml", &tree, &err) < 0)
                fixture_die("role.yaml", err);
        size_t i;
        json_t *resource;
        json_array_foreach (tree_get(tree_root(tree), "targets.host"), i, resource)
                fixture_resource(f, resource);
        tree_free(tree);
        return 0;
}

/* A resource as it was applied; the spec is a copy that the test may change. */
__attribute__((unused)) static struct resource fixture_get(struct fixture *f, const char *id)
{
        const json_t *item = json_object_get(f->resources, id);
        return (struct resource){.id = (char *)id,
                .kind = (char *)json_string_value(json_object_get(item, "kind")),
                .spec = json_deep_copy(json_object_get(item, "spec"))};
}

__attribute__((unused)) static const char *fixture_value(struct fixture *f, const char *name)
{
        return json_string_value(json_object_get(f->values, name));
}

static void fixture_close(struct fixture *f)
{
        fixture_stop(f);
        struct err *err = NULL;
        if (file_remove_tree(f->state, &err) < 0)
                fixture_die("cannot clean up", err);
        json_decref(f->values);
        json_decref(f->resources);
        json_decref(f->outputs);
}

/* ---- the program's one ---- */

static struct fixture fixture;
static int fixture_first_port;

__attribute__((unused)) static struct directory_options fixture_options(const char *dn, const char *password)
{
        return (struct directory_options){.uri = fixture_value(&fixture, "identity/access.uri"),
                .ca = fixture_value(&fixture, "identity/access.ca"),
                .bind_dn = dn,
                .password = password,
                .connect_ms = 3000,
                .operation_ms = 5000};
}

__attribute__((unused)) static struct directory *fixture_root(void)
{
        struct directory_options options = fixture_options("cn=Directory Manager", "root-secret-0123456789");
        struct directory *directory = NULL;
        struct err *err = NULL;
        if (directory_open(&options, &directory, &err) < 0)
                fixture_die("root", err);
        return directory;
}

static int fixture_setup(void **state)
{
        (void)state;
        return fixture_open(&fixture, fixture_first_port);
}

static int fixture_teardown(void **state)
{
        (void)state;
        fixture_close(&fixture);
        return 0;
}

static int fixture_skip(void)
{
        puts("skip: needs root and the packages 389-ds-base and libnss3-tools");
        return 0;
}

#define FIXTURE_RUN(tests, port)                                                                                       \
        (fixture_first_port = (port),                                                                                  \
                fixture_possible() ? cmocka_run_group_tests(tests, fixture_setup, fixture_teardown) : fixture_skip())

#endif
