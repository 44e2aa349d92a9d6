/* A live display of a run on a terminal: lines for what is done scroll by; below them a few lines say what runs, since
 * when and what it waits for.
 *
 * Each picture is one write that hides the cursor, draws and shows it again, so that the terminal is in order whenever
 * the process ends, however it ends. At most five pictures a second; the terminal's size is asked for each time. */
#ifndef CAAS_CLI_DISPLAY_H
#define CAAS_CLI_DISPLAY_H

#include <stdbool.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "engine/event.h"

struct display;

/* fd: a terminal, not owned. cancel (may be NULL) is watched to say that the run is stopping. Starts a thread. */
struct display *display_new(int fd, struct clock *clock, bool color, struct cancel *cancel);

/* Thread-safe. */
void display_event(struct display *display, const struct event *event);

/* A line above the live part. Thread-safe. */
void display_line(struct display *display, const char *text);

/* Wipes the live part; from the next event on it is drawn again. For questions and results in between. */
void display_pause(struct display *display);

/* Wipes the live part, ends the thread. Accepts NULL, returns NULL. */
struct display *display_free(struct display *display);

#endif
