/* What a real API server is spoken to in, and on how many connections. CAAS_KUBECONFIG names the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/kube/private.h"

#define THREADS     8
#define TIMES       25
#define PATIENCE_MS 60000 /* nobody opens one more because this machine is slow */

static struct kube *opened(void)
{
        struct kube *kube = NULL;
        struct err *err = NULL;
        if (kube_open(&(struct kube_options){.kubeconfig = getenv("CAAS_KUBECONFIG")}, &kube, &err) < 0)
                fail_msg("%s", err->message);
        kube->patience_ms = PATIENCE_MS;
        return kube;
}

/* What went wrong, or NULL. The caller frees. */
static char *look(struct kube *kube)
{
        struct kube_ref ref = {"v1", "Namespace", NULL, "default"};
        CLEANUP_ERR struct err *err = NULL;
        return kube_get(kube, &ref, NULL, &err) < 0 ? str_copy(err->message) : NULL;
}

static void must_be_fine(char *fault)
{
        if (fault)
                fail_msg("%s", fault);
}

/* Something is sent, and nothing written. */
static char *try_out(struct kube *kube)
{
        json_auto_t *object = json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "v1", "kind", "ConfigMap", "metadata",
                "namespace", "default", "name", "connections");
        CLEANUP_ERR struct err *err = NULL;
        return kube_apply(kube, object, KUBE_DRY_RUN, NULL, &err) < 0 ? str_copy(err->message) : NULL;
}

/* What is traced of HTTP while one thing is done. The caller frees. */
static char *traced(struct kube *kube, char *(*act)(struct kube *kube))
{
        FILE *file = tmpfile();
        assert_non_null(file);
        fflush(stderr);
        int before = dup(STDERR_FILENO);
        dup2(fileno(file), STDERR_FILENO);
        log_configure("http");
        char *fault = act(kube);
        log_configure(NULL);
        fflush(stderr);
        dup2(before, STDERR_FILENO);
        close(before);
        must_be_fine(fault);
        rewind(file);
        char *text = NULL;
        size_t room = 0;
        assert_true(getdelim(&text, &room, 0, file) > 0);
        fclose(file);
        return text;
}

struct asking {
        struct kube *kube;
        char *(*act)(struct kube *kube);
        int times;
};

static void *act_often(void *data)
{
        const struct asking *asking = data;
        char *fault = NULL;
        for (int i = 0; i < asking->times && !fault; i++)
                fault = asking->act(asking->kube);
        return fault;
}

/* Connections that were opened for THREADS threads, after each other or at once. */
static long opened_for(struct kube *kube, char *(*act)(struct kube *kube), int times, bool at_once)
{
        struct asking asking = {kube, act, times};
        pthread_t thread[THREADS];
        long before, requests_before, after, requests;
        void *said = NULL;
        kube_counts(kube, &requests_before, &before);
        for (int i = 0; i < THREADS; i++) {
                pthread_create(&thread[i], NULL, act_often, &asking);
                if (at_once)
                        continue;
                pthread_join(thread[i], &said);
                must_be_fine(said);
        }
        for (int i = 0; at_once && i < THREADS; i++) {
                pthread_join(thread[i], &said);
                must_be_fine(said);
        }
        kube_counts(kube, &requests, &after);
        assert_int_equal(requests - requests_before, (long)THREADS * times);
        return after - before;
}

static void must_speak(struct kube *kube, char *(*act)(struct kube *kube), const char *path, bool http2)
{
        CLEANUP_FREE char *text = traced(kube, act);
        if (!strstr(text, path) || http2 != (strstr(text, "(HTTP/2)") != NULL))
                fail_msg("%s", text);
}

static void test_the_version_that_is_spoken(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = opened();
        must_be_fine(look(kube));
        must_speak(kube, look, "/api/v1/namespaces/default", true);
        must_speak(kube, look, "/api/v1/namespaces/default", true);
        opened_for(kube, try_out, TIMES, true);
        must_speak(kube, try_out, "/configmaps/connections", false);
        must_speak(kube, look, "/api/v1/namespaces/default", true);
}

static void test_threads_use_each_others_connections(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = opened();
        long requests, connections;
        must_be_fine(look(kube)); /* it asks for the kinds as well */
        kube_counts(kube, &requests, &connections);
        assert_int_equal(connections, 1);
        assert_int_equal(opened_for(kube, look, 1, false), 0);
        assert_true(opened_for(kube, look, TIMES, true) <= KUBE_FEW - 1);
        assert_int_equal(opened_for(kube, look, 1, false), 0);
        assert_int_equal(opened_for(kube, try_out, 1, false), 0); /* one after the other over what is there */
        long sending = opened_for(kube, try_out, TIMES, true);
        assert_true(sending > 0 && sending <= KUBE_FEW);
        assert_int_equal(opened_for(kube, try_out, 1, false), 0);
}

int main(void)
{
        if (!getenv("CAAS_KUBECONFIG")) {
                printf("skip: CAAS_KUBECONFIG names no cluster: no connections to a real one are counted\n");
                return 0;
        }
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_version_that_is_spoken),
                cmocka_unit_test(test_threads_use_each_others_connections),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
