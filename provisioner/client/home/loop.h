/* Loop devices: image files as block devices. The kernel gives a device back by itself once nothing uses it. */
#ifndef CAAS_CLIENT_HOME_LOOP_H
#define CAAS_CLIENT_HOME_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

#define LOOP_PATH_SIZE 32

/* A device for the image: the one it is attached to already, or a new one. *ret_fd must stay open until it is mounted.
 * -ERR_BUSY (none to be had), -ERR_IO. */
int loop_attach(const char *image, char ret_path[LOOP_PATH_SIZE], int *ret_fd, struct err **err);

/* The device an image is attached to. -ERR_NOT_FOUND, without a message's cost, if there is none. */
int loop_find(const char *image, char ret_path[LOOP_PATH_SIZE], int *ret_fd, struct err **err);

/* Tells a device that its image has become longer. */
int loop_grown(int fd, struct err **err);

#endif
