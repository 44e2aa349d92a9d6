"""The pages as a person sees them, in headless Chromium; pictures are kept in build/screenshots."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import chromium
import pytest
from chromium import wait
from conftest import PASSWORD, ROOT, Cluster
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By

PICTURES = Path(os.environ.get("CAAS_SCREENSHOTS", ROOT / "build" / "screenshots"))


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with chromium.chromium(tmp_path) as made:
        yield made


def sign_in(browser: webdriver.Chrome, cluster: Cluster, user: str, password: str = PASSWORD) -> None:
    chromium.sign_in(browser, cluster.url, user, password)


def keep(browser: webdriver.Chrome, name: str) -> None:
    assert browser.save_screenshot(str(PICTURES / f"{name}.png"))


def no_scrolling_sideways(browser: webdriver.Chrome) -> bool:
    return browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def shows(browser: webdriver.Chrome, what: Callable[[webdriver.Chrome], object]) -> None:
    """JupyterLab is of hundreds of files: a busy browser that has lost one is asked again, once, and a picture is kept."""
    with contextlib.suppress(TimeoutException):
        wait(browser, 60).until(what)
        return
    keep(browser, "lab-lost")
    browser.refresh()
    wait(browser, 120).until(what)


def test_login_page(browser: webdriver.Chrome, cluster: Cluster) -> None:
    chromium.open_sign_in(browser, cluster.url)
    assert cluster.name in browser.find_element(By.TAG_NAME, "body").text
    keep(browser, "login")
    assert no_scrolling_sideways(browser)
    browser.set_window_size(390, 800)
    keep(browser, "login-phone")
    assert no_scrolling_sideways(browser)


def test_not_a_member(browser: webdriver.Chrome, cluster: Cluster) -> None:
    sign_in(browser, cluster, "bob")
    wait(browser, 30).until(lambda b: f"{cluster.name}_notebook_users" in b.find_element(By.TAG_NAME, "body").text)
    keep(browser, "not-a-member")


def test_wrong_password(browser: webdriver.Chrome, cluster: Cluster) -> None:
    sign_in(browser, cluster, "alice", "wrong")
    wait(browser, 30).until(lambda b: b.find_elements(By.CLASS_NAME, "login_error"))
    keep(browser, "wrong-password")


def test_lab(browser: webdriver.Chrome, cluster: Cluster, alice: object) -> None:
    sign_in(browser, cluster, "alice")
    wait(browser, 120).until(lambda b: "/user/alice" in b.current_url)
    if "/lab" not in browser.current_url:
        browser.get(f"{cluster.url}/user/alice/lab")
    shows(browser, lambda b: b.find_elements(By.CLASS_NAME, "jp-LauncherCard"))
    time.sleep(3)  # the panels slide in
    keep(browser, "lab")
    browser.get(f"{cluster.url}/user/alice/lab/tree/welcome.ipynb")
    shows(browser, lambda b: len(b.find_elements(By.CLASS_NAME, "jp-Cell")) > 3)
    time.sleep(3)
    keep(browser, "welcome")


def test_stopped_server(browser: webdriver.Chrome, cluster: Cluster) -> None:
    carol = cluster.signed_in("carol")
    carol.spawn()
    carol.stop()
    sign_in(browser, cluster, "carol")
    wait(browser, 60).until(lambda b: "/hub/" in b.current_url and "login" not in b.current_url)
    keep(browser, "start")
    browser.get(f"{cluster.url}/user/carol/lab")
    text = browser.find_element(By.TAG_NAME, "body").text
    assert "Your server is not running" in text and "Your files are where you left them" in text
    assert "because you or an administrator stopped it" in text
    assert browser.find_element(By.ID, "start").text == "Start my server"
    keep(browser, "stopped")


def test_admin(browser: webdriver.Chrome, cluster: Cluster) -> None:
    sign_in(browser, cluster, "admin", cluster.caas.run("password", cluster.name).stdout.strip())
    wait(browser, 60).until(lambda b: "login" not in b.current_url)
    browser.get(f"{cluster.url}/hub/admin")
    wait(browser, 60).until(lambda b: "alice" in b.find_element(By.TAG_NAME, "body").text)
    keep(browser, "admin")


def test_monitoring(browser: webdriver.Chrome, cluster: Cluster) -> None:
    """The page, and a question asked in Prometheus' own, which has to pass what keeps other pages from asking."""
    sign_in(browser, cluster, "admin", cluster.caas.run("password", cluster.name).stdout.strip())
    wait(browser, 60).until(lambda b: "login" not in b.current_url)
    page = f"{cluster.url}/services/monitoring/"
    browser.get(page)
    wait(browser, 60).until(lambda b: "What is watched" in b.find_element(By.TAG_NAME, "body").text)
    assert no_scrolling_sideways(browser)
    keep(browser, "monitoring")
    browser.set_window_size(390, 800)
    assert no_scrolling_sideways(browser)
    keep(browser, "monitoring-phone")
    browser.set_window_size(1280, 860)
    browser.get(f"{page}prometheus/graph?g0.expr=caas_part_up&g0.tab=1")
    wait(browser, 60).until(lambda b: 'part="hub"' in b.find_element(By.TAG_NAME, "body").text)
    keep(browser, "prometheus")
