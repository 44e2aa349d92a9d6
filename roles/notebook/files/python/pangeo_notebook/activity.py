"""What counts as using a server: the idle time that the form gives is counted from the last of it.

A page of JupyterLab that is open asks for files, kernels, sessions and metrics every few seconds and saves how its panels
stand every ten, whether somebody sits before it or not; Jupyter takes each for use. A cell that computes for hours
without a word is none to Jupyter, as nothing is heard of it. Here both are the other way round. Messages of kernels and
terminals count as ever.
"""

import datetime

LOOK_SECONDS = 10.0
READING = ("GET", "HEAD", "OPTIONS")
OF_THE_PAGE = "/lab/api/"  # its panels and settings


def count_requests(handler=None) -> None:
    """From now on a request counts only if it changes something: saves, starts, renames, deletes."""
    if handler is None:
        from jupyter_server.base.handlers import APIHandler as handler
    inner = handler.update_api_activity
    if getattr(inner, "_caas_use", False):
        return

    def update_api_activity(self):
        if self.request.method not in READING and OF_THE_PAGE not in self.request.path:
            inner(self)

    update_api_activity._caas_use = True
    handler.update_api_activity = update_api_activity


def computes(manager) -> bool:
    """Is a kernel at work?"""
    for identity in manager.list_kernel_ids():
        try:
            if getattr(manager.get_kernel(identity), "execution_state", "") == "busy":
                return True
        except KeyError:
            pass  # it ended just now
    return False


def note(settings, manager) -> None:
    """Jupyter takes the latest of all times in "last_activity_times"."""
    if computes(manager):
        settings["last_activity_times"]["pangeo_notebook"] = datetime.datetime.now(datetime.UTC)


def watch_kernels(settings, manager) -> None:
    from tornado.ioloop import PeriodicCallback

    PeriodicCallback(lambda: note(settings, manager), LOOK_SECONDS * 1000).start()
