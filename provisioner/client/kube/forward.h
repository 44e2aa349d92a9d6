/* What the files of the port-forward share. */
#ifndef CAAS_CLIENT_KUBE_FORWARD_H
#define CAAS_CLIENT_KUBE_FORWARD_H

#include "client/kube/private.h"
#include "client/kube/websocket.h"

/* Where connections go. */
struct target {
        char *pod;
        int port;
};

/* Chooses a ready pod of a service ("hub"), or the pod named ("pod/hub-0"). */
int forward_target(
        struct kube *kube, const char *namespace, const char *service, int port, struct target *ret, struct err **err);

/* A WebSocket to a pod's port: channel 0 carries the data, channel 1 the kubelet's complaints. */
struct wire {
        struct http_tunnel *tunnel;
        struct websocket_reader reader;
        struct buf out;  /* frames to be sent */
        size_t sent;     /* of out */
        struct buf in;   /* data that has come, for the local side */
        size_t given;    /* of in */
        bool greeted[2]; /* each channel begins with the port's number */
        bool closed;     /* by the other side */
        char *complaint; /* or NULL */
};

/* Connects and shakes hands; -ERR_NOT_FOUND when the pod is gone. */
int wire_open(struct kube *kube, const char *namespace, const struct target *target, struct cancel *cancel,
        struct wire *ret, struct err **err);
void wire_close(struct wire *wire);

/* Puts data into a frame; the caller sees to it that out does not grow. */
void wire_put(struct wire *wire, enum websocket_opcode opcode, const char *data, size_t length);
int wire_send(struct wire *wire, struct err **err); /* as much as goes */

/* Takes what has come until there is nothing more, in has something or it is closed. */
int wire_receive(struct wire *wire, struct err **err);

/* Carries bytes between fd and the wire until one of them ends or `cancel` is raised. */
int wire_carry(struct wire *wire, int fd, struct cancel *cancel, struct err **err);

#endif
