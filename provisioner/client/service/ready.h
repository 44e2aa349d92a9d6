/* Does it answer? */
#ifndef CAAS_CLIENT_SERVICE_READY_H
#define CAAS_CLIENT_SERVICE_READY_H

#include "base/cancel.h"
#include "base/err.h"
#include "client/http/http.h"

struct ready {
        const char *http;     /* a URL, or NULL */
        const char *ca;       /* who vouches for it; NULL or "" = the system's authorities */
        long expect;          /* status; 0 = 200 */
        const char *contains; /* text that must be in the answer; NULL = whatever */
        const char *tcp;      /* "127.0.0.1:636", or NULL; asked when there is no URL */
};

/* Asks once, for at most 5 seconds. client: of ready_client(), NULL for tcp. -ERR_UNREACHABLE and others say what came
 * back instead. -ERR_CANCELLED at the second Ctrl-C. */
int ready_ask(const struct ready *ready, struct http_client *client, struct cancel *cancel, struct err **err);

/* A connection for many questions; NULL when it is not about HTTP. Freed with http_client_free(). */
struct http_client *ready_client(const struct ready *ready, struct cancel *cancel);

/* What is asked, for messages. Borrowed. */
const char *ready_target(const struct ready *ready);

#endif
