#include "client/kube/amount.h"

#include <math.h>
#include <stdlib.h>

#include "base/str.h"

double kube_amount(const json_t *value)
{
        static const struct {
                const char *suffix;
                double factor;
        } units[] = {{"", 1}, {"n", 1e-9}, {"u", 1e-6}, {"m", 1e-3}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12},
                {"P", 1e15}, {"E", 1e18}, {"Ki", 0x1p10}, {"Mi", 0x1p20}, {"Gi", 0x1p30}, {"Ti", 0x1p40},
                {"Pi", 0x1p50}, {"Ei", 0x1p60}};
        if (json_is_number(value))
                return json_number_value(value);
        const char *text = json_string_value(value);
        char *end = NULL;
        double number = text && *text ? strtod(text, &end) : NAN;
        if (!text || end == text)
                return NAN;
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
                if (str_is(end, units[i].suffix))
                        return number * units[i].factor;
        return NAN;
}
