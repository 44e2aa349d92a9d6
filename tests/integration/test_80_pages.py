"""The pages as a person sees them, in headless Chromium; pictures are kept in build/screenshots."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PASSWORD, ROOT, Cluster
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PICTURES = Path(os.environ.get("CAAS_SCREENSHOTS", ROOT / "build" / "screenshots"))


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    driver = shutil.which("chromedriver")
    assert driver, "chromium-driver is not installed"
    options = webdriver.ChromeOptions()
    options.accept_insecure_certs = True  # our own CA is not in Chromium's store; the other tests verify it
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--no-proxy-server",
        "--window-size=1280,860",
        f"--user-data-dir={tmp_path}",
    ):
        options.add_argument(word)
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    chrome.set_page_load_timeout(90)
    PICTURES.mkdir(parents=True, exist_ok=True)
    yield chrome
    chrome.quit()


def wait(browser: webdriver.Chrome, seconds: float) -> WebDriverWait:
    """While a page gives way to the next, what was found a moment ago may be gone: that is looked for again."""
    return WebDriverWait(browser, seconds, ignored_exceptions=[WebDriverException])


def sign_in(browser: webdriver.Chrome, cluster: Cluster, user: str, password: str = PASSWORD) -> None:
    browser.get(f"{cluster.url}/hub/login")
    browser.find_element(By.ID, "username_input").send_keys(user)
    browser.find_element(By.ID, "password_input").send_keys(password)
    browser.find_element(By.ID, "login_submit").click()


def keep(browser: webdriver.Chrome, name: str) -> None:
    assert browser.save_screenshot(str(PICTURES / f"{name}.png"))


def no_scrolling_sideways(browser: webdriver.Chrome) -> bool:
    return browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_login_page(browser: webdriver.Chrome, cluster: Cluster) -> None:
    browser.get(f"{cluster.url}/hub/login")
    assert cluster.name in browser.find_element(By.TAG_NAME, "body").text
    keep(browser, "login")
    assert no_scrolling_sideways(browser)
    browser.set_window_size(390, 800)
    keep(browser, "login-phone")
    assert no_scrolling_sideways(browser)


def test_not_a_member(browser: webdriver.Chrome, cluster: Cluster) -> None:
    sign_in(browser, cluster, "bob")
    wait(browser, 30).until(lambda b: "it_notebook_users" in b.find_element(By.TAG_NAME, "body").text)
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
    wait(browser, 120).until(lambda b: b.find_elements(By.CLASS_NAME, "jp-LauncherCard"))
    time.sleep(3)  # the panels slide in
    keep(browser, "lab")
    browser.get(f"{cluster.url}/user/alice/lab/tree/welcome.ipynb")
    wait(browser, 120).until(lambda b: len(b.find_elements(By.CLASS_NAME, "jp-Cell")) > 3)
    time.sleep(3)
    keep(browser, "welcome")


def test_stopped_server(browser: webdriver.Chrome, cluster: Cluster) -> None:
    sign_in(browser, cluster, "carol")
    wait(browser, 60).until(lambda b: "/hub/" in b.current_url and "login" not in b.current_url)
    keep(browser, "start")
    browser.get(f"{cluster.url}/user/carol/lab")
    assert browser.find_element(By.TAG_NAME, "body").text
    keep(browser, "stopped")


def test_admin(browser: webdriver.Chrome, cluster: Cluster) -> None:
    sign_in(browser, cluster, "admin", cluster.caas.run("password", cluster.name).stdout.strip())
    wait(browser, 60).until(lambda b: "login" not in b.current_url)
    browser.get(f"{cluster.url}/hub/admin")
    wait(browser, 60).until(lambda b: "alice" in b.find_element(By.TAG_NAME, "body").text)
    keep(browser, "admin")
