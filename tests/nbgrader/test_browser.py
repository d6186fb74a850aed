"""A feedback page and formgrader, opened in Debian's Chromium."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api")

from tests.nbgrader.conftest import SEED  # noqa: E402

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium: apt-get install chromium")
MATHJAX = "window.MathJax = {Hub: {Config() {}, Configured() {}, Queue() {}, Startup: {signal: {Interest() {}}}}};"
SHOTS = Path(os.environ.get("DGM_SCREENSHOTS", ""))  # where to leave pictures for a person to look at


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser, request):
    """A page that fails the test on any error of the console. MathJax comes from a CDN, which a test does not call."""
    page = browser.new_page(color_scheme=getattr(request, "param", "light"), viewport={"width": 1100, "height": 1500})
    problems = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.route("**/mathjax/**", lambda route: route.fulfill(body=MATHJAX, content_type="text/javascript"))
    yield page
    page.close()
    assert problems == []


@pytest.fixture(scope="module")
def server(course):
    """A Jupyter server in the course's folder with nbgrader's extensions."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--port={port}", f"--notebook-dir={course.root}", "--no-browser", "--allow-root"]
    options += ["--IdentityProvider.token=", "--ServerApp.jpserver_extensions=nbgrader.server_extensions.formgrader=True"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"DGM_SEED": SEED, "JUPYTER_CONFIG_DIR": str(course.root), "PATH": path}
    log = (course.root / "server.log").open("w")
    process = subprocess.Popen(["jupyter", "lab", *options], cwd=course.root, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}/api", timeout=2)
                break
            except OSError:
                assert process.poll() is None, (course.root / "server.log").read_text()[-3000:]
                time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def shoot(page, name):
    if str(SHOTS) != ".":
        page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_a_feedback_page_opens_without_errors(page, course, request):
    page.goto(f"file://{course.root}/feedback/dora/lecture1/divergences.html")
    section = page.locator(".dgm section[aria-label='divergences.kl_divergence']")
    assert "you computed the reverse KL" in section.inner_text()
    shoot(page, f"feedback-{request.node.callspec.id}")


def test_a_student_s_markup_does_not_run(page, course):
    page.goto(f"file://{course.root}/feedback/injects/lecture1/divergences.html")
    assert page.evaluate("window.taken") is None


def test_formgrader_lists_and_shows_submissions(page, server):
    page.goto(f"{server}/formgrader/gradebook/lecture1/divergences")
    page.wait_for_selector("text=/Submission #/")
    shoot(page, "formgrader")
    page.locator("a", has_text="Submission #1").first.click()
    page.wait_for_selector(".dgm section")
    shoot(page, "formgrader-submission")
