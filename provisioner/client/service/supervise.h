/* What runsv says and hears about one service, through the files of its supervise folder (see runsv(8)). */
#ifndef CAAS_CLIENT_SERVICE_SUPERVISE_H
#define CAAS_CLIENT_SERVICE_SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct supervise_status {
        bool up;        /* the program itself runs, not its finish script */
        bool wanted;    /* runsv will start it again */
        pid_t pid;      /* 0 = none */
        uint64_t since; /* when that state began; only to tell one from another */
};

/* Is a runsv there? service: its folder. */
bool supervise_alive(const char *service);

/* Sends one command (u, d, t, k, x). False if nobody listens. */
bool supervise_send(const char *service, char command);

/* Tells runsv to end with its service; called again and again (attempt 0, 1 …, some 50 ms apart) until it answers
 * false: it is gone. Children that were left alive hold the log's pipe open, so the logger is then told to end by
 * itself, and a program that does not listen is killed in the end. */
bool supervise_end(const char *service, int attempt);

/* False if there is no status (yet). */
bool supervise_read(const char *service, struct supervise_status *ret);

#endif
