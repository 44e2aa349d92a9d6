"""Every page renders, says what to do, and shows nobody's input as HTML."""

from types import SimpleNamespace
from typing import Any

import jinja2
import jupyterhub
import pytest
from conftest import FILES
from jupyterhub._data import DATA_FILES_PATH

EVIL = "<script>alert(1)</script>"


def render(name: str, **values: Any) -> str:
    stock = jinja2.FileSystemLoader(f"{DATA_FILES_PATH}/templates")
    ours = jinja2.FileSystemLoader([str(FILES / "pages"), f"{DATA_FILES_PATH}/templates"])
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PrefixLoader({"templates": stock}, "/"), ours]), autoescape=True
    )
    common = {
        "cluster": "climate",
        "users_group": "climate_notebook_users",
        "admins": ["admin", "ada"],
        "idle_minutes": 60,
        "base_url": "/hub/",
        "login_url": "/hub/login",
        "static_url": lambda path, **_: f"/hub/static/{path}",
        "xsrf_token": "x",
        "version_hash": "",
        "parsed_scopes": [],
        "authenticator": SimpleNamespace(request_otp=False),
    }
    return environment.get_template(name).render(**common, **values)


def test_not_a_member_names_the_group_and_whom_to_ask() -> None:
    text = render("not_a_member.html", refused_name=EVIL)
    assert "<code>climate_notebook_users</code>" in text
    assert "<code>admin</code>, <code>ada</code>" in text
    assert EVIL not in text


def test_sign_in_has_the_clusters_name_and_the_error() -> None:
    text = render(
        "login.html", login_error=f"Wrong {EVIL}", username=EVIL, xsrf="x", authenticator_login_url="/hub/login"
    )
    assert "Sign in to climate" in text
    assert 'class="login_error">Wrong' in text
    assert EVIL not in text


def test_a_stopped_server_says_why() -> None:
    user = SimpleNamespace(
        name="alice",
        json_escaped_name="alice",
        spawner=SimpleNamespace(options_form=False),
        spawners={"": SimpleNamespace(stopped_because="it had not been used for 60 minutes")},
    )
    text = render("not_running.html", user=user, server_name="", spawn_url="/hub/spawn/alice")
    assert "stopped because it had not been used for 60 minutes" in text
    assert "Start my server" in text
    failed = render("not_running.html", user=user, failed=True, failed_message=EVIL, spawn_url="/hub/spawn/alice")
    assert "could not be started" in failed
    assert EVIL not in failed


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "could not be understood"),
        (403, "not for you"),
        (404, "nothing at this address"),
        (429, "Too much at once"),
        (500, "our side"),
        (503, "does not answer"),
    ],
)
def test_errors_are_in_plain_words(status: int, words: str) -> None:
    text = render("error.html", status_code=status, status_message="Status", message=EVIL)
    assert words in text
    assert EVIL not in text


@pytest.mark.parametrize("name", sorted(path.name for path in (FILES / "pages").glob("*.html")))
def test_nothing_comes_from_elsewhere(name: str) -> None:
    text = (FILES / "pages" / name).read_text()
    assert "http://" not in text
    assert "https://" not in text
    assert jupyterhub.__version__.startswith("5.5.")
