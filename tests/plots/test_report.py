"""``ist-mpi report``: what the page says, and how it looks in a browser."""

import html.parser
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import call

import ist_mpi
from ist_mpi.plots.page import page

CONFIG: dict[str, Any] = {
    "problem": {"kind": "synthetic", "n": 3, "d": 12},
    "method": {"name": "ist", "step_size": 5e-3},
    "run": {"rounds": 3000, "theory": True},
    "log": {"every": 20},
}
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("report")
    for seed in (0, 1):
        ist_mpi.run(CONFIG, seed=seed, out=place / f"ist{seed}.h5")
    free = {"name": "anchored", "step_size": "default"}
    ist_mpi.run(CONFIG | {"method": free}, tolerance=1e-12, out=place / "anchored.h5")
    return place


class Seen(html.parser.HTMLParser):
    """The tags of a page with what they point to, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.links += [str(values[k]) for k in ("src", "href", "xlink:href") if values.get(k)]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.slow
def test_the_page_says_what_the_logs_hold_and_needs_nothing_else(folder: Path) -> None:
    target = folder / "out" / "report.html"
    done = call("report", str(folder), "-o", str(target))
    assert done.returncode == 0, done.stderr
    text = target.read_text()
    seen = Seen(text)
    assert all(link.startswith("#") for link in seen.links)
    assert not re.search(r"<script|<link|@import|url\((?!#)", text)
    words = " ".join(seen.texts)
    run = ist_mpi.open_run(folder / "ist0.h5")
    for value in (run.theory["limit_relative_gap"], run.theory["theta"]):
        assert f"{value:.4g}" in words
    assert "because of the bias of the method, not of the step size" in words
    assert "reached the tolerance" in words
    assert run.attributes["run_id"] in words
    assert "step_size = 0.005" in words
    again = call("report", str(folder), "-o", str(target))
    assert (again.returncode, "exists" in again.stderr) == (2, True)


def test_names_are_shown_and_not_obeyed(folder: Path) -> None:
    text = page([folder / "ist0.h5"], title="<b>&")
    assert "<h1>&lt;b&gt;&amp;</h1>" in text


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="there is no chromium")
@pytest.mark.parametrize("width", [1280, 400])
def test_in_a_browser(folder: Path, tmp_path: Path, width: int) -> None:
    """Nothing reaches beyond the window, figures fill it, and no network is asked for."""
    look = (
        "<script>onload = () => { const f = [...document.querySelectorAll('figure svg')];"
        "document.title = [document.documentElement.scrollWidth, innerWidth, f.length,"
        "Math.min(...f.map(s => s.getBoundingClientRect().width)),"
        "performance.getEntriesByType('resource').length].join(' ') }</script>"
    )
    path = tmp_path / "page.html"
    path.write_text(page(sorted(folder.glob("*.h5"))).replace("</body>", f"{look}</body>"))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900"]
    done = subprocess.run(
        [str(BROWSER), *flags, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r"<title>([\d. ]+)</title>", done.stdout)
    assert found is not None, done.stdout[:500]
    across, window, figures, narrowest, asked = np.array(found[1].split(), dtype=float)
    assert across <= window
    assert (figures, asked) == (2, 0)
    assert narrowest > 0.4 * min(window, 1000)
