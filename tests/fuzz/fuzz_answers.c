/* What the exporter is answered by the hub ('h' in front), the gateway ('g') and Dask schedulers (anything else):
 * whatever it is, what a scrape shows is well-formed, has the labels of its family's table, and no series twice. */
#include "../unit/exporter/samples.h"
#include "exporter/dask.h"
#include "exporter/source_gateway.h"
#include "exporter/source_hub.h"
#include "exporter/source_list.h"
#include "fuzz.h"

static void hub(const json_t *page, struct sample_sink *sink)
{
        CLEANUP_HUB_SERVERS struct hub_servers servers = {0};
        size_t next = 0;
        double total = -1;
        /* twice, as where somebody stands on two pages */
        if (hub_read_page(page, &servers, &next, &total, NULL) < 0 ||
                hub_read_page(page, &servers, NULL, NULL, NULL) < 0)
                return;
        MUST(total >= 0);
        size_t both = servers.count;
        hub_servers_sort(&servers);
        MUST(servers.count <= both / 2);
        hub_add_servers(&servers, sink);
        MUST(samples_count(sink, "caas_server_ready") == servers.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size == 0)
                return 0;
        bool json = *data == 'h' || *data == 'g';
        const char *text = (const char *)data + 1;
        json_auto_t *tree = json ? json_loadb(text, size - 1, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL) : NULL;
        if (json && !tree)
                return 0;
        struct sample_sink *sink = sink_new(*data == 'h'   ? source_hub.families
                                            : *data == 'g' ? source_gateway.families
                                                           : DASK_FAMILIES);
        if (*data == 'h')
                hub(tree, sink);
        else if (*data == 'g')
                gateway_add(tree, sink, NULL);
        else {
                struct dask_figures figures;
                dask_read(text, size - 1, &figures);
                dask_add(&figures, "alice", "9ba38a329acb4102be7bc3d24f321c8f", sink);
        }
        MUST(samples_sound(sink));
        sink_free(sink);
        return 0;
}
