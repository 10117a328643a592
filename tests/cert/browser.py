"""Headless Chromium, as tests of the page use it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APPLICATION = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def find_browser() -> str | None:
    """The browser that $TQ_TEST_BROWSER names, which has to be there, or the first one of the usual names."""
    wanted = os.environ.get("TQ_TEST_BROWSER")
    if wanted:
        found = shutil.which(wanted)
        assert found, f"TQ_TEST_BROWSER names {wanted!r}, which is not there"
        return found
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return found or (str(APPLICATION) if APPLICATION.exists() else None)


def run_page(browser: str, page: Path, script: str, folder: Path, width: int = 1100) -> tuple[str, list[str]]:
    """What a script, run in the page once it is laid out, returns; and what the browser logged of the page."""
    probe = folder / "probe.html"
    call = f"<script>document.title = 'got:' + JSON.stringify((() => {{ {script} }})());</script></body>"
    probe.write_text(page.read_text().replace("</body>", call))
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         f"--window-size={width},900",
         f"--user-data-dir={folder / 'profile'}", "--dump-dom", probe.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    title = re.search(r"<title>got:(.*?)</title>", done.stdout, re.DOTALL)
    assert title, done.stdout[:500] + done.stderr[-500:]
    return title[1], [line for line in done.stderr.splitlines() if "CONSOLE" in line]
