#include "exporter/config.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/cgroup/cgroup.h"
#include "exporter/address.h"

#define CONFIG_MAX      (1024 * 1024)
#define LIST_MAX        1000
#define REFRESH_SECONDS 15.0
#define REFRESH_MIN     0.1 /* tests are in a hurry */
#define REFRESH_MAX     3600.0
#define TIMEOUT_MS      10000
#define LISTEN          "127.0.0.1:9750"

struct config *config_free(struct config *config)
{
        if (!config)
                return NULL;
        free(config->parts);
        free(config->services);
        free(config->certificates);
        json_decref(config->root);
        cancel_free(config->cancel);
        free(config);
        return NULL;
}

static int wrong(const char *where, const json_error_t *error, struct err **err)
{
        return err_set(err, ERR_INVALID, "%s%s%s", where, *where ? ": " : "", error->text);
}

/* ret_database NULL: it has none. */
static int read_api(
        json_t *tree, const char *where, struct config_api *ret, const char **ret_database, struct err **err)
{
        json_error_t error;
        if (!tree)
                return 0;
        int r = ret_database ? json_unpack_ex(tree, &error, JSON_STRICT, "{s?s, s?s, s?s}", "api", &ret->api, "token",
                                       &ret->token, "database", ret_database)
                             : json_unpack_ex(
                                       tree, &error, JSON_STRICT, "{s?s, s?s}", "api", &ret->api, "token", &ret->token);
        if (r < 0)
                return wrong(where, &error, err);
        if (ret->api && str_ends(ret->api, "/"))
                return err_set(err, ERR_INVALID, "%s.api ends with a slash", where);
        return 0;
}

static int read_directory(json_t *tree, struct config_directory *d, struct err **err)
{
        json_error_t error;
        if (tree && json_unpack_ex(tree, &error, JSON_STRICT, "{s?s, s?s, s?s, s?s, s?s, s?s, s?s, s?s}", "uri",
                            &d->uri, "ca", &d->ca, "bind_dn", &d->bind_dn, "bind_password", &d->bind_password,
                            "users_base", &d->users_base, "groups_base", &d->groups_base, "users_group",
                            &d->users_group, "admins_group", &d->admins_group) < 0)
                return wrong("directory", &error, err);
        return 0;
}

static int read_kubernetes(json_t *tree, struct config *config, struct err **err)
{
        json_error_t error;
        struct config_kubernetes *k = &config->kubernetes;
        if (!tree)
                return 0;
        if (json_unpack_ex(tree, &error, JSON_STRICT, "{s:s, s:s, s:s, s:s, s?b, s?s}", "api", &k->api, "ca", &k->ca,
                    "token_file", &k->token_file, "namespace", &k->namespace_, "nodes", &k->nodes, "runs",
                    &k->runs) < 0)
                return wrong("kubernetes", &error, err);
        if (!str_starts(k->api, "https://") || str_ends(k->api, "/"))
                return err_set(err, ERR_INVALID, "kubernetes.api: https://… without a slash at its end is wanted");
        if (!*k->namespace_)
                return err_set(err, ERR_INVALID, "kubernetes.namespace is empty");
        if (k->runs && (!*k->runs || config->journal))
                return err_set(err, ERR_INVALID, "kubernetes.runs: the name of a ConfigMap, and no journal beside it");
        if (config->groups_parent || config->homes_images)
                return err_set(err, ERR_INVALID, "kubernetes: groups and homes are of a host");
        return 0;
}

static int read_folders(json_t *homes, json_t *groups, struct config *config, struct err **err)
{
        json_error_t error;
        if (groups && json_unpack_ex(groups, &error, JSON_STRICT, "{s?s}", "parent", &config->groups_parent) < 0)
                return wrong("groups", &error, err);
        if (homes && json_unpack_ex(homes, &error, JSON_STRICT, "{s?s, s?s}", "images", &config->homes_images, "mounts",
                             &config->homes_mounts) < 0)
                return wrong("homes", &error, err);
        return 0;
}

static int read_backup(json_t *tree, struct config *c, struct err **err)
{
        json_error_t error;
        if (!tree)
                return 0;
        if (json_unpack_ex(tree, &error, JSON_STRICT, "{s?s, s?s}", "stamp", &c->backup_stamp, "cronjob",
                    &c->backup_cronjob) < 0)
                return wrong("backup", &error, err);
        if (c->backup_stamp && !*c->backup_stamp) /* as a form has it that says nothing of backups */
                c->backup_stamp = NULL;
        if (c->backup_cronjob && !*c->backup_cronjob)
                c->backup_cronjob = NULL;
        if (c->backup_stamp && *c->backup_stamp != '/')
                return err_set(err, ERR_INVALID, "backup.stamp: %s is no absolute path", c->backup_stamp);
        if (c->backup_stamp && c->backup_cronjob)
                return err_set(err, ERR_INVALID, "backup: stamp or cronjob, not both");
        if (c->backup_cronjob && !c->kubernetes.api)
                return err_set(err, ERR_INVALID, "backup.cronjob: that is of Kubernetes");
        return 0;
}

static int check_list(const json_t *list, const char *where, struct err **err)
{
        if (list && !json_is_array(list))
                return err_set(err, ERR_INVALID, "%s: a list is wanted", where);
        if (json_array_size(list) > LIST_MAX)
                return err_set(err, ERR_INVALID, "%s: more than %d entries", where, LIST_MAX);
        return 0;
}

static int check_address(const char *address, const char *where, const char *name, struct err **err)
{
        CLEANUP_FREE char *host = NULL, *port = NULL;
        if (!address || address_split(address, &host, &port, err) == 0)
                return 0;
        err_prefix(err, "%s: %s", where, name);
        return -ERR_INVALID;
}

/* The entry of a part that this cluster does not have. */
static bool is_absent(const json_t *item)
{
        return json_is_object(item) && json_object_size(item) == 0;
}

static int read_parts(json_t *list, struct config *config, struct err **err)
{
        size_t i;
        json_t *item;
        if (check_list(list, "parts", err) < 0)
                return -ERR_INVALID;
        config->parts = mem_zero_array(json_array_size(list) + 1, sizeof *config->parts);
        json_array_foreach (list, i, item) {
                if (is_absent(item))
                        continue;
                struct config_part *part = &config->parts[config->part_count++];
                json_error_t error;
                if (json_unpack_ex(item, &error, JSON_STRICT, "{s:s, s?s, s?s}", "name", &part->name, "url", &part->url,
                            "tcp", &part->tcp) < 0)
                        return wrong("parts", &error, err);
                if (!part->url == !part->tcp)
                        return err_set(err, ERR_INVALID, "parts: %s: url or tcp is wanted", part->name);
                if (check_address(part->tcp, "parts", part->name, err) < 0)
                        return -ERR_INVALID;
        }
        return 0;
}

static int read_services(json_t *tree, struct config *config, struct err **err)
{
        json_error_t error;
        json_t *list = NULL, *item;
        size_t i;
        if (!tree)
                return 0;
        if (json_unpack_ex(tree, &error, JSON_STRICT, "{s:s, s:o}", "folder", &config->services_folder, "list", &list) <
                0)
                return wrong("services", &error, err);
        if (config->kubernetes.api)
                return err_set(err, ERR_INVALID, "services: they are of a host");
        if (check_list(list, "services.list", err) < 0)
                return -ERR_INVALID;
        config->services = mem_zero_array(json_array_size(list) + 1, sizeof *config->services);
        json_array_foreach (list, i, item) {
                struct config_service *service = &config->services[config->service_count++];
                service->app = "jupyterhub";
                if (json_unpack_ex(item, &error, JSON_STRICT, "{s:s, s:s, s?s}", "name", &service->name, "component",
                            &service->component, "app", &service->app) < 0)
                        return wrong("services.list", &error, err);
                if (!cgroup_name_valid(service->name))
                        return err_set(err, ERR_INVALID, "services.list: %s is no name of a service", service->name);
        }
        return 0;
}

static int read_certificates(json_t *list, struct config *config, struct err **err)
{
        size_t i;
        json_t *item;
        if (check_list(list, "certificates", err) < 0)
                return -ERR_INVALID;
        config->certificates = mem_zero_array(json_array_size(list) + 1, sizeof *config->certificates);
        json_array_foreach (list, i, item) {
                if (is_absent(item))
                        continue;
                struct config_certificate *one = &config->certificates[config->certificate_count++];
                json_error_t error;
                if (json_unpack_ex(item, &error, JSON_STRICT, "{s:s, s?s, s?s, s?s}", "name", &one->name, "address",
                            &one->address, "server", &one->server, "file", &one->file) < 0)
                        return wrong("certificates", &error, err);
                if (!one->address == !one->file)
                        return err_set(err, ERR_INVALID, "certificates: %s: address or file is wanted", one->name);
                if (check_address(one->address, "certificates", one->name, err) < 0)
                        return -ERR_INVALID;
        }
        return 0;
}

/* Names of parts and certificates become labels: no two may be the same. */
static int check_names(const struct config *config, struct err **err)
{
        for (size_t i = 0; i < config->part_count; i++)
                for (size_t n = 0; n < i; n++)
                        if (str_is(config->parts[i].name, config->parts[n].name))
                                return err_set(err, ERR_INVALID, "parts: %s stands there twice", config->parts[i].name);
        for (size_t i = 0; i < config->certificate_count; i++)
                for (size_t n = 0; n < i; n++)
                        if (str_is(config->certificates[i].name, config->certificates[n].name))
                                return err_set(err, ERR_INVALID, "certificates: %s stands there twice",
                                        config->certificates[i].name);
        for (size_t i = 0; i < config->service_count; i++)
                for (size_t n = 0; n < i; n++)
                        if (str_is(config->services[i].name, config->services[n].name))
                                return err_set(err, ERR_INVALID, "services.list: %s stands there twice",
                                        config->services[i].name);
        return 0;
}

static int set_defaults(struct config *config, double refresh, struct err **err)
{
        if (!(refresh >= REFRESH_MIN && refresh <= REFRESH_MAX))
                return err_set(err, ERR_INVALID, "refresh_seconds: %g to %g are allowed", REFRESH_MIN, REFRESH_MAX);
        config->refresh_ms = (int)lround(refresh * 1000);
        config->timeout_ms = TIMEOUT_MS;
        if (config->token && !*config->token)
                return err_set(err, ERR_INVALID, "token is empty: leave it out where none is wanted");
        if (!config->listen)
                config->listen = LISTEN;
        if (!config->cluster)
                config->cluster = "";
        if (!config->namespace_)
                config->namespace_ = config->kubernetes.api ? config->kubernetes.namespace_ : config->cluster;
        if (!config->node) {
                char name[256] = "localhost";
                if (gethostname(name, sizeof name - 1) < 0 || !str_utf8(name, strlen(name), NULL))
                        strncpy(name, "localhost", sizeof name - 1);
                json_object_set_new(config->root, "node", json_string(name));
                config->node = json_string_value(json_object_get(config->root, "node"));
        }
        return check_address(config->listen, "listen", config->listen, err);
}

static int read_all(struct config *c, struct err **err)
{
        json_error_t error;
        double refresh = REFRESH_SECONDS;
        json_t *hub = NULL, *gateway = NULL, *directory = NULL, *groups = NULL, *homes = NULL;
        json_t *parts = NULL, *certificates = NULL, *kubernetes = NULL, *backup = NULL, *services = NULL;
        if (json_unpack_ex(c->root, &error, JSON_STRICT,
                    "{s?s, s?s, s?s, s?s, s?s, s?F, s?s, s?s, s?o, s?o, s?o, s?o, s?o, s?o, s?o, s?o, s?o, s?o}",
                    "listen", &c->listen, "cluster", &c->cluster, "namespace", &c->namespace_, "node", &c->node,
                    "token", &c->token, "refresh_seconds", &refresh, "accounts", &c->accounts, "journal", &c->journal,
                    "hub", &hub, "gateway", &gateway, "directory", &directory, "groups", &groups, "homes", &homes,
                    "parts", &parts, "certificates", &certificates, "kubernetes", &kubernetes, "backup", &backup,
                    "services", &services) < 0)
                return wrong("", &error, err);
        int r = read_api(hub, "hub", &c->hub, &c->hub_database, err);
        if (r == 0)
                r = read_api(gateway, "gateway", &c->gateway, NULL, err);
        if (r == 0)
                r = read_directory(directory, &c->directory, err);
        if (r == 0)
                r = read_folders(homes, groups, c, err);
        if (r == 0)
                r = read_kubernetes(kubernetes, c, err);
        if (r == 0)
                r = read_backup(backup, c, err);
        if (r == 0)
                r = read_parts(parts, c, err);
        if (r == 0)
                r = read_services(services, c, err);
        if (r == 0)
                r = read_certificates(certificates, c, err);
        if (r == 0)
                r = check_names(c, err);
        return r < 0 ? r : set_defaults(c, refresh, err);
}

int config_parse(const char *text, size_t length, struct config **ret, struct err **err)
{
        json_error_t error;
        CLEANUP_CONFIG struct config *config = mem_zero(sizeof *config);
        config->root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
        if (!config->root)
                return err_set(err, ERR_INVALID, "line %d: %s", error.line, error.text);
        int r = read_all(config, err);
        if (r < 0)
                return r;
        config->cancel = cancel_new();
        *ret = STEAL(config);
        return 0;
}

int config_load(const char *path, struct config **ret, struct err **err)
{
        char *text = NULL;
        size_t length = 0;
        int r = file_read(path, CONFIG_MAX, &text, &length, err);
        if (r < 0)
                return r;
        r = config_parse(text, length, ret, err);
        mem_wipe_free(text, length); /* it holds tokens */
        return r < 0 ? err_prefix(err, "%s", path) : 0;
}
