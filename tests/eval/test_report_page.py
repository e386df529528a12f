"""The page of a benchmark in a browser: it opens, sorts, shows pictures, obeys keys, and asks nobody for anything."""

import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benched import leave
from PIL import Image

from tokodec.cli import main

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    leave(folder)
    assert main.run(("bench", "report", str(folder), "--quiet")) == 0
    return folder / "report.html"


class Opened:
    """A page, what it said, and whom it asked."""

    def __init__(self, browser: Any, report: Path, **options: Any) -> None:
        self.page = browser.new_context(reduced_motion="reduce", **options).new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(report.as_uri())

    def texts(self, selector: str) -> list[str]:
        return [text.strip() for text in self.page.locator(selector).all_inner_texts()]

    def column(self, number: int) -> list[str]:
        return self.texts(f"#table tbody tr > :nth-child({number})")

    def check(self) -> None:
        """Nothing went wrong, and nothing left but for the page itself."""
        assert self.said == []
        assert [url for url in self.asked if not url.startswith("data:")] == [self.page.url]
        self.page.context.close()


@pytest.fixture
def opened(browser: Any, report: Path) -> Iterator[Opened]:
    opened = Opened(browser, report, viewport={"width": 1200, "height": 800}, offline=True)
    yield opened
    opened.check()


def test_the_table_sorts_by_any_column(opened: Opened) -> None:
    assert opened.column(1) == ["good"] * 3 + ["poor<b>"] * 3 + ["fixed"]
    heads = opened.texts("#table thead th")
    psnr = next(i for i, head in enumerate(heads) if head.startswith("PSNR, dB ▲")) + 1
    button = opened.page.locator("#table thead th").nth(psnr - 1).locator("button")
    button.click()
    values = [float(v) for v in opened.column(psnr)]
    assert values == sorted(values)
    opened.page.keyboard.press("Enter")  # the heading keeps the focus
    assert [float(v) for v in opened.column(psnr)] == sorted(values, reverse=True)
    assert opened.page.locator("#table thead th").nth(psnr - 1).get_attribute("aria-sort") == "descending"
    lpips = next(i for i, head in enumerate(heads) if head.startswith("LPIPS ▼")) + 1
    best = opened.texts("#table .best")
    assert f"{max(values):.2f}" in best
    assert min(opened.column(lpips)) in best, "lower is better"


def test_a_single_picture_has_its_own_figures(opened: Opened) -> None:
    mean = opened.column(4)
    opened.page.locator("#scope").select_option(label="dog.png")
    assert opened.texts("#scoped") == ["of dog.png"]
    assert opened.column(4) != mean
    assert "OutOfMemory: <no> memory" in opened.texts("#table .why")
    assert opened.page.locator("#picture").input_value() == "3", "the viewer follows"


def test_curves_of_any_pair_of_figures(opened: Opened) -> None:
    page = opened.page
    assert page.locator("#plot .mark").count() == 7
    page.locator("#y").select_option("lpips")
    page.locator("#x").select_option("encode_seconds")
    assert page.locator("#plot .title").all_text_contents() == ["encode, s", "LPIPS ▼"]
    page.locator("#x").select_option("bpp")
    page.locator("#legend button").nth(0).click()
    assert page.locator("#plot .mark").count() == 4
    assert "good" not in opened.column(1)
    page.locator("#legend button").nth(0).click()
    page.locator("#plot .mark").nth(2).click()
    assert "good at 1" in opened.texts("#stage .who.B")[0]
    assert page.locator("#stage").evaluate("e => e === document.activeElement")


def test_arrow_keys_move_along_the_curves(opened: Opened) -> None:
    page = opened.page
    page.locator("#plot").focus()
    told = []
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
        told.append(opened.texts("#point")[0].split(":")[0])
    assert told == ["good at 0", "good at 0.5", "poor<b> at 50", "poor<b> at 10", "poor<b> at 10"]
    page.keyboard.press("Enter")
    assert "poor<b> at 10" in opened.texts("#stage .who.B")[0]


def test_pictures_side_by_side(opened: Opened) -> None:
    page, stage = opened.page, opened.page.locator("#stage")
    assert "1 of" not in opened.texts("#pictures .hint")[0]
    source = page.locator("#stage .pane.B img").get_attribute("src")
    assert source.startswith("data:image/webp;base64,")
    assert page.locator("#stage .pane.B img").evaluate("e => e.decode().then(() => [e.naturalWidth, e.naturalHeight])") == [96, 64]
    stage.focus()
    page.keyboard.press(".")
    assert page.locator("#picture").input_value() == "1"
    assert page.locator("#stage .pane.B img").get_attribute("src") != source
    page.keyboard.press(",")
    before = page.locator("#stage .bar").bounding_box()["x"]
    page.keyboard.press("ArrowRight")
    assert page.locator("#stage .bar").bounding_box()["x"] > before
    for key, mode in (("2", "blink"), ("3", "beside"), ("4", "difference"), ("1", "slider")):
        page.keyboard.press(key)
        assert stage.get_attribute("data-mode") == mode
        assert opened.texts('#modes [aria-pressed="true"]') == ["side by side" if mode == "beside" else mode]
    zoom = opened.texts("#zoom")[0]
    page.keyboard.press("+")
    assert int(opened.texts("#zoom")[0].split()[0]) > int(zoom.split()[0])
    page.keyboard.press("0")
    assert opened.texts("#zoom") == [zoom]
    left, right = opened.texts("#stage .who")
    page.keyboard.press("x")
    assert [text[2:] for text in opened.texts("#stage .who")] == [right[2:], left[2:]]


def test_a_difference_is_dark_where_there_is_none(opened: Opened) -> None:
    page = opened.page
    page.locator("#left").select_option("original")
    page.locator("#right").select_option("original")
    page.locator("#stage").focus()
    page.keyboard.press("4")
    assert _brightest(opened) < 3
    page.locator("#right").select_option(index=1)
    page.wait_for_timeout(100)
    assert _brightest(opened) > 60


def _brightest(opened: Opened) -> int:
    """Of the middle of the stage, where no label is."""
    picture = np.asarray(Image.open(BytesIO(opened.page.locator("#stage").screenshot())).convert("RGB"))
    return int(picture[60:-10, 10:-10].max())


def test_the_worst_are_a_click_away(opened: Opened) -> None:
    page = opened.page
    page.locator("#whose").select_option(index=0)
    assert [text.split("\n")[0] for text in opened.texts("#list li")] == ["dog.png", "cat.png", "bee.png", "ape.png"]
    page.locator("#list button").first.click()
    assert page.locator("#picture").input_value() == "3"
    page.locator("#by").select_option(label="text, one by one")
    assert opened.texts("#list li") == ["cat.png text <word>, read w0rd\nned 0"]
    page.locator("#list button").first.click()
    assert page.locator("#picture").input_value() == "2"
    assert page.locator("#stage .box").is_visible()
    stage, box = (page.locator(s).bounding_box() for s in ("#stage", "#stage .box"))
    assert box["width"] >= 100, "large enough to read"
    assert stage["x"] <= box["x"] <= stage["x"] + stage["width"] - box["width"]
    assert stage["y"] <= box["y"] <= stage["y"] + stage["height"] - box["height"]


@pytest.mark.parametrize(("scheme", "bright"), [("light", True), ("dark", False)])
def test_light_dark_and_narrow(browser: Any, report: Path, scheme: str, bright: bool) -> None:
    opened = Opened(browser, report, viewport={"width": 380, "height": 700}, color_scheme=scheme)
    red = opened.page.evaluate("() => Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
    assert (red > 128) == bright
    assert opened.page.evaluate("() => document.documentElement.scrollWidth") <= 380, "nothing sticks out"
    opened.check()


def test_the_page_says_what_it_is_of(opened: Opened) -> None:
    words = opened.page.inner_text("main")
    for wanted in (
        "0123456789abcdef",
        "27 of 28",
        "1 failed",
        "tokodec bench run four/",
        "abacus",
        "+31.4 %",
        "one rate only",
        "of <networks>",
    ):
        assert wanted in words
    assert opened.page.locator("main b b").count() == 0
