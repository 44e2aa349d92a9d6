/* The HTTP client against a server that does everything wrong. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/file.h"
#include "client/http/http.h"
#include "client/tls/certificate.h"
#include "http_server.h"

#define PATIENT_MS 120000 /* with sanitizers, to read the system's authorities takes seconds on a busy machine */

static struct server *plain;

static int setup(void **state)
{
        (void)state;
        signal(SIGPIPE, SIG_IGN); /* of the server, whose clients leave in the middle */
        plain = server_start(NULL, NULL);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        server_stop(plain);
        return 0;
}

static char *url_of(const struct server *server, const char *path)
{
        return str_format("%s://127.0.0.1:%d%s", server->tls ? "https" : "http", server->port, path);
}

/* One request; what it answered, and its error in err. */
static int get(struct http_client *client, const char *path, struct http_response *ret, struct err **err)
{
        CLEANUP_FREE char *url = url_of(plain, path);
        return http_send(client, &(struct http_request){.url = url, .timeout_ms = PATIENT_MS}, ret, err);
}

static void test_get(void **state)
{
        (void)state;
        CLEANUP_HTTP struct http_client *client = http_client_new(NULL);
        CLEANUP_RESPONSE struct http_response response = {0};
        assert_int_equal(get(client, "/ok", &response, NULL), 0);
        assert_int_equal(response.status, 200);
        assert_string_equal(response.body, "hello");
        assert_int_equal(response.length, 5);
        assert_string_equal(response.content_type, "application/json");
        assert_null(response.location);
}

static void test_connections_are_kept(void **state)
{
        (void)state;
        CLEANUP_HTTP struct http_client *client = http_client_new(NULL);
        int before = plain->connections;
        for (int i = 0; i < 5; i++) {
                CLEANUP_RESPONSE struct http_response response = {0};
                assert_int_equal(get(client, "/ok", &response, NULL), 0);
        }
        assert_int_equal(plain->connections - before, 1);
        /* One that the server closed is opened again. */
        CLEANUP_RESPONSE struct http_response response = {0};
        assert_true(get(client, "/half", &response, NULL) < 0);
        assert_int_equal(get(client, "/ok", &response, NULL), 0);
}

static void test_what_is_sent(void **state)
{
        (void)state;
        CLEANUP_HTTP struct http_client *client = http_client_new(NULL);
        CLEANUP_RESPONSE struct http_response response = {0};
        CLEANUP_FREE char *url = url_of(plain, "/echo");
        const char *const headers[] = {"X-One: 1", NULL};
        struct http_request request = {
                .method = "PATCH", .url = url, .headers = headers, .token = "t0ken", .body = "b\0dy", .body_length = 4};
        assert_int_equal(http_send(client, &request, &response, NULL), 0);
        assert_non_null(strstr(response.body, "PATCH /echo HTTP/1.1\r\n"));
        assert_non_null(strstr(response.body, "X-One: 1\r\n"));
        assert_non_null(strstr(response.body, "Authorization: token t0ken\r\n"));
        assert_non_null(strstr(response.body, "Content-Length: 4\r\n"));
        /* The next request on the same client takes nothing of it along. */
        http_response_clear(&response);
        assert_int_equal(get(client, "/echo", &response, NULL), 0);
        assert_true(str_starts(response.body, "GET /echo"));
        assert_null(strstr(response.body, "Authorization"));
        assert_null(strstr(response.body, "X-One"));
}

/* Looks at the error and forgets it. (A pointer to it: the call that makes it may stand in the same argument list.) */
static void refused(int result, int code, struct err **err, const char *part)
{
        assert_int_equal(result, -code);
        assert_non_null(*err);
        if (!strstr((*err)->message, part))
                fail_msg("'%s' is not in: %s", part, (*err)->message);
        assert_null(strstr((*err)->message, "secret"));
        *err = err_free(*err);
}

static void test_bad_requests(void **state)
{
        (void)state;
        static const char *const urls[] = {
                NULL, "", "ftp://127.0.0.1/", "file:///etc/passwd", "http://user:secret@127.0.0.1/", "127.0.0.1"};
        CLEANUP_HTTP struct http_client *client = http_client_new(NULL);
        CLEANUP_RESPONSE struct http_response response = {0};
        for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
                assert_int_equal(
                        http_send(client, &(struct http_request){.url = urls[i]}, &response, NULL), -ERR_INVALID);
        CLEANUP_FREE char *url = url_of(plain, "/ok");
        const char *const headers[] = {"X-One: 1\r\nX-Two: 2", NULL};
        struct err *err = NULL;
        int r = http_send(client, &(struct http_request){.url = url, .headers = headers}, &response, &err);
        refused(r, ERR_INVALID, &err, "line break");
        r = http_send(client, &(struct http_request){.url = url, .token = "a\nb: secret"}, &response, &err);
        refused(r, ERR_INVALID, &err, "line break");
        assert_null(response.body);
}

static void test_redirects(void **state)
{
        (void)state;
        CLEANUP_HTTP struct http_client *client = http_client_new(NULL);
        CLEANUP_FREE char *to_ok = url_of(plain, "/to-ok");
        CLEANUP_FREE char *to_itself = url_of(plain, "/to-itself");
        CLEANUP_FREE char *elsewhere = url_of(plain, "/to-elsewhere");
        CLEANUP_FREE char *to_file = url_of(plain, "/to-file");
        CLEANUP_RESPONSE struct http_response response = {0};
        assert_int_equal(http_send(client, &(struct http_request){.url = to_ok}, &response, NULL), 0);
        assert_int_equal(response.status, 302); /* not asked to follow */
        assert_true(str_ends(response.location, "/ok"));
        http_response_clear(&response);
        assert_int_equal(http_send(client, &(struct http_request){.url = to_ok, .follow = true}, &response, NULL), 0);
        assert_int_equal(response.status, 200);
        http_response_clear(&response);
        /* What changes something is never sent a second time. */
        assert_int_equal(http_send(client, &(struct http_request){.method = "POST", .url = to_ok, .follow = true},
                                 &response, NULL),
                0);
        assert_int_equal(response.status, 302);
        http_response_clear(&response);

        struct err *err = NULL;
        int r = http_send(client, &(struct http_request){.url = to_itself, .follow = true}, &response, &err);
        refused(r, ERR_FAILED, &err, "more than 5 redirects");
        r = http_send(client, &(struct http_request){.url = elsewhere, .follow = true, .token = "t"}, &response, &err);
        refused(r, ERR_REFUSED, &err, "redirects to another place, http://127.0.0.2:1/,");
        r = http_send(client, &(struct http_request){.url = to_file, .follow = true}, &response, &err);
        refused(r, ERR_REFUSED, &err, "redirects to another place");
}

static void test_answers_are_bounded(void **state)
{
        (void)state;
        CLEANUP_HTTP struct http_client *client = http_client_new(NULL);
        static const char *const paths[] = {"/huge", "/huge-chunked"};
        for (int i = 0; i < 2; i++) {
                CLEANUP_RESPONSE struct http_response response = {0};
                CLEANUP_FREE char *url = url_of(plain, paths[i]);
                struct err *err = NULL;
                int r = http_send(client, &(struct http_request){.url = url, .max_bytes = 100000}, &response, &err);
                refused(r, ERR_INVALID, &err, "larger than 100000 bytes");
                assert_null(response.body);
        }
}

static void test_slow_answers_time_out(void **state)
{
        (void)state;
        CLEANUP_HTTP struct http_client *client = http_client_new(NULL);
        CLEANUP_RESPONSE struct http_response response = {0};
        CLEANUP_FREE char *url = url_of(plain, "/slow");
        struct err *err = NULL;
        int r = http_send(client, &(struct http_request){.url = url, .timeout_ms = 300}, &response, &err);
        refused(r, ERR_TIMEOUT, &err, "/slow: no complete answer in time");
}

static void test_broken_off(void **state)
{
        (void)state;
        CLEANUP_HTTP struct http_client *client = http_client_new(NULL);
        CLEANUP_RESPONSE struct http_response response = {0};
        struct err *err = NULL;
        refused(get(client, "/close", &response, &err), ERR_UNREACHABLE, &err, "/close: ");
        refused(get(client, "/half", &response, &err), ERR_UNREACHABLE, &err, "/half: ");
        int r = http_send(client, &(struct http_request){.url = "http://127.0.0.1:1/?secret"}, &response, &err);
        refused(r, ERR_UNREACHABLE, &err, "http://127.0.0.1:1/: ");
        r = http_send(client, &(struct http_request){.url = "http://no-such-host.invalid/", .timeout_ms = PATIENT_MS},
                &response, &err);
        refused(r, ERR_UNREACHABLE, &err, "host name is not known");
}

static void *raise_soon(void *data)
{
        clock_system()->sleep_ms(clock_system(), 100, NULL);
        cancel_raise(data);
        clock_system()->sleep_ms(clock_system(), 100, NULL);
        cancel_raise(data);
        return NULL;
}

static void test_cancel(void **state)
{
        (void)state;
        for (int level = 1; level <= 2; level++) {
                struct cancel *cancel = cancel_new();
                struct http_client *client =
                        http_client_new(&(struct http_options){.cancel = cancel, .cancel_level = level});
                CLEANUP_FREE char *url = url_of(plain, "/slow");
                struct http_response response = {0};
                pthread_t thread;
                pthread_create(&thread, NULL, raise_soon, cancel);
                assert_int_equal(
                        http_send(client, &(struct http_request){.url = url}, &response, NULL), -ERR_CANCELLED);
                assert_true(cancel_level(cancel) >= level);
                pthread_join(thread, NULL);
                /* Raised already: not even begun. */
                int before = plain->requests;
                assert_int_equal(
                        http_send(client, &(struct http_request){.url = url}, &response, NULL), -ERR_CANCELLED);
                assert_int_equal(plain->requests, before);
                http_client_free(client);
                cancel_free(cancel);
        }
}

static int ask_json(const char *path, json_t **ret, struct err **err)
{
        CLEANUP_HTTP struct http_client *client = http_client_new(NULL);
        CLEANUP_FREE char *url = url_of(plain, path);
        return http_json(client, &(struct http_request){.url = url}, NULL, ret, err);
}

static void test_json(void **state)
{
        (void)state;
        json_auto_t *answer = NULL, *empty = NULL, *none = NULL;
        assert_int_equal(ask_json("/json", &answer, NULL), 0);
        assert_int_equal(json_array_size(json_object_get(answer, "a")), 2);
        assert_int_equal(ask_json("/empty", &empty, NULL), 0);
        assert_true(json_is_null(empty));
        assert_int_equal(ask_json("/not-json", NULL, NULL), 0); /* nobody wants to know */
        struct err *err = NULL;
        refused(ask_json("/not-json", &none, &err), ERR_INVALID, &err, "the answer is no JSON");
        refused(ask_json("/missing", &none, &err), ERR_NOT_FOUND, &err, "/missing: status 404: no such user");
        refused(ask_json("/denied", &none, &err), ERR_DENIED, &err, "/denied: status 403: wrong token");
        refused(ask_json("/busy", &none, &err), ERR_UNREACHABLE, &err, "/busy: status 503");
        refused(ask_json("/broken", &none, &err), ERR_FAILED, &err, "/broken: status 500");
        assert_null(none);
}

static void test_json_is_sent(void **state)
{
        (void)state;
        CLEANUP_HTTP struct http_client *client = http_client_new(NULL);
        CLEANUP_FREE char *url = url_of(plain, "/json");
        CLEANUP_FREE char *echo = url_of(plain, "/echo");
        json_auto_t *body = json_pack("{s:s}", "name", "x"), *answer = NULL;
        struct http_request request = {.method = "POST", .url = url};
        assert_int_equal(http_json(client, &request, body, &answer, NULL), 0);
        const char *const headers[] = {"Accept: application/special", NULL};
        CLEANUP_RESPONSE struct http_response response = {0};
        request = (struct http_request){.url = echo, .headers = headers};
        assert_int_equal(http_send(client, &request, &response, NULL), 0);
        assert_non_null(strstr(response.body, "Accept: application/special\r\n"));
}

static void test_escape(void **state)
{
        (void)state;
        CLEANUP_FREE char *text = http_escape("a-Z_0.~/../?x=%\xc3\xa9 ");
        assert_string_equal(text, "a-Z_0.~%2F..%2F%3Fx%3D%25%C3%A9%20");
}

/* ---- TLS ---- */

struct files {
        char folder[40];
        char *ca, *other_ca, *certificate, *key;
};

static char *put(const struct files *files, const char *name, const char *text)
{
        char *path = file_join(files->folder, name);
        assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, (uid_t)-1, (gid_t)-1, NULL), 0);
        return path;
}

static void make_files(struct files *files, const char *name)
{
        struct clock *clock = clock_system();
        int64_t now = clock->wall_ms(clock) / 1000;
        char *ca, *ca_key, *other, *other_key, *certificate, *key;
        strcpy(files->folder, "/tmp/caas-http-XXXXXX");
        assert_non_null(mkdtemp(files->folder));
        assert_int_equal(tls_issue(&(struct tls_request){.name = "CA", .days = 2, .now = now}, &ca, &ca_key, NULL), 0);
        assert_int_equal(
                tls_issue(&(struct tls_request){.name = "other", .days = 2, .now = now}, &other, &other_key, NULL), 0);
        const char *const names[] = {name, NULL};
        struct tls_request request = {
                .name = "server", .names = names, .days = 2, .now = now, .ca_certificate = ca, .ca_key = ca_key};
        assert_int_equal(tls_issue(&request, &certificate, &key, NULL), 0);
        files->ca = put(files, "ca.crt", ca);
        files->other_ca = put(files, "other.crt", other);
        files->certificate = put(files, "server.crt", certificate);
        files->key = put(files, "server.key", key);
        free(ca), free(ca_key), free(other), free(other_key), free(certificate), free(key);
}

static void remove_files(struct files *files)
{
        file_remove_tree(files->folder, NULL);
        free(files->ca), free(files->other_ca), free(files->certificate), free(files->key);
}

static int ask_tls(const struct server *server, const char *ca, struct http_response *ret, struct err **err)
{
        CLEANUP_HTTP struct http_client *client = http_client_new(&(struct http_options){.ca = ca});
        CLEANUP_FREE char *url = url_of(server, "/ok");
        return http_send(client, &(struct http_request){.url = url, .timeout_ms = PATIENT_MS}, ret, err);
}

static void test_tls(void **state)
{
        (void)state;
        struct files files;
        make_files(&files, "127.0.0.1");
        struct server *server = server_start(files.certificate, files.key);
        CLEANUP_RESPONSE struct http_response response = {0};
        assert_int_equal(ask_tls(server, files.ca, &response, NULL), 0);
        assert_int_equal(response.status, 200);
        http_response_clear(&response);
        struct err *err = NULL;
        refused(ask_tls(server, files.other_ca, &response, &err), ERR_REFUSED, &err, "certificate is not trusted");
        refused(ask_tls(server, NULL, &response, &err), ERR_REFUSED, &err, "the system's authorities");
        refused(ask_tls(server, "/nonexistent.crt", &response, &err), ERR_INVALID, &err,
                "cannot use the CA file /nonexistent.crt");
        refused(ask_tls(server, files.key, &response, &err), ERR_INVALID, &err, "cannot use the CA file");
        server_stop(server);
        remove_files(&files);
}

static void test_tls_wrong_name(void **state)
{
        (void)state;
        struct files files;
        make_files(&files, "127.0.0.99");
        struct server *server = server_start(files.certificate, files.key);
        CLEANUP_RESPONSE struct http_response response = {0};
        struct err *err = NULL;
        refused(ask_tls(server, files.ca, &response, &err), ERR_REFUSED, &err, "certificate is not trusted");
        server_stop(server);
        remove_files(&files);
}

/* A plain server where TLS is spoken, and the environment's proxy, which must not see tokens. */
static void test_tls_against_plain(void **state)
{
        (void)state;
        CLEANUP_HTTP struct http_client *client = http_client_new(NULL);
        CLEANUP_FREE char *url = str_format("https://127.0.0.1:%d/", plain->port);
        CLEANUP_RESPONSE struct http_response response = {0};
        assert_true(http_send(client, &(struct http_request){.url = url, .timeout_ms = 3000}, &response, NULL) < 0);
        setenv("http_proxy", "http://127.0.0.1:1", 1);
        int r = get(client, "/ok", &response, NULL);
        unsetenv("http_proxy");
        assert_int_equal(r, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_get),
                cmocka_unit_test(test_connections_are_kept),
                cmocka_unit_test(test_what_is_sent),
                cmocka_unit_test(test_bad_requests),
                cmocka_unit_test(test_redirects),
                cmocka_unit_test(test_answers_are_bounded),
                cmocka_unit_test(test_slow_answers_time_out),
                cmocka_unit_test(test_broken_off),
                cmocka_unit_test(test_cancel),
                cmocka_unit_test(test_json),
                cmocka_unit_test(test_json_is_sent),
                cmocka_unit_test(test_escape),
                cmocka_unit_test(test_tls),
                cmocka_unit_test(test_tls_wrong_name),
                cmocka_unit_test(test_tls_against_plain),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
