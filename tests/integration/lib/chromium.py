"""A headless Chromium, as somebody sits before it."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
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
        f"--user-data-dir={profile}",
    ):
        options.add_argument(word)
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    chrome.set_page_load_timeout(90)
    try:
        yield chrome
    finally:
        chrome.quit()


class Wait(WebDriverWait):
    """Who waited in vain says what is to be seen instead."""

    def until(self, method: Callable[[Any], Any], message: str = "") -> Any:
        try:
            return super().until(method, message)
        except TimeoutException as gone:
            with contextlib.suppress(WebDriverException):
                page = self._driver.find_element(By.TAG_NAME, "body").text
                gone.msg = f"{message} {self._driver.current_url} {self._driver.title!r}: {page[:2000]!r}"
            raise


def wait(browser: webdriver.Chrome, seconds: float) -> Wait:
    """While a page gives way to the next, what was found a moment ago may be gone: that is looked for again."""
    return Wait(browser, seconds, ignored_exceptions=[WebDriverException])


def open_sign_in(browser: webdriver.Chrome, url: str) -> None:
    """A browser that has just started may lose the first page it is sent to, and show an empty one."""
    for _ in range(3):
        browser.get(f"{url}/hub/login")
        with contextlib.suppress(TimeoutException):
            wait(browser, 10).until(lambda b: b.find_elements(By.ID, "login_submit"))
            return
        text = browser.find_element(By.TAG_NAME, "body").text
        assert not text.strip(), f"{browser.current_url}: {text}"
    raise AssertionError(f"{browser.current_url} is empty: {browser.page_source[:1000]}")


def sign_in(browser: webdriver.Chrome, url: str, user: str, password: str) -> None:
    open_sign_in(browser, url)
    browser.find_element(By.ID, "username_input").send_keys(user)
    browser.find_element(By.ID, "password_input").send_keys(password)
    browser.find_element(By.ID, "login_submit").click()
