"""The report: one page that loads nothing, shows the data it was given, and survives hostile names."""

import dataclasses
import math
import re
import struct
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from lilliput.errors import UserError
from lilliput.graph import Graph
from lilliput.op import Kernel, Op, Site
from lilliput.plan import Buffer, Plan, Step
from lilliput.report import Report, WrongSample, collect
from lilliput.report.data import (
    Block,
    BoardJson,
    Classification,
    ClassRow,
    Confusion,
    Epoch,
    LayerJson,
    MemoryMap,
    SqnrRow,
    Training,
    busiest_step,
)
from lilliput.report.html import render_html, write_html
from lilliput.report.png import png
from lilliput.train.metrics import classification_report
from report_sample import sample_profile, sample_report, sample_validation

OPTIONAL = [
    field.name for field in dataclasses.fields(Report) if field.default is None and field.name != "command"
]
SECTIONS = {
    "accuracy": "accuracy",
    "confusion": "confusion",
    "wrong": "wrong",
    "training": "training",
    "pruning": "pruning",
    "quantization": "quantization",
    "profile": "layers",
    "memory": "memory",
    "validation": "validation",
    "boards": "boards",
}
HOSTILE = "<script>alert('x')</script>\"'><img src=http://evil.example/x onerror=alert(1)>&amp;"
VOID = {"meta", "link", "img", "br", "wbr"}


class Page(HTMLParser):
    """What the tests need of a page: elements with attributes, the text, and whether tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"attribute given twice in <{tag}>"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> does not match"

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def exact(self) -> list[str]:
        return [attributes["value"] for attributes in self.all("data")]

    def attributes(self) -> set[str]:
        return {name for _, attributes in self.elements for name in attributes}

    def ids(self) -> set[str]:
        return {attributes["id"] for _, attributes in self.elements if "id" in attributes}


@pytest.fixture(scope="module")
def report() -> Report:
    return sample_report()


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return render_html(report)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def _outside(page: Page) -> Iterator[str]:
    """Everything in the page that would make a browser ask for something."""
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href"):
            value = attributes.get(name, "")
            if value and not value.startswith(("#", "data:")):
                yield f"<{tag} {name}={value}>"
        if tag in ("script", "iframe", "object", "embed", "base", "form", "video", "audio", "image", "use"):
            yield f"<{tag}>"
        yield from (f"<{tag} {name}>" for name in attributes if name.startswith("on"))


def test_page_loads_nothing(html: str, page: Page) -> None:
    assert list(_outside(page)) == []
    without_pictures = re.sub(r'src="data:[^"]*"', "", html)
    assert not re.search(r"https?:|//[a-z]|@import|@font-face|url\(", without_pictures)
    policy = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_the_check_for_outside_loads_can_fail() -> None:
    bad = Page('<img src="http://a.b/c"><script>1</script><p onclick="x()"></p><a href="#ok">k</a>')
    assert list(_outside(bad)) == ["<img src=http://a.b/c>", "<script>", "<p onclick>"]


def test_links_of_the_contents_lead_to_sections(page: Page) -> None:
    targets = {a["href"].removeprefix("#") for a in page.all("a")}
    assert targets == set(SECTIONS.values())
    assert targets <= page.ids()


def test_same_report_same_page(html: str) -> None:
    assert render_html(sample_report()) == html


def test_exact_figures_are_in_the_page(report: Report, page: Page) -> None:
    profile, pruning = report.profile, report.pruning
    assert profile is not None
    assert pruning is not None
    wanted = [profile["instructions"], profile["macs"], *profile["flash"].values(), *profile["ram"].values()]
    for layer in profile["layers"]:
        wanted += [layer["instructions"], layer["code"], layer["constants"]]
        assert f"{layer['macs']:,}" in page.text
    for size in (pruning.before, pruning.after):
        wanted += [size.params, size.macs, size.accuracy]
    wanted += [row.value for row in report.accuracy or ()]
    wanted += [row.sqnr_db for row in report.quantization or ()]
    for row in (report.classification or Classification(())).rows:
        wanted += [row.precision, row.recall, row.f1]
    for board in report.boards or ():
        wanted += [board["flash"], board["sram"], board["flash_free"], board["ram_free"], board["clock"]]
    assert [value for value in wanted if str(value) not in page.exact()] == []


def test_flash_and_confusion_by_cell(report: Report, page: Page) -> None:
    assert report.confusion is not None
    titles = {attributes.get("title") for attributes in page.all("td")}
    for true, counts in zip(report.confusion.labels, report.confusion.counts, strict=True):
        for read, n in zip(report.confusion.labels, counts, strict=True):
            assert f"{true} read as {read}: {n} of {sum(counts)}" in titles


def test_every_block_is_a_rectangle_of_its_bytes(report: Report, page: Page) -> None:
    memory = report.memory
    assert memory is not None
    rectangles = [a for a in page.all("rect") if a.get("class", "").startswith("block ")]
    assert len(rectangles) == len(memory.blocks)
    scale = max(float(a["height"]) + 1 for a in rectangles) / max(b.size for b in memory.blocks)
    for block, a in zip(memory.blocks, rectangles, strict=True):
        assert a["class"] == f"block block-{block.kind}"
        # Coordinates have two decimals; a rectangle is drawn at least one pixel high.
        assert float(a["height"]) == pytest.approx(max(1, block.size * scale - 1), abs=0.02)
        assert f"{block.size:,} bytes at {block.offset:,}–{block.offset + block.size:,}" in page.text


def test_bars_are_proportional_to_instructions(report: Report, html: str) -> None:
    assert report.profile is not None
    table = html[html.index("Instructions by layer") : html.index("Flash by layer")]
    widths = [float(w) for w in re.findall(r'width="([\d.]+)%"><', table)]
    counts = [layer["instructions"] or 0 for layer in report.profile["layers"]]
    assert widths == pytest.approx([100 * n / max(counts) for n in counts], abs=0.006)


@pytest.mark.parametrize("name", OPTIONAL)
def test_each_section_can_be_left_out(report: Report, name: str) -> None:
    ids = Page(render_html(dataclasses.replace(report, **{name: None}))).ids()
    gone = {SECTIONS[name]} if name in SECTIONS and name != "accuracy" else set()
    assert ids == set(SECTIONS.values()) - gone


@pytest.mark.parametrize("name", OPTIONAL)
def test_each_section_can_stand_alone(report: Report, name: str) -> None:
    bare = Report("t", "m", "v", "core")
    page = Page(render_html(dataclasses.replace(bare, **{name: getattr(report, name)})))
    assert page.ids() == {SECTIONS.get(name, "accuracy")}


def test_a_report_of_nothing_is_a_page() -> None:
    empty = Report(
        "t", "m", "v", "core", accuracy=(), wrong=(), boards=(), quantization=(), training=Training(())
    )
    page = Page(render_html(empty))
    assert page.ids() == set()
    assert not page.all("nav")


def _hostile_report(report: Report) -> Report:
    layer: LayerJson = {"name": HOSTILE, "op": HOSTILE, "kernel": HOSTILE, "macs": 1, "instructions": 2}
    board: BoardJson = {**(report.boards or ())[0], "name": HOSTILE, "core": HOSTILE, "misses": [HOSTILE]}
    validation = sample_validation() | {
        "bit_exact": False,
        "first_difference": {HOSTILE: HOSTILE},
        HOSTILE: HOSTILE,
    }
    return Report(
        *[HOSTILE] * 5,
        accuracy=(dataclasses.replace((report.accuracy or ())[0], name=HOSTILE),),
        training=report.training,
        pruning=report.pruning,
        classification=Classification((ClassRow(HOSTILE, 1, 1, 1, 1),)),
        confusion=Confusion((HOSTILE, "b"), ((1, 2), (3, 4))),
        wrong=(WrongSample(np.zeros((2, 2), np.uint8), HOSTILE, HOSTILE),),
        memory=MemoryMap(64, (HOSTILE,), (Block(HOSTILE, 0, 0, 0, 64, "input"),)),
        profile={**sample_profile(), "target": HOSTILE, "layers": [layer]},
        quantization=(SqnrRow(HOSTILE, HOSTILE, math.inf),),
        validation=validation,  # type: ignore[arg-type]
        boards=(board,),
    )


def test_hostile_names_are_only_text(report: Report) -> None:
    html = render_html(_hostile_report(report))
    page = Page(html)
    assert list(_outside(page)) == []
    assert "<script" not in html
    assert page.text.count("<script>alert('x')</script>") >= 15
    # "open" is the list of boards that do not fit, when nothing fits.
    assert page.attributes() <= Page(render_html(report)).attributes() | {"open"}


def test_pictures_survive_the_trip() -> None:
    rng = np.random.default_rng(0)
    for shape in ((28, 28), (5, 7, 1), (3, 4, 3)):
        pixels = rng.integers(0, 256, shape, np.uint8)
        assert np.array_equal(_decode(png(pixels)), np.atleast_3d(pixels))


def _decode(data: bytes) -> np.ndarray:
    """A reader of its own: length, kind, body and CRC of each chunk, then rows without a filter."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, body, header = 8, b"", b""
    while at < len(data):
        (length,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        chunk = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + chunk)
        header, body = (chunk, body) if kind == b"IHDR" else (header, body + chunk)
        at += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", header[:10])
    channels = {0: 1, 2: 3}[colour]
    rows = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, 1 + width * channels)
    assert depth == 8
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, channels)


@pytest.mark.parametrize("shape", [(2, 2, 2), (0, 4), (2, 2, 3, 1)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a picture is uint8"):
        png(np.zeros(shape, np.uint8))


def test_write_leaves_the_page_and_nothing_else(report: Report, html: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    write_html(report, path)
    assert path.read_text(encoding="utf-8") == html
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_failed_write_keeps_the_old_page(tmp_path: Path) -> None:
    (tmp_path / "report.html" / "inside").mkdir(parents=True)  # a folder cannot be replaced by a file
    with pytest.raises(UserError, match=r"report\.html"):
        write_html(Report("t", "m", "v", "core"), tmp_path / "report.html")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_lone_surrogate_does_not_stop_the_report(tmp_path: Path) -> None:
    write_html(Report("t\ud800", "m", "v", "core"), tmp_path / "r.html")
    assert b"t&#55296;" in (tmp_path / "r.html").read_bytes()


def test_odd_histories_still_draw() -> None:
    flat = Epoch(0.0, 0.0, 1.0, 0.1)
    broken = Epoch(math.nan, math.inf, 0.5, 0.1)
    for epochs, pruned in (
        ((flat,), None),
        ((flat, flat), 1),
        ((broken, flat), 2),
        ((broken,), 5),
        ((flat,) * 400, 7),
    ):
        page = render_html(Report("t", "m", "v", "core", training=Training(epochs, pruned)))
        assert not re.search(r'(?:cx|cy|points|x|y)="[^"]*(?:nan|inf)', page)


def test_not_measured_is_a_dash_not_a_zero() -> None:
    profile = sample_profile()
    layers = [{**layer, "instructions": None, "code": None, "constants": None} for layer in profile["layers"]]
    bare = {
        **profile,
        "instructions": None,
        "instructions_range": None,
        "cycles_estimate": None,
        "layers": layers,
    }
    html = render_html(Report("t", "m", "v", "core", profile=bare))  # type: ignore[arg-type]
    assert "Instructions by layer" not in html
    assert '<p class="figure">–</p>' in html


def test_many_classes_give_pairs_instead_of_cells() -> None:
    counts = tuple(
        tuple(100 if i == j else 7 if (i, j) == (3, 5) else 0 for j in range(60)) for i in range(60)
    )
    page = Page(
        render_html(
            Report("t", "m", "v", "c", confusion=Confusion(tuple(f"c{i}" for i in range(60)), counts))
        )
    )
    assert not any(a.get("class") == "matrix" for a in page.all("table"))
    assert "c3 c5 7" in page.text


def test_sections_from_a_classification_report() -> None:
    truth, predicted = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    figures = classification_report(truth, predicted, ("a", "b"))
    made = collect.classification(figures)
    assert made.rows == (ClassRow("a", 1.0, 2 / 3, 0.8, 3), ClassRow("b", 0.5, 1.0, 2 / 3, 1))
    assert [(row.label, row.precision, row.support) for row in made.averages] == [
        ("macro average", 0.75, 4),
        ("weighted average", 0.875, 4),
    ]
    assert collect.confusion(figures) == Confusion(("a", "b"), ((2, 1), (0, 1)))


def test_wrong_samples_surest_first() -> None:
    pictures = np.arange(4, dtype=np.uint8).reshape(4, 1, 1)
    truth, predicted, sure = np.array([0, 1, 1, 0]), np.array([0, 0, 0, 1]), np.array([1.0, 0.5, 0.75, 0.25])
    made = collect.wrong_samples(pictures, truth, predicted, ("a", "b"), sure, most=2)
    assert [(int(s.pixels[0, 0]), s.true, s.predicted, s.confidence) for s in made] == [
        (2, "b", "a", 0.75),
        (1, "b", "a", 0.5),
    ]


def test_memory_map_of_a_plan() -> None:
    kernel = Kernel(Path("k.c"), when=lambda _: True, params=lambda _: {})
    step = Step(Site(Op(), (), (), "only"), kernel)
    buffers = ((Buffer(("x",), 8, -1, 0, "input"), 0), (Buffer(("y", "z"), 4, 0, 1, "output"), 8))
    made = collect.memory_map(Plan(Graph((), (), (), {}), (step,), {}, 12, buffers, 12))
    assert made == MemoryMap(
        12, ("only",), (Block("x", 0, 0, 0, 8, "input"), Block("y → z", 0, 0, 8, 4, "output"))
    )


def test_busiest_step_counts_shared_bytes_once() -> None:
    blocks = (
        Block("a", 0, 1, 0, 8, "input"),
        Block("b", 1, 2, 4, 8, "activation"),
        Block("c", 1, 1, 16, 2, "scratch"),
    )
    assert busiest_step(MemoryMap(18, ("s0", "s1", "s2"), blocks)) == (1, 14)


@pytest.mark.parametrize("where", [{"layer": "stem.conv", "found": 4}, "layer stem.conv, found 4"])
def test_a_difference_is_told_in_the_first_lines(report: Report, where: object) -> None:
    failed = sample_validation() | {"bit_exact": False, "first_difference": where}
    html = render_html(dataclasses.replace(report, validation=failed))  # type: ignore[arg-type]
    assert "Not exact." in html
    assert "agree in every output" not in html
    assert Page(html).text.count("layer stem.conv, found 4") == 2  # the verdict and the table
