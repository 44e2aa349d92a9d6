/* Reading entries. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/ldap/private.h"

#define PAGE       500
#define AT_ONCE    32
#define VALUES_MAX 200000 /* of one attribute: a group of a whole university */

static const int scopes[] = {LDAP_SCOPE_BASE, LDAP_SCOPE_ONELEVEL, LDAP_SCOPE_SUBTREE};

static json_t *values_of(LDAP *ld, LDAPMessage *entry, const char *name)
{
        json_t *list = json_array();
        struct berval **values = ldap_get_values_len(ld, entry, name);
        for (size_t i = 0; values && values[i] && i < VALUES_MAX; i++) {
                json_t *text = json_stringn(values[i]->bv_val, values[i]->bv_len); /* NULL when it is no UTF-8 */
                if (text && !memchr(values[i]->bv_val, '\0', values[i]->bv_len))
                        json_array_append(list, text);
                json_decref(text);
        }
        ldap_value_free_len(values);
        return list;
}

static json_t *entry_json(LDAP *ld, LDAPMessage *entry)
{
        char *dn = ldap_get_dn(ld, entry);
        json_t *text = dn ? json_string(dn) : NULL;
        ldap_memfree(dn);
        if (!text)
                return NULL;
        json_t *attributes = json_object();
        BerElement *ber = NULL;
        for (char *name = ldap_first_attribute(ld, entry, &ber); name; name = ldap_next_attribute(ld, entry, ber)) {
                CLEANUP_FREE char *lower = str_copy(name);
                for (char *c = lower; *c; c++)
                        if (*c >= 'A' && *c <= 'Z')
                                *c = (char)(*c - 'A' + 'a');
                json_object_set_new(attributes, lower, values_of(ld, entry, name));
                ldap_memfree(name);
        }
        ber_free(ber, 0);
        return json_pack("{s:o, s:o}", "dn", text, "attributes", attributes);
}

/* One page. The cookie for the next is kept in *cookie; empty when there is none. */
static int page(LDAP *ld, const char *base, int scope, const char *filter, char **attributes, int size,
        struct berval *cookie, json_t *entries)
{
        LDAPControl *control = NULL;
        int result = ldap_create_page_control(ld, size, cookie, 0, &control);
        if (result != LDAP_SUCCESS)
                return result;
        LDAPControl *controls[] = {control, NULL};
        LDAPMessage *message = NULL;
        result = ldap_search_ext_s(ld, base, scope, filter, attributes, 0, scope == LDAP_SCOPE_BASE ? NULL : controls,
                NULL, NULL, LDAP_NO_LIMIT, &message);
        ldap_control_free(control);
        ber_memfree(cookie->bv_val);
        *cookie = (struct berval){0};
        for (LDAPMessage *m = message ? ldap_first_entry(ld, message) : NULL; m; m = ldap_next_entry(ld, m)) {
                json_t *entry = entry_json(ld, m);
                if (entry)
                        json_array_append_new(entries, entry);
        }
        LDAPControl **answered = NULL;
        if (message && ldap_parse_result(ld, message, NULL, NULL, NULL, NULL, &answered, 0) == LDAP_SUCCESS &&
                answered) {
                LDAPControl *back = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, answered, NULL);
                ber_int_t estimate;
                if (back)
                        ldap_parse_pageresponse_control(ld, back, &estimate, cookie);
                ldap_controls_free(answered);
        }
        ldap_msgfree(message);
        return result;
}

static int is_there(LDAP *ld, const char *base)
{
        struct berval none = {0};
        json_auto_t *ignored = json_array();
        return page(ld, base, LDAP_SCOPE_BASE, "(objectClass=*)", NULL, 1, &none, ignored);
}

/* ldap_search_ext_s wants the list writable; it does not write. */
static char **borrowed(const char *const *attributes)
{
        union {
                const char *const *in;
                char **out;
        } list = {.in = attributes};
        return list.out;
}

int directory_search(struct directory *directory, const char *base, enum directory_scope scope, const char *filter,
        const char *const *attributes, size_t max, json_t **ret_entries, bool *ret_more, struct err **err)
{
        json_auto_t *entries = json_array();
        struct berval cookie = {0};
        int result;
        do {
                size_t left = max - json_array_size(entries);
                /* one more than wanted, to know whether there is more */
                int size = left + 1 < PAGE ? (int)left + 1 : PAGE;
                result = page(directory->ld, base, scopes[scope], filter, borrowed(attributes), size, &cookie, entries);
        } while (result == LDAP_SUCCESS && cookie.bv_len > 0 && json_array_size(entries) <= max);
        ber_memfree(cookie.bv_val);
        if (result == LDAP_SUCCESS && scope != DIRECTORY_BASE &&
                json_array_size(entries) == 0) /* 389 says so in no page */
                result = is_there(directory->ld, base);
        bool more = json_array_size(entries) > max || result == LDAP_SIZELIMIT_EXCEEDED;
        if (result != LDAP_SUCCESS && result != LDAP_SIZELIMIT_EXCEEDED)
                return directory_fail(directory->ld, result, err, "cannot search %s in %s", base, directory->uri);
        while (json_array_size(entries) > max)
                json_array_remove(entries, json_array_size(entries) - 1);
        *ret_entries = STEAL(entries);
        if (ret_more)
                *ret_more = more;
        return 0;
}

int directory_each(struct directory *directory, const char *base, enum directory_scope scope, const char *filter,
        const char *const *attributes, bool (*visit)(void *data, const json_t *entry), void *data, struct err **err)
{
        struct berval cookie = {0};
        bool going = true;
        size_t count = 0;
        int result;
        do {
                json_auto_t *entries = json_array();
                size_t i;
                json_t *entry;
                result = page(directory->ld, base, scopes[scope], filter, borrowed(attributes), PAGE, &cookie, entries);
                json_array_foreach (entries, i, entry)
                        going = going && visit(data, entry);
                count += json_array_size(entries);
        } while (result == LDAP_SUCCESS && cookie.bv_len > 0 && going);
        ber_memfree(cookie.bv_val);
        if (result == LDAP_SUCCESS && count == 0)
                result = is_there(directory->ld, base);
        if (result != LDAP_SUCCESS)
                return directory_fail(directory->ld, result, err, "cannot search %s in %s", base, directory->uri);
        return 0;
}

int directory_read(struct directory *directory, const char *dn, const char *const *attributes, json_t **ret_entry,
        struct err **err)
{
        json_auto_t *entries = NULL;
        int r = directory_search(directory, dn, DIRECTORY_BASE, "(objectClass=*)", attributes, 1, &entries, NULL, err);
        if (r < 0)
                return r;
        if (json_array_size(entries) == 0)
                return err_set(err, ERR_NOT_FOUND,
                        "cannot read %s in %s: there is no such entry, or no right to see it", dn, directory->uri);
        *ret_entry = json_incref(json_array_get(entries, 0));
        return 0;
}

int directory_find(struct directory *directory, const char *dn, const char *const *attributes, json_t **ret_entry,
        struct err **err)
{
        CLEANUP_ERR struct err *own = NULL;
        int r = directory_read(directory, dn, attributes, ret_entry, &own);
        if (r == -ERR_NOT_FOUND)
                return 0;
        if (r < 0 && err)
                *err = STEAL(own);
        return r;
}

/* The answer to one of several: an entry or null at the end of the list. An LDAP result. */
static int take_answer(struct directory *directory, int id, json_t *entries)
{
        LDAP *ld = directory->ld;
        LDAPMessage *message = NULL;
        struct timeval wait = {
                .tv_sec = directory->operation_ms / 1000, .tv_usec = directory->operation_ms % 1000 * 1000};
        int result = LDAP_TIMEOUT, type = ldap_result(ld, id, LDAP_MSG_ALL, &wait, &message);
        if (type < 0 && ldap_get_option(ld, LDAP_OPT_RESULT_CODE, &result) != LDAP_OPT_SUCCESS)
                result = LDAP_SERVER_DOWN;
        if (type <= 0)
                return result;
        int parsed = ldap_parse_result(ld, message, &result, NULL, NULL, NULL, NULL, 0);
        LDAPMessage *first = ldap_first_entry(ld, message);
        json_t *entry = parsed == LDAP_SUCCESS && result == LDAP_SUCCESS && first ? entry_json(ld, first) : NULL;
        json_array_append_new(entries, entry ? entry : json_null());
        ldap_msgfree(message);
        if (parsed != LDAP_SUCCESS)
                return parsed;
        return result == LDAP_NO_SUCH_OBJECT ? LDAP_SUCCESS : result;
}

static bool is_over(int result)
{
        return result == LDAP_SERVER_DOWN || result == LDAP_TIMEOUT;
}

/* At most AT_ONCE: neither side has to keep more than that for the other. */
static int find_some(struct directory *directory, const char *const *dns, size_t count, const char *const *attributes,
        json_t *entries, size_t *ret_fault)
{
        int id[AT_ONCE], fault = LDAP_SUCCESS;
        size_t sent = 0, failed = 0;
        for (; sent < count && fault == LDAP_SUCCESS; sent++)
                fault = ldap_search_ext(directory->ld, dns[sent], LDAP_SCOPE_BASE, "(objectClass=*)",
                        borrowed(attributes), 0, NULL, NULL, NULL, LDAP_NO_LIMIT, &id[sent]);
        if (fault != LDAP_SUCCESS)
                failed = --sent;
        for (size_t i = 0; i < sent && !is_over(fault);
                i++) { /* of a failure in the middle, too: nothing may be left */
                int result = take_answer(directory, id[i], entries);
                if (result != LDAP_SUCCESS && fault == LDAP_SUCCESS)
                        failed = i;
                if (result != LDAP_SUCCESS && (fault == LDAP_SUCCESS || is_over(result)))
                        fault = result;
        }
        *ret_fault = failed;
        return fault;
}

int directory_find_all(struct directory *directory, const char *const *dns, size_t count, const char *const *attributes,
        json_t **ret_entries, struct err **err)
{
        json_auto_t *entries = json_array();
        for (size_t done = 0; done < count;) {
                size_t some = count - done < AT_ONCE ? count - done : AT_ONCE, fault;
                int result = find_some(directory, &dns[done], some, attributes, entries, &fault);
                if (result != LDAP_SUCCESS)
                        return directory_fail(
                                directory->ld, result, err, "cannot read %s in %s", dns[done + fault], directory->uri);
                done += some;
        }
        *ret_entries = STEAL(entries);
        return 0;
}

/* "( 2.5.6.9 NAME 'groupOfNames' …" or "NAME ( 'a' 'b' )": the names stand in quotes. */
static bool defines(const char *definition, const char *name)
{
        CLEANUP_FREE char *quoted = str_format("'%s'", name);
        const char *names = strcasestr(definition, " NAME ");
        const char *end = names ? strcasestr(names, " DESC ") : NULL;
        const char *found = names ? strcasestr(names, quoted) : NULL;
        return found && (!end || found < end);
}

int directory_has_classes(struct directory *directory, const char *const *names, bool *ret, struct err **err)
{
        static const char *const wanted[] = {"objectClasses", NULL};
        json_auto_t *schema = NULL;
        int r = directory_search(
                directory, "cn=schema", DIRECTORY_BASE, "(objectClass=*)", wanted, 1, &schema, NULL, err);
        if (r < 0)
                return r;
        const json_t *classes = directory_values(json_array_get(schema, 0), "objectclasses");
        bool all = true;
        for (; *names && all; names++) {
                size_t i;
                const json_t *definition;
                bool found = false;
                json_array_foreach (classes, i, definition)
                        found = found || defines(json_string_value(definition), *names);
                all = found;
        }
        *ret = all;
        return 0;
}

const json_t *directory_values(const json_t *entry, const char *attribute)
{
        const char *name;
        json_t *values;
        json_object_foreach (json_object_get(entry, "attributes"), name, values)
                if (strcasecmp(name, attribute) == 0)
                        return values;
        return NULL;
}

const char *directory_value(const json_t *entry, const char *attribute)
{
        return json_string_value(json_array_get(directory_values(entry, attribute), 0));
}

const char *directory_dn(const json_t *entry)
{
        return json_string_value(json_object_get(entry, "dn"));
}
