#include "plan/graph.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"

/* The nodes that wait for a node, as a linked list in two arrays. */
struct waiters {
        size_t *first; /* for each node: its first edge + 1, 0 = none */
        size_t *next;  /* for each edge: the next edge of the same node + 1 */
        size_t *who;   /* for each edge: the node that waits */
};

static int say_circle(const struct graph_node *nodes, size_t count, const size_t *open, struct err **err)
{
        /* Every open node waits for an open one: following them must come round. */
        CLEANUP_FREE bool *seen = mem_zero_array(count, sizeof *seen);
        size_t at = 0;
        while (open[at] == 0)
                at++;
        for (int pass = 0; pass < 2; pass++) { /* first into the circle, then once around it */
                CLEANUP_BUF struct buf text = BUF_INIT(2000);
                for (size_t i = 0; i < count; i++)
                        seen[i] = false;
                while (!seen[at]) {
                        seen[at] = true;
                        buf_format(&text, "%s needs ", nodes[at].id);
                        for (size_t i = 0; i < nodes[at].count; i++)
                                if (open[nodes[at].needs[i]] > 0) {
                                        at = nodes[at].needs[i];
                                        break;
                                }
                }
                if (pass == 1)
                        return err_set(err, ERR_INVALID, "a circle of needs: %s%s", text.data, nodes[at].id);
        }
        return 0;
}

int graph_sort(const struct graph_node *nodes, size_t count, size_t *ret_order, struct err **err)
{
        size_t edges = 0;
        for (size_t i = 0; i < count; i++)
                edges += nodes[i].count;
        CLEANUP_FREE size_t *open = mem_zero_array(count, sizeof *open); /* needs not yet met */
        CLEANUP_FREE size_t *first = mem_zero_array(count, sizeof *first);
        CLEANUP_FREE size_t *next = mem_zero_array(edges, sizeof *next);
        CLEANUP_FREE size_t *who = mem_zero_array(edges, sizeof *who);
        struct waiters waiters = {first, next, who};
        size_t edge = edges;
        for (size_t i = count; i-- > 0;) { /* backwards, so that the lists come out forwards */
                open[i] = nodes[i].count;
                for (size_t j = nodes[i].count; j-- > 0;) {
                        size_t need = nodes[i].needs[j];
                        edge--;
                        waiters.who[edge] = i;
                        waiters.next[edge] = waiters.first[need];
                        waiters.first[need] = edge + 1;
                }
        }
        size_t head = 0, tail = 0; /* ret_order is its own queue */
        for (size_t i = 0; i < count; i++)
                if (open[i] == 0)
                        ret_order[tail++] = i;
        for (; head < tail; head++)
                for (size_t e = waiters.first[ret_order[head]]; e; e = waiters.next[e - 1])
                        if (--open[waiters.who[e - 1]] == 0)
                                ret_order[tail++] = waiters.who[e - 1];
        if (tail < count)
                return say_circle(nodes, count, open, err);
        return 0;
}
