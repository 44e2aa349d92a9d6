#include "form/net.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

int net_address(const char *text, char ret[NET_ADDRESS_MAX])
{
        unsigned char bytes[16];
        int family = strchr(text, ':') ? AF_INET6 : AF_INET;
        if (inet_pton(family, text, bytes) != 1)
                return -1;
        return inet_ntop(family, bytes, ret, NET_ADDRESS_MAX) ? 0 : -1;
}

const char *net_address_problem(const char *address)
{
        unsigned char bytes[16];
        if (inet_pton(AF_INET, address, bytes) == 1) {
                if (bytes[0] == 0)
                        return "stands for any address: write the one of this machine";
                return bytes[0] >= 224 ? "is no address of a single machine" : NULL;
        }
        if (inet_pton(AF_INET6, address, bytes) != 1)
                return NULL;
        if (strcmp(address, "::") == 0)
                return "stands for any address: write the one of this machine";
        if (bytes[0] == 0xff)
                return "is no address of a single machine";
        return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80 ? "leads nowhere but on the machine's own link" : NULL;
}

static bool in_range4(uint32_t address, uint32_t network, int bits)
{
        return (address ^ network) >> (32 - bits) == 0;
}

/* RFC 6890 and its registry: what is not reachable from everywhere. */
static bool is_global4(const unsigned char bytes[4])
{
        static const struct {
                uint32_t network;
                int bits;
        } special[] = {
                {0x00000000, 8},  /* 0.0.0.0/8       this network */
                {0x0a000000, 8},  /* 10.0.0.0/8      private */
                {0x64400000, 10}, /* 100.64.0.0/10   carrier-grade NAT */
                {0x7f000000, 8},  /* 127.0.0.0/8     loopback */
                {0xa9fe0000, 16}, /* 169.254.0.0/16  link-local */
                {0xac100000, 12}, /* 172.16.0.0/12   private */
                {0xc0000000, 24}, /* 192.0.0.0/24    protocol assignments */
                {0xc0000200, 24}, /* 192.0.2.0/24    documentation */
                {0xc0a80000, 16}, /* 192.168.0.0/16  private */
                {0xc6120000, 15}, /* 198.18.0.0/15   benchmarks */
                {0xc6336400, 24}, /* 198.51.100.0/24 documentation */
                {0xcb007100, 24}, /* 203.0.113.0/24  documentation */
                {0xe0000000, 3},  /* 224.0.0.0/3     multicast, reserved, broadcast */
        };
        uint32_t address = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
        for (size_t i = 0; i < sizeof special / sizeof *special; i++)
                if (in_range4(address, special[i].network, special[i].bits))
                        return false;
        return true;
}

static bool is_mapped(const unsigned char bytes[16])
{
        static const unsigned char prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
        return memcmp(bytes, prefix, sizeof prefix) == 0;
}

bool net_is_global(const char *address)
{
        static const unsigned char documentation[4] = {0x20, 0x01, 0x0d, 0xb8};
        unsigned char bytes[16];
        if (inet_pton(AF_INET, address, bytes) == 1)
                return is_global4(bytes);
        if (inet_pton(AF_INET6, address, bytes) != 1)
                return false;
        if (is_mapped(bytes))
                return is_global4(bytes + 12);
        /* 2000::/3 is all that was ever given out. */
        return (bytes[0] & 0xe0) == 0x20 && memcmp(bytes, documentation, sizeof documentation) != 0;
}

int net_dashed(const char *address, char ret[NET_ADDRESS_MAX])
{
        char text[NET_ADDRESS_MAX];
        unsigned char bytes[16];
        if (inet_pton(AF_INET6, address, bytes) == 1 && is_mapped(bytes))
                inet_ntop(AF_INET, bytes + 12, text, sizeof text);
        else if (net_address(address, text) < 0)
                return -1;
        for (char *c = text; *c; c++)
                if (*c == '.' || *c == ':')
                        *c = '-';
        /* A label neither begins nor ends with a dash: "0--1" is ::1 as well. */
        size_t length = strlen(text);
        const char *before = *text == '-' ? "0" : "", *after = text[length - 1] == '-' ? "0" : "";
        if (length + strlen(before) + strlen(after) >= NET_ADDRESS_MAX)
                return -1;
        snprintf(ret, NET_ADDRESS_MAX, "%s%.*s%s", before, (int)length, text, after);
        return 0;
}

static bool is_letter(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

/* One label of a name. */
static const char *label_problem(const char *label, size_t length)
{
        if (length == 0)
                return "has an empty part";
        if (length > 63)
                return "has a part of more than 63 characters";
        if (label[0] == '-' || label[length - 1] == '-')
                return "has a part that begins or ends with a dash";
        for (size_t i = 0; i < length; i++)
                if (!is_letter(label[i]) && !is_digit(label[i]) && label[i] != '-')
                        return (label[i] & 0x80) ? "has letters beyond a to z: write it as its xn--… form"
                                                 : "has characters other than letters, digits, dashes and dots";
        return NULL;
}

const char *net_name_problem(const char *name, size_t max)
{
        char address[NET_ADDRESS_MAX];
        size_t length = strlen(name);
        if (length == 0)
                return "is empty";
        if (net_address(name, address) == 0)
                return "is an address";
        if (length > max)
                return "is too long";
        if (name[length - 1] == '.')
                return "ends with a dot";
        if (strstr(name, "://"))
                return "is a URL: write the name alone";
        if (str_starts(name, "*."))
                return "is a wildcard";
        const char *label = name;
        for (;;) {
                size_t n = strcspn(label, ".");
                const char *problem = label_problem(label, n);
                if (problem)
                        return problem;
                if (label[n] == '\0')
                        break;
                label += n + 1;
        }
        return is_digit(*label) && strspn(label, "0123456789") == strlen(label) ? "ends with a number" : NULL;
}

bool net_name_is_public(const char *name)
{
        static const char *const kept_out[] = {
                "test", "local", "localhost", "internal", "invalid", "example", "lan", "home.arpa", "onion"};
        size_t length = strlen(name);
        if (!strchr(name, '.'))
                return false;
        for (size_t i = 0; i < sizeof kept_out / sizeof *kept_out; i++) {
                size_t n = strlen(kept_out[i]);
                if (length > n && name[length - n - 1] == '.' && strcasecmp(name + length - n, kept_out[i]) == 0)
                        return false;
        }
        return true;
}
