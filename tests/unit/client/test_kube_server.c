/* The Kubernetes client against a real API server, where CAAS_KUBECONFIG names one. Its namespace: client-test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/kube/kube.h"
#include "kube_files.h"

#define SPACE "client-test"

static struct kube *kube;

static struct err *err; /* of the call under test */

#define MUST(call)                                                                                                     \
        do {                                                                                                           \
                if ((call) < 0)                                                                                        \
                        fail_msg("%s", err ? err->message : "(no message)");                                           \
        } while (0)

static void refuse(int r, int code, struct err **said, const char *first, const char *second)
{
        const char *text = *said ? (*said)->message : "(none)";
        if (r != -code)
                fail_msg("%d instead of %d: %s", r, -code, text);
        if (!strstr(text, first) || !strstr(text, second))
                fail_msg("'%s' or '%s' is not in: %s", first, second, text);
        *said = err_free(*said);
}

static json_t *config_map(const char *name, const char *key, const char *value)
{
        return json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s}}, s:{s:s}}", "apiVersion", "v1", "kind", "ConfigMap",
                "metadata", "name", name, "namespace", SPACE, "labels", "test", "client", "data", key, value);
}

static struct kube_ref map_ref(const char *name)
{
        return (struct kube_ref){.api_version = "v1", .kind = "ConfigMap", .namespace = SPACE, .name = name};
}

static const char *meta(const json_t *object, const char *name)
{
        return json_string_value(json_object_get(json_object_get(object, "metadata"), name));
}

static void test_version(void **state)
{
        (void)state;
        CLEANUP_FREE char *version = NULL;
        MUST(kube_version(kube, &version, &err));
        assert_true(str_starts(version, "v1."));
}

static void test_apply(void **state)
{
        (void)state;
        json_auto_t *wanted = config_map("one", "a", "1");
        json_auto_t *first = NULL;
        json_auto_t *second = NULL;
        json_auto_t *dry = NULL;
        struct kube_ref ref = map_ref("one");
        MUST(kube_apply(kube, wanted, KUBE_DRY_RUN, &dry, &err));
        refuse(kube_get(kube, &ref, NULL, &err), ERR_NOT_FOUND, &err, "ConfigMap " SPACE "/one", "not found");
        MUST(kube_apply(kube, wanted, 0, &first, &err));
        MUST(kube_apply(kube, wanted, 0, &second, &err));
        assert_string_equal(meta(first, "resourceVersion"), meta(second, "resourceVersion"));
        json_auto_t *changed = config_map("one", "a", "2");
        json_auto_t *shown = NULL;
        MUST(kube_apply(kube, changed, KUBE_DRY_RUN, &shown, &err));
        assert_string_equal(json_string_value(json_object_get(json_object_get(shown, "data"), "a")), "2");
        json_auto_t *kept = NULL;
        MUST(kube_get(kube, &ref, &kept, &err));
        assert_string_equal(json_string_value(json_object_get(json_object_get(kept, "data"), "a")), "1");
        refuse(kube_apply(kube, changed, KUBE_NEW, NULL, &err), ERR_EXISTS, &err, "one", "has been modified");
        refuse(kube_apply(kube, changed, KUBE_NEW | KUBE_FORCE, NULL, &err), ERR_EXISTS, &err, "one", "");
        json_auto_t *new_ = config_map("new", "a", "1"), *made = NULL, *still = NULL;
        MUST(kube_apply(kube, new_, KUBE_NEW | KUBE_METADATA, &made, &err));
        assert_null(json_object_get(made, "data"));
        MUST(kube_apply(kube, new_, 0, &still, &err));
        struct kube_ref new_ref = map_ref("new");
        MUST(kube_delete(kube, &new_ref, NULL, NULL, &err)); /* others look at what there is */
        assert_string_equal(meta(made, "resourceVersion"), meta(still, "resourceVersion"));
        assert_string_equal(meta(made, "uid"), meta(still, "uid"));
        assert_non_null(json_object_get(still, "data"));
        MUST(kube_get(kube, &ref, &still, &err));
        assert_string_equal(json_string_value(json_object_get(json_object_get(still, "data"), "a")), "1");
        json_auto_t *odd = config_map("one", "a", "1");
        json_object_set_new(odd, "dota", json_true());
        refuse(kube_apply(kube, odd, 0, NULL, &err), ERR_INVALID, &err, "dota", "ConfigMap " SPACE "/one");
        json_auto_t *wrong = config_map("Not_A_Name", "a", "1");
        refuse(kube_apply(kube, wrong, 0, NULL, &err), ERR_INVALID, &err, "Not_A_Name", "lowercase");
}

static void test_conflicts(void **state)
{
        (void)state;
        json_auto_t *one = config_map("conflict", "a", "1");
        json_auto_t *two = config_map("conflict", "a", "3");
        json_auto_t *patch = json_pack("{s:{s:s}}", "data", "a", "2");
        struct kube_ref ref = map_ref("conflict");
        MUST(kube_apply(kube, one, 0, NULL, &err));
        MUST(kube_patch(kube, &ref, patch, 0, NULL, &err)); /* what we patched ourselves is no conflict */
        json_auto_t *after = NULL;
        MUST(kube_apply(kube, two, 0, &after, &err));
        assert_string_equal(json_string_value(json_object_get(json_object_get(after, "data"), "a")), "3");
        /* another manager, by the same call with another name in the path is not to be had: write it as such */
        json_auto_t *foreign = json_pack("{s:{s:[{s:s, s:s, s:s, s:s, s:{s:{s:{}}}}]}}", "metadata", "managedFields",
                "manager", "kubectl-edit", "operation", "Update", "apiVersion", "v1", "fieldsType", "FieldsV1",
                "fieldsV1", "f:data", "f:a");
        MUST(kube_patch(kube, &ref, foreign, 0, NULL, &err));
        refuse(kube_apply(kube, one, 0, NULL, &err), ERR_REFUSED, &err, "\"kubectl-edit\" owns .data.a",
                "--force-conflicts");
        refuse(kube_apply(kube, one, KUBE_DRY_RUN, NULL, &err), ERR_REFUSED, &err, "kubectl-edit", ".data.a");
        MUST(kube_apply(kube, one, KUBE_FORCE, NULL, &err));
        MUST(kube_apply(kube, one, 0, NULL, &err));
}

static void test_create_and_delete(void **state)
{
        (void)state;
        json_auto_t *object = config_map("made", "a", "1");
        json_auto_t *made = NULL;
        struct kube_ref ref = map_ref("made");
        MUST(kube_create(kube, object, 0, &made, &err));
        refuse(kube_create(kube, object, 0, NULL, &err), ERR_EXISTS, &err, "made", "already exists");
        refuse(kube_delete(kube, &ref, NULL, "00000000-0000-0000-0000-000000000000", &err), ERR_REFUSED, &err, "made",
                "UID");
        MUST(kube_delete(kube, &ref, "Foreground", meta(made, "uid"), &err));
        MUST(kube_delete(kube, &ref, "Background", NULL, &err));
        refuse(kube_get(kube, &ref, NULL, &err), ERR_NOT_FOUND, &err, "made", "");
        struct kube_ref unknown = {
                .api_version = "nobody.example/v1", .kind = "Thing", .namespace = SPACE, .name = "x"};
        refuse(kube_get(kube, &unknown, NULL, &err), ERR_NOT_FOUND, &err, "no kind Thing", "CustomResourceDefinition");
}

static int count(void *data, const json_t *object)
{
        assert_string_equal(json_string_value(json_object_get(object, "kind")), "ConfigMap");
        ++*(int *)data;
        return 0;
}

static void test_list(void **state)
{
        (void)state;
        for (int i = 0; i < 7; i++) {
                CLEANUP_FREE char *name = str_format("page-%d", i);
                json_auto_t *object = config_map(name, "a", "1");
                json_object_set_new(json_object_get(object, "metadata"), "labels", json_pack("{s:s}", "page", "yes"));
                MUST(kube_apply(kube, object, 0, NULL, &err));
        }
        for (int page = 1; page < 9; page += 3) {
                int seen = 0;
                CLEANUP_FREE char *version = NULL;
                struct kube_list list = {.api_version = "v1",
                        .kind = "ConfigMap",
                        .namespace = SPACE,
                        .labels = "page=yes",
                        .page = page};
                MUST(kube_list(kube, &list, count, &seen, &version, &err));
                assert_int_equal(seen, 7);
                assert_true(strlen(version) > 0);
        }
        int seen = 0;
        struct kube_list one = {
                .api_version = "v1", .kind = "ConfigMap", .fields = "metadata.name=page-3", .labels = "page=yes"};
        MUST(kube_list(kube, &one, count, &seen, NULL, &err));
        assert_int_equal(seen, 1);
        one.labels = "a==b==c";
        refuse(kube_list(kube, &one, count, &seen, NULL, &err), ERR_INVALID, &err, "list ConfigMap", "found '=='");
}

/* The server has all that are taken for granted, where they are thought to be. */
static void test_standing_kinds(void **state)
{
        (void)state;
        static const char *const kinds[][2] = {{"apps/v1", "DaemonSet"}, {"apps/v1", "Deployment"},
                {"apps/v1", "ReplicaSet"}, {"apps/v1", "StatefulSet"}, {"batch/v1", "CronJob"}, {"batch/v1", "Job"},
                {"networking.k8s.io/v1", "Ingress"}, {"networking.k8s.io/v1", "IngressClass"},
                {"networking.k8s.io/v1", "NetworkPolicy"}, {"policy/v1", "PodDisruptionBudget"},
                {"rbac.authorization.k8s.io/v1", "ClusterRole"}, {"rbac.authorization.k8s.io/v1", "ClusterRoleBinding"},
                {"rbac.authorization.k8s.io/v1", "Role"}, {"rbac.authorization.k8s.io/v1", "RoleBinding"},
                {"scheduling.k8s.io/v1", "PriorityClass"}, {"storage.k8s.io/v1", "StorageClass"}};
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
                struct kube_ref ref = {kinds[i][0], kinds[i][1], SPACE, "not-there"};
                refuse(kube_get(kube, &ref, NULL, &err), ERR_NOT_FOUND, &err, "\"not-there\" not found", kinds[i][1]);
        }
}

/* ---- watching ---- */

struct watching {
        struct buf told;
        int left;
        atomic_bool synced;
};

static int on_event(void *data, const char *type, const json_t *object)
{
        struct watching *watching = data;
        buf_format(&watching->told, "%s%s%s ", type, object ? ":" : "", object ? meta(object, "name") : "");
        if (str_is(type, "SYNC"))
                watching->synced = true;
        return --watching->left == 0;
}

static void *change_things(void *data)
{
        struct watching *watching = data;
        while (!watching->synced)
                poll(NULL, 0, 5);
        json_auto_t *one = config_map("seen-2", "a", "1");
        json_auto_t *two = config_map("seen-2", "a", "2");
        struct kube_ref ref = map_ref("seen-2");
        bool good = kube_apply(kube, one, 0, NULL, NULL) == 0 && kube_apply(kube, two, 0, NULL, NULL) == 0 &&
                    kube_delete(kube, &ref, NULL, NULL, NULL) == 0;
        return good ? NULL : "failed";
}

static void test_watch(void **state)
{
        (void)state;
        json_auto_t *first = config_map("seen-1", "a", "1");
        json_object_set_new(json_object_get(first, "metadata"), "labels", json_pack("{s:s}", "test", "client"));
        MUST(kube_apply(kube, first, 0, NULL, &err));
        struct watching watching = {.told = BUF_INIT(10000), .left = 5};
        struct kube_list list = {.api_version = "v1",
                .kind = "ConfigMap",
                .namespace = SPACE,
                .fields = "metadata.name!=kube-root-ca.crt",
                .labels = "test=client"};
        struct kube_ref others[] = {map_ref("one"), map_ref("conflict")};
        for (size_t i = 0; i < 2; i++)
                MUST(kube_delete(kube, &others[i], NULL, NULL, &err));
        pthread_t thread;
        void *said;
        pthread_create(&thread, NULL, change_things, &watching);
        MUST(kube_watch(kube, &list, 20000, on_event, &watching, &err));
        pthread_join(thread, &said);
        assert_null(said);
        assert_string_equal(watching.told.data, "ADDED:seen-1 SYNC ADDED:seen-2 MODIFIED:seen-2 DELETED:seen-2 ");
        buf_clear(&watching.told);
        watching.left = 100;
        refuse(kube_watch(kube, &list, 1500, on_event, &watching, &err), ERR_TIMEOUT, &err, "the time is up",
                "ConfigMap");
        assert_string_equal(watching.told.data, "ADDED:seen-1 SYNC ");
        buf_clear(&watching.told);
}

/* ---- threads, rights ---- */

static void *apply_many(void *data)
{
        for (int i = 0; i < 25; i++) {
                CLEANUP_FREE char *name = str_format("many-%d-%d", *(int *)data, i);
                json_auto_t *object = config_map(name, "a", "1");
                if (kube_apply(kube, object, 0, NULL, NULL) < 0)
                        return "failed";
        }
        return NULL;
}

static void test_threads(void **state)
{
        (void)state;
        pthread_t thread[8];
        int number[8];
        long before, requests, connections_before, connections;
        kube_counts(kube, &before, &connections_before);
        for (int i = 0; i < 8; i++) {
                number[i] = i;
                pthread_create(&thread[i], NULL, apply_many, &number[i]);
        }
        for (int i = 0; i < 8; i++) {
                void *said;
                pthread_join(thread[i], &said);
                assert_null(said);
        }
        kube_counts(kube, &requests, &connections);
        assert_int_equal(requests - before, 200);
        assert_true(connections - connections_before <= 8);
}

static void test_rights(void **state)
{
        (void)state;
        struct kube_permission list[] = {
                {.verb = "create", .group = "apps", .resource = "deployments", .namespace = SPACE},
                {.verb = "get", .resource = "pods", .subresource = "log", .namespace = SPACE},
                {.verb = "delete", .resource = "nodes", .name = "x"}, {.verb = "list", .resource = "secrets"}};
        bool allowed[4] = {0};
        MUST(kube_can(kube, list, 4, allowed, &err));
        for (int i = 0; i < 4; i++)
                assert_true(allowed[i]);
}

/* A service account without rights, as which we come by a token. */
static void test_less_rights(void **state)
{
        (void)state;
        json_auto_t *account = json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "v1", "kind", "ServiceAccount",
                "metadata", "name", "nobody", "namespace", SPACE);
        MUST(kube_apply(kube, account, 0, NULL, &err));
        CLEANUP_FREE char *text = NULL;
        FILE *file = fopen(getenv("CAAS_KUBECONFIG"), "r");
        assert_non_null(file);
        size_t room = 0;
        assert_true(getdelim(&text, &room, 0, file) > 0);
        fclose(file);
        char folder[] = "/tmp/caas-kube-XXXXXX";
        assert_non_null(mkdtemp(folder));
        char *end = strstr(text, "users:");
        assert_non_null(end);
        *end = '\0';
        CLEANUP_FREE char *other = str_format(
                "%susers: [{name: n, user: {token: %s}}]\ncontexts: [{name: x, context: {cluster: testbed, user: n}}]\n"
                "current-context: x\n",
                text, "eyJhbGciOiJub25lIn0.eyJleHAiOjE3MDAwMDAwMDB9.c2ln");
        CLEANUP_FREE char *path = put(folder, "config", other, 0600);
        struct kube *stranger = NULL;
        MUST(kube_open(&(struct kube_options){.kubeconfig = path}, &stranger, &err));
        struct kube_ref ref = map_ref("one");
        refuse(kube_get(stranger, &ref, NULL, &err), ERR_DENIED, &err, "401", "expired at 2023-11-14T22:13:20Z");
        kube_close(stranger);
        file_remove_tree(folder, NULL);
}

/* ---- logs and port-forward, of the cluster's DNS (where there is a node for it) ---- */

static int ready_dns(void *data, const json_t *pod)
{
        char **ret = data;
        size_t i;
        json_t *condition;
        json_array_foreach (json_object_get(json_object_get(pod, "status"), "conditions"), i, condition)
                if (str_is(json_string_value(json_object_get(condition, "type")), "Ready") &&
                        str_is(json_string_value(json_object_get(condition, "status")), "True") && !*ret)
                        *ret = str_copy(meta(pod, "name"));
        return 0;
}

static char *dns_pod(void)
{
        char *name = NULL;
        struct kube_list list = {
                .api_version = "v1", .kind = "Pod", .namespace = "kube-system", .labels = "k8s-app=kube-dns"};
        MUST(kube_list(kube, &list, ready_dns, &name, NULL, &err));
        if (!name)
                printf("skip: no node runs the cluster's DNS: logs and port-forwards are not tested\n");
        return name;
}

static int on_line(void *data, const char *text, size_t length)
{
        assert_int_equal(strlen(text), length);
        ++*(int *)data;
        return 0;
}

static int stop_after_one(void *data, const char *text, size_t length)
{
        (void)text, (void)length;
        return ++*(int *)data;
}

static void test_logs(void **state)
{
        (void)state;
        CLEANUP_FREE char *pod = dns_pod();
        if (!pod)
                skip();
        int all = 0, one = 0, followed = 0;
        MUST(kube_logs(kube, "kube-system", pod, NULL, NULL, on_line, &all, &err));
        MUST(kube_logs(kube, "kube-system", pod, NULL, &(struct kube_log_options){.tail = 1}, on_line, &one, &err));
        assert_true(all >= 1);
        assert_int_equal(one, 1);
        struct kube_log_options follow = {.follow = true};
        MUST(kube_logs(kube, "kube-system", pod, NULL, &follow, stop_after_one, &followed, &err));
        assert_int_equal(followed, 1);
        follow.until_ms = 1000;
        refuse(kube_logs(kube, "kube-system", pod, NULL, &follow, on_line, &followed, &err), ERR_TIMEOUT, &err, pod,
                "");
        refuse(kube_logs(kube, "kube-system", "no-such", NULL, NULL, on_line, &all, &err), ERR_NOT_FOUND, &err,
                "no-such", "");
        refuse(kube_logs(kube, "kube-system", pod, "nobody", NULL, on_line, &all, &err), ERR_INVALID, &err, "nobody",
                pod);
}

static int dial(int port)
{
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct timeval limit = {.tv_sec = 10};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        return fd;
}

/* kubernetes.default.svc.cluster.local over TCP; the answer's bytes, 0 when there is none. */
static size_t ask_dns(int fd)
{
        static const char query[] =
                "\0\x36\x12\x34\x01\0\0\1\0\0\0\0\0\0\12kubernetes\7default\3svc\7cluster\5local\0\0\1\0\1";
        char answer[600];
        size_t n = 0;
        if (send(fd, query, 2 + 0x36, MSG_NOSIGNAL) != 2 + 0x36)
                return 0;
        while (n < 2 || n < 2 + ((size_t)(unsigned char)answer[0] << 8 | (unsigned char)answer[1])) {
                ssize_t got = recv(fd, answer + n, sizeof answer - n, 0);
                if (got <= 0)
                        return 0;
                n += (size_t)got;
        }
        return answer[2] == 0x12 && answer[3] == 0x34 ? n : 0;
}

static void test_forward(void **state)
{
        (void)state;
        CLEANUP_FREE char *pod = dns_pod();
        if (!pod)
                skip();
        CLEANUP_KUBE_FORWARD struct kube_forward *forward = NULL;
        int port = 0;
        MUST(kube_forward_open(kube, "kube-system", "kube-dns", 53, &forward, &port, &err));
        for (int i = 0; i < 20; i++) {
                int fd = dial(port);
                for (int j = 0; j < 5; j++)
                        assert_true(ask_dns(fd) > 40);
                close(fd);
        }
        assert_null(kube_forward_trouble(forward));
        CLEANUP_FREE char *by_pod = str_format("pod/%s", pod);
        struct kube_forward *nobody = NULL;
        int closed_port = 0;
        MUST(kube_forward_open(kube, "kube-system", by_pod, 9, &nobody, &closed_port, &err));
        int fd = dial(closed_port);
        char byte;
        assert_true(recv(fd, &byte, 1, 0) <= 0);
        close(fd);
        CLEANUP_FREE char *trouble = NULL;
        for (int i = 0; i < 100 && !trouble; i++) {
                trouble = kube_forward_trouble(nobody);
                poll(NULL, 0, 20);
        }
        assert_non_null(trouble);
        assert_non_null(strstr(trouble, "refused"));
        assert_null(kube_forward_close(nobody));
        refuse(kube_forward_open(kube, "kube-system", "kube-dns", 54, &nobody, &port, &err), ERR_NOT_FOUND, &err,
                "no port 54", "kube-dns");
        refuse(kube_forward_open(kube, "kube-system", "no-such", 54, &nobody, &port, &err), ERR_NOT_FOUND, &err,
                "no-such", "");
}

static int start(void **state)
{
        (void)state;
        MUST(kube_open(&(struct kube_options){.kubeconfig = getenv("CAAS_KUBECONFIG")}, &kube, &err));
        json_auto_t *space =
                json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Namespace", "metadata", "name", SPACE);
        MUST(kube_apply(kube, space, 0, NULL, &err));
        return 0;
}

static int end(void **state)
{
        (void)state;
        kube_delete(kube, &(struct kube_ref){.api_version = "v1", .kind = "Namespace", .name = SPACE}, "Foreground",
                NULL, NULL);
        for (int i = 0;
                i < 300 && kube_get(kube, &(struct kube_ref){.api_version = "v1", .kind = "Namespace", .name = SPACE},
                                   NULL, NULL) == 0;
                i++)
                poll(NULL, 0, 100);
        kube = kube_close(kube);
        return 0;
}

int main(void)
{
        if (!getenv("CAAS_KUBECONFIG")) {
                printf("skip: CAAS_KUBECONFIG names no cluster: the Kubernetes client is not tested against a real "
                       "one\n");
                return 0;
        }
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_version),
                cmocka_unit_test(test_apply),
                cmocka_unit_test(test_conflicts),
                cmocka_unit_test(test_create_and_delete),
                cmocka_unit_test(test_list),
                cmocka_unit_test(test_standing_kinds),
                cmocka_unit_test(test_watch),
                cmocka_unit_test(test_threads),
                cmocka_unit_test(test_rights),
                cmocka_unit_test(test_less_rights),
                cmocka_unit_test(test_logs),
                cmocka_unit_test(test_forward),
        };
        return cmocka_run_group_tests(tests, start, end);
}
