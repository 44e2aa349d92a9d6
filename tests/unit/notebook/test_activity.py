"""What counts as using a server."""

import datetime
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(
    0, str(Path(__file__).resolve().parents[3] / "roles" / "notebook" / "files" / "python" / "pangeo_notebook")
)
import activity  # noqa: E402 - the path has to be there first


class Manager:
    def __init__(self, **states):
        self.states = states

    def list_kernel_ids(self):
        return [*self.states, "ended just now"]

    def get_kernel(self, identity):
        return SimpleNamespace(execution_state=self.states[identity])


@pytest.mark.parametrize(
    ("states", "use"),
    [({}, False), ({"a": "idle"}, False), ({"a": "starting"}, False), ({"a": "idle", "b": "busy"}, True)],
)
def test_a_kernel_that_computes_is_use(states, use):
    settings = {"last_activity_times": {}}
    activity.note(settings, Manager(**states))
    noted = settings["last_activity_times"].get("pangeo_notebook")
    assert (noted is not None) == use
    if use:
        assert noted.tzinfo and abs(datetime.datetime.now(datetime.UTC) - noted) < datetime.timedelta(seconds=5)


def test_asking_is_no_use_and_changing_is():
    counted = []

    class Handler:
        def __init__(self, method, path):
            self.request = SimpleNamespace(method=method, path=path)

        def update_api_activity(self):
            counted.append(self.request.method)

    activity.count_requests(Handler)
    activity.count_requests(Handler)  # twice is once
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"):
        Handler(method, "/user/alice/api/contents/a.ipynb").update_api_activity()
    Handler("PUT", "/user/alice/lab/api/workspaces/default").update_api_activity()
    assert counted == ["POST", "PUT", "PATCH", "DELETE"]
