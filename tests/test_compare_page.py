"""The page of ``vsapisr compare`` in a real browser, from a file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("typer", reason="the extra cli is not installed")

from vsapisr.cli.columns import columns
from vsapisr.cli.gathered import Row
from vsapisr.cli.page import write_page
from vsapisr.config import UpscaleConfig

from .browser import chromium, needs_chromium, shown

COLOURS = ((200, 30, 30), (30, 160, 30), (40, 60, 220))
"""Of the columns."""
TRANSFORMS = "[...document.images].map(i => getComputedStyle(i).transform)"
PLACE = """() => ["--s", "--x", "--y"].map((key) =>
  Number(getComputedStyle(document.documentElement).getPropertyValue(key)))"""
CONTRAST = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92
    : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const found = rgb(getComputedStyle(one).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility()
    && [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
  return texts.map((one) => {
    const [a, b] = [light(rgb(getComputedStyle(one).color)), light(behind(one))].sort((x, y) => y - x);
    return [one.textContent.trim().slice(0, 40), (a + 0.05) / (b + 0.05)];
  });
}"""
NAMELESS = """() => [...document.querySelectorAll("button, select, [tabindex], img")].filter((one) =>
  !(one.getAttribute("aria-label") || one.alt || one.textContent.trim() && one.tagName === "BUTTON"
    || one.labels?.[0]?.textContent.trim())).map((one) => one.outerHTML)"""


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    """Two rows of three pictures, each of one colour but for a white spot."""
    rows = []
    for label, (width, height) in {"first <b>&": (640, 360), "second": (360, 360)}.items():
        row = Row(label, (width // 4, height // 4))
        for colour in COLOURS:
            picture = np.full((height, width, 3), colour, np.uint8)
            picture[40:60, 300:320] = 255
            row.pictures.append(picture)
        rows.append(row)
    target = tmp_path_factory.mktemp("page") / "a page é.html"
    with open(target, "wb") as file:
        write_page(file, "<title> & more", columns(UpscaleConfig(), ["default"], ["guard=0"], True), rows)
    return target


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def pixels(page: Any) -> np.ndarray:
    with Image.open(io.BytesIO(page.locator("#slider").screenshot(animations="disabled"))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def is_colour(pixel: np.ndarray, column: int) -> bool:
    return bool(np.abs(pixel - COLOURS[column]).max() <= 3)


def divider(page: Any) -> int:
    return int(page.locator("#slider").get_attribute("aria-valuenow"))


@needs_chromium
def test_it_is_whole_and_asks_nobody(browser, path):
    with shown(browser, path) as page:
        assert page.log == []
        assert page.title() == "<title> & more" and page.locator("h1").text_content() == "<title> & more"
        assert page.locator("#grid figure").count() == 3
        assert page.evaluate("[...document.images].map(i => i.naturalWidth)") == [640] * 5
        alts = page.evaluate("[...document.images].map(i => i.alt)")
        assert alts[0] == "first <b>&: Lanczos" and alts[1] == "first <b>&: default, guard=0"
        assert page.evaluate("fetch('https://example.org/x').then(() => 'went out', () => 'stopped')") == "stopped"


@needs_chromium
def test_the_divider_is_dragged_and_moved_by_keys(browser, path):
    with shown(browser, path) as page:
        seen = pixels(page)
        high, wide = seen.shape[:2]
        assert is_colour(seen[high // 5, wide // 4], 0) and is_colour(seen[high // 5, wide * 3 // 4], 2)
        box = page.locator("#slider").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.25  # anywhere on the line
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.9, y, steps=4)
        page.mouse.up()
        page.wait_for_function("() => Math.abs(slider.value - 90) < 1")
        assert divider(page) == 90
        assert is_colour(pixels(page)[high // 5, wide * 3 // 4], 0)
        page.keyboard.press("End")
        assert divider(page) == 100
        page.keyboard.down("ArrowLeft")
        page.wait_for_function("() => slider.value < 95")
        page.keyboard.up("ArrowLeft")
        page.keyboard.press("Home")
        assert divider(page) == 0
        page.keyboard.press("b")
        assert divider(page) == 100 and page.log == []


@needs_chromium
def test_zoom_and_place_are_shared_by_all_pictures(browser, path):
    with shown(browser, path) as page:
        fit = page.evaluate(TRANSFORMS)
        page.click("#in")
        page.keyboard.press("+")
        assert page.evaluate(PLACE) == pytest.approx([2.25, -62.5, -62.5])
        box = page.locator("#slider").bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.8)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.7, steps=3)
        page.mouse.up()
        assert divider(page) == 50  # the picture was dragged, not the divider
        shares = "[...document.images].map(i => { const m = new DOMMatrix(getComputedStyle(i).transform);"
        shares += " return [m.a, m.e / i.clientWidth * 100, m.f / i.clientHeight * 100]; })"
        places = page.evaluate(shares)
        assert all(place == pytest.approx([2.25, -72.5, -72.5], abs=0.3) for place in places), places
        page.keyboard.press("Shift+ArrowLeft")
        assert all(place[1] == pytest.approx(-62.5, abs=0.3) for place in page.evaluate(shares))
        page.keyboard.press("1")
        assert page.locator("#scale").text_content() == "100%"
        page.keyboard.press("0")
        assert page.evaluate(TRANSFORMS) == fit and page.log == []


@needs_chromium
def test_others_are_chosen_by_list_button_and_key(browser, path):
    with shown(browser, path) as page:
        alt = "[first.alt, second.alt, slider.getAttribute('aria-valuetext')]"
        page.locator("#right").select_option(label="default")
        assert page.evaluate(alt)[1] == "first <b>&: default"
        assert is_colour(pixels(page)[30, -30], 1)
        page.get_by_role("button", name="Show default, guard=0 on the left").click()
        assert page.evaluate(alt) == ["first <b>&: default, guard=0", "first <b>&: default",
                                      "50% default, guard=0, 50% default"]  # fmt: skip
        page.keyboard.press("s")
        assert page.evaluate(alt)[0] == "first <b>&: default"
        page.keyboard.press("]")
        assert page.evaluate(alt)[1] == "first <b>&: Lanczos"
        page.keyboard.press("n")
        page.wait_for_function("() => first.naturalWidth === 360 && second.naturalWidth === 360")
        assert page.evaluate(alt)[0] == "second: default"
        box = page.locator("#slider").bounding_box()
        assert box["width"] == pytest.approx(box["height"], abs=1)
        page.locator("#row").select_option(label="first <b>&")
        assert page.evaluate(alt)[0] == "first <b>&: default" and page.log == []


@needs_chromium
@pytest.mark.parametrize(("scheme", "width"), [("dark", 390), ("light", 1280)])
def test_it_can_be_read_and_reached(browser, path, scheme, width):
    with shown(browser, path, width, scheme=scheme) as page:
        low = [(words, ratio) for words, ratio in page.evaluate(CONTRAST) if ratio < 4.5]
        assert low == [] and len(page.evaluate(CONTRAST)) > 10
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        back = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert (sum(back) < 150) == (scheme == "dark")
        reached = set()
        for _ in range(20):
            page.keyboard.press("Tab")
            seen = "[document.activeElement.id, getComputedStyle(document.activeElement).outlineStyle]"
            one, line = page.evaluate(seen)
            if page.evaluate("document.activeElement !== document.body"):
                reached.add(one)
                assert line != "none", one
        assert {"row", "left", "swap", "right", "out", "in", "fit", "one", "slider"} <= reached


def test_pictures_lie_in_the_page_without_loss(path):
    import base64
    import re

    text = path.read_text(encoding="utf-8")
    found = re.findall(r'id="picture-(\d)-(\d)" data-kind="image/webp">([^<]+)<', text)
    assert [one[:2] for one in found] == [(r, c) for r in "01" for c in "012"]
    with Image.open(io.BytesIO(base64.b64decode(found[2][2]))) as image:
        picture = np.asarray(image.convert("RGB"))
    assert (picture[0, 0] == COLOURS[2]).all() and (picture[50, 310] == 255).all()
    assert "Copyright (c) 2019 Dmitry Snisarenko" in text and "sourceMappingURL" not in text
    assert "https://" not in re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).replace("http://www.w3.org/2000/svg", "")
