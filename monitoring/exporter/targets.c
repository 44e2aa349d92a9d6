#include "exporter/targets.h"

#include <jansson.h>

char *targets_json(const struct kube_view *view)
{
        json_auto_t *nodes = json_object(), *list = json_array();
        for (size_t i = 0; i < view->targets; i++)
                json_object_set_new(nodes, view->target[i].node, json_string(view->target[i].address));
        const char *node;
        json_t *address;
        json_object_foreach (nodes, node, address)
                json_array_append_new(list, json_pack("{s:[O], s:{s:s, s:s}}", "targets", address, "labels", "instance",
                                                    node, "node", node));
        return json_dumps(list, JSON_COMPACT);
}
