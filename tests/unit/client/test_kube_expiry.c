/* A watch of a real API server that expires: who restarts that server while it goes on (tests/integration/kubernetes/
 * test_k05_units.py) takes away what the watch could go on from, and gets a 410. CAAS_KUBECONFIG names the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/kube/kube.h"

#define NAME "watched-until-it-expires" /* whoever restarts the server waits for it */
#define MS   120000

struct watching {
        struct kube *kube;
        struct buf told;
        int lists;
};

static int on_event(void *data, const char *type, const json_t *object)
{
        struct watching *watching = data;
        buf_format(&watching->told, "%s ", type);
        watching->lists += object == NULL;
        if (watching->lists == 2 && !object) { /* what comes now comes by the new stream */
                struct kube_ref ref = {"v1", "ConfigMap", "default", NAME};
                return kube_delete(watching->kube, &ref, NULL, NULL, NULL);
        }
        return str_is(type, "DELETED");
}

static void test_a_watch_that_expires(void **state)
{
        (void)state;
        struct err *err = NULL;
        CLEANUP_KUBE struct kube *kube = NULL;
        if (kube_open(&(struct kube_options){.kubeconfig = getenv("CAAS_KUBECONFIG")}, &kube, &err) < 0)
                fail_msg("%s", err->message);
        json_auto_t *watched = json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "v1", "kind", "ConfigMap",
                "metadata", "name", NAME, "namespace", "default");
        if (kube_apply(kube, watched, 0, NULL, &err) < 0)
                fail_msg("%s", err->message);
        struct kube_list list = {
                .api_version = "v1", .kind = "ConfigMap", .namespace = "default", .fields = "metadata.name=" NAME};
        struct watching watching = {.kube = kube, .told = BUF_INIT(1000)};
        if (kube_watch(kube, &list, MS, on_event, &watching, &err) < 0)
                fail_msg("%s (%s)", err->message, watching.told.data);
        /* A second list, and nothing told twice: without the 410 it would have gone on without one. */
        assert_string_equal(watching.told.data, "ADDED SYNC SYNC DELETED ");
        buf_clear(&watching.told);
}

int main(void)
{
        if (!getenv("CAAS_KUBECONFIG")) {
                printf("skip: CAAS_KUBECONFIG names no cluster: no watch expires\n");
                return 0;
        }
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_watch_that_expires)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
