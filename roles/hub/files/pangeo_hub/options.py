"""How long servers may idle and how that is noticed, from the form's values. Pure."""

import math
import sys

from .settings import Settings

NEVER_SECONDS = 10 * 365 * 86400
# The culler looks as soon as it is started. While the hub was away no server could report that it was used: those that are
# have to be heard first, or all of them would end that were used through an outage as long as the idle time-out.
CULLER = "import runpy, time; time.sleep({}); runpy.run_module('jupyterhub_idle_culler', run_name='__main__')"


def activity_seconds(settings: Settings) -> int:
    """How often a server reports that it is used: well below the idle time-out, or work would look like idling."""
    minutes = settings["idle"]["notebook_minutes"]
    return max(10, min(300, minutes * 60 // 4)) if minutes else 300


def first_look_seconds(settings: Settings) -> int:
    """By when every server has reported to a hub that has just started. Intervals vary by a tenth, and a report is tried again
    after 15 s at most."""
    return math.ceil(1.1 * activity_seconds(settings)) + 15


def culler_command(settings: Settings) -> list[str] | None:
    """The idle culler as a service of the hub; None where servers may idle and run for ever."""
    minutes, hours = settings["idle"]["notebook_minutes"], settings["idle"]["max_hours"]
    if not minutes and not hours:
        return None
    timeout = minutes * 60 if minutes else NEVER_SECONDS
    # On a host it goes with the hub, however that ends; the next hub starts its own. In a container all do.
    kubernetes = settings.get("kubernetes")
    start = [] if kubernetes else ["/usr/bin/setpriv", "--pdeathsig=TERM"]
    return [
        *start,
        sys.executable,
        "-c",
        CULLER.format(first_look_seconds(settings)),
        # Not through the Service, which the hub's own pod need not be able to reach.
        *(["--url=http://127.0.0.1:8081/hub/api"] if kubernetes else []),
        f"--timeout={timeout}",
        f"--cull-every={max(10, min(600, timeout // 6))}",
        f"--max-age={hours * 3600}",
        "--concurrency=10",
    ]
