/* The least memory that an exporter of these libraries has: bench_exporter_floor PORT URL. It serves one short page by
 * libmicrohttpd, asks URL once by libcurl (which initialises TLS) and reads the answer by jansson. That is what the
 * measured exporter needs of them. Then it makes a handle of libldap and a database, as that of a whole cluster has.
 * Nothing of ours is in it. Prints the peak in kB after either. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <jansson.h>
#include <ldap.h>
#include <microhttpd.h>
#include <openssl/evp.h>
#include <sqlite3.h>

#define ANSWER_MAX 65536

struct answer {
        size_t length;
        char text[ANSWER_MAX];
};

static enum MHD_Result serve(void *data, struct MHD_Connection *connection, const char *url, const char *method,
        const char *version, const char *body, size_t *body_length, void **seen)
{
        (void)data, (void)url, (void)method, (void)version, (void)body, (void)body_length, (void)seen;
        static char page[] = "up 1\n";
        struct MHD_Response *response = MHD_create_response_from_buffer(strlen(page), page, MHD_RESPMEM_PERSISTENT);
        enum MHD_Result r = MHD_queue_response(connection, MHD_HTTP_OK, response);
        MHD_destroy_response(response);
        return r;
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
        struct answer *answer = user;
        size_t length = size * count;
        if (length > ANSWER_MAX - answer->length)
                return 0;
        memcpy(answer->text + answer->length, data, length);
        answer->length += length;
        return length;
}

static bool ask(const char *url, struct answer *answer)
{
        CURL *easy = curl_easy_init();
        answer->length = 0;
        bool said = easy && curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
                    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
                    curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer) == CURLE_OK &&
                    curl_easy_perform(easy) == CURLE_OK;
        curl_easy_cleanup(easy);
        return said;
}

static int print_peak(const char *what)
{
        char line[256];
        FILE *status = fopen("/proc/self/status", "re");
        while (status && fgets(line, sizeof line, status))
                if (strncmp(line, "VmHWM:", 6) == 0)
                        printf("%s %ld\n", what, strtol(line + 6, NULL, 10));
        return status ? fclose(status) : EOF;
}

static bool directory_and_database(void)
{
        LDAP *ldap = NULL;
        sqlite3 *db = NULL;
        bool made = ldap_initialize(&ldap, "ldaps://localhost") == LDAP_SUCCESS &&
                    sqlite3_open(":memory:", &db) == SQLITE_OK &&
                    sqlite3_exec(db, "CREATE TABLE run (id INTEGER PRIMARY KEY); SELECT max(id) FROM run", NULL, NULL,
                            NULL) == SQLITE_OK;
        sqlite3_close(db);
        if (ldap)
                ldap_unbind_ext_s(ldap, NULL, NULL);
        return made;
}

int main(int argc, char **argv)
{
        static struct answer answer;
        unsigned char digest[EVP_MAX_MD_SIZE];
        setenv("SASL_PATH", "/nonexistent", 1); /* no plugins, as in the exporter */
        if (argc != 3 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return EXIT_FAILURE;
        unsigned port = (unsigned)strtoul(argv[1], NULL, 10);
        struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD,
                (unsigned short)port, NULL, NULL, serve, NULL, MHD_OPTION_END);
        char own[64];
        snprintf(own, sizeof own, "http://127.0.0.1:%u/", port);
        bool fine = daemon && ask(own, &answer) && ask(argv[2], &answer);
        json_t *tree = fine ? json_loadb(answer.text, answer.length, 0, NULL) : NULL;
        fine = tree && EVP_Digest(answer.text, answer.length, digest, NULL, EVP_sha256(), NULL) == 1 &&
               print_peak("libraries") == 0 && directory_and_database() && print_peak("whole") == 0;
        json_decref(tree);
        MHD_stop_daemon(daemon);
        curl_global_cleanup();
        return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
