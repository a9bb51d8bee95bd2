"""The pictures of docs/kernels.md: writes docs/img/*.svg."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "img"
A, B, X, Y, GREY, PAD = "#cfe3ff", "#ffdcc2", "#d9f2d9", "#fff3b0", "#eeeeee", "#f4d6e6"
"""Colours: channel A, channel B, input, result, unused, padding."""
INK, FAINT = "#222222", "#888888"


@dataclass
class Picture:
    """Boxes, words and arrows on white."""

    width: int
    height: int
    parts: list[str] = field(default_factory=list)

    def box(
        self, x: float, y: float, w: float, h: float, text: str = "", fill: str = "none", size: int = 13
    ) -> None:
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" fill="{fill}" stroke="{INK}"/>'
        )
        if text:
            self.text(x + w / 2, y + h / 2 + size * 0.35, text, size=size, anchor="middle")

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: int = 13,
        anchor: str = "start",
        color: str = INK,
        mono: bool = False,
    ) -> None:
        family = "monospace" if mono else "sans-serif"
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-family="{family}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{color}">{escape(text)}</text>'
        )

    def line(
        self, points: list[tuple[float, float]], color: str = INK, width: float = 1, dash: str = ""
    ) -> None:
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width:g}"{dashes}/>'
        )

    def arrow(self, x0: float, y0: float, x1: float, y1: float, color: str = INK) -> None:
        self.parts.append(
            f'<line x1="{x0:g}" y1="{y0:g}" x2="{x1:g}" y2="{y1:g}" stroke="{color}" marker-end="url(#tip)"/>'
        )

    def row(
        self, x: float, y: float, texts: list[str], fills: list[str], w: float = 74, h: float = 30
    ) -> None:
        for i, (text, fill) in enumerate(zip(texts, fills, strict=True)):
            self.box(x + i * w, y, w, h, text, fill)

    def svg(self) -> str:
        tip = (
            '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
            f'<path d="M0,0 L8,4 L0,8 z" fill="{INK}"/></marker></defs>'
        )
        size = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        ground = f'<rect width="{self.width}" height="{self.height}" fill="white"/>'
        body = "\n".join(self.parts)
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{tip}\n{ground}\n{body}\n</svg>\n'


def packed_word() -> Picture:
    """The words of weights and pixels of a packed pair, and the two sums."""
    p = Picture(760, 330)
    p.text(20, 28, "a word of weights: two taps of the channels A and B", size=14)
    p.row(180, 42, ["B'[2]", "A[2]", "B'[0]", "A[0]"], [B, A, B, A])
    for i, bit in enumerate((31, 23, 15, 7)):
        p.text(182 + 74 * i, 86, str(bit), size=10, color=FAINT)
    p.text(465, 86, "0", size=10, color=FAINT)
    p.line([(180, 96), (180, 102), (326, 102), (326, 96)])
    p.line([(330, 96), (330, 102), (476, 102), (476, 96)])
    p.text(253, 117, "int16: 256 B[2] + A[2]", anchor="middle", size=12)
    p.text(403, 117, "int16: 256 B[0] + A[0]", anchor="middle", size=12)
    p.text(500, 61, "B' = B − 1 where A < 0: as int16,", size=12)
    p.text(500, 77, "256 B' + (A mod 256) is 256 B + A", size=12)
    p.text(20, 162, "SXTB16 of it", size=12)
    p.row(180, 143, ["A[2]", "A[0]"], [A, A], w=148)
    p.text(20, 206, "pixels, widened", size=12)
    p.row(180, 187, ["x[2]", "x[0]"], [X, X], w=148)
    p.text(20, 253, "m = SMLAD(word, pixels, m)", mono=True)
    p.text(300, 253, "m += (256 B[0] + A[0]) x[0] + (256 B[2] + A[2]) x[2]")
    p.text(20, 277, "a = SMLAD(SXTB16(word), pixels, a)", mono=True)
    p.text(300, 277, "a += A[0] x[0] + A[2] x[2]")
    p.text(
        20, 309, "in the end:  a is the sum of channel A, and m − a is 256 times that of channel B", size=14
    )
    return p


def block() -> Picture:
    """What one step of the block of three pixels reads, and the sums it keeps in registers."""
    p = Picture(760, 290)
    p.text(20, 28, "two taps of two channels and three pixels: 12 products in 8.5 instructions", size=14)
    for y, text in ((73, "weights"), (119, "pixels"), (173, "3 SMLAD"), (221, "1 SXTB16, 3 SMLAD")):
        p.text(20, y, text, size=12)
    p.row(150, 53, ["B'[2]", "A[2]", "B'[0]", "A[0]"], [B, A, B, A], w=56)
    p.text(390, 73, "one LDM of two words for two steps: 0.5", size=12)
    p.text(600, 119, "one LDM of three words", size=12)
    for i in range(3):
        x = 150 + i * 150
        p.row(x, 100, [f"x{i}[2]", f"x{i}[0]"], [X, X], w=62)
        p.arrow(x + 62, 130, x + 62, 150)
        p.box(x - 6, 153, 136, 30, f"m{i} = Σ (256 B + A) x{i}", Y, size=11)
        p.box(x - 6, 201, 136, 30, f"a{i} = Σ A x{i}", A, size=11)
    p.text(
        20,
        268,
        "Six sums, two words of weights, three of pixels, two pointers and the end: all fourteen registers.",
    )
    return p


def staircase() -> Picture:
    """The result as a staircase of the accumulator, and a line that passes every step where it may."""
    p = Picture(760, 330)
    p.text(
        20,
        28,
        "result of each accumulator: a staircase, and a line whose floor is the same staircase",
        size=14,
    )
    x0, y0, w, h = 70, 290, 92, 42
    p.arrow(x0, y0, 740, y0)
    p.arrow(x0, y0, x0, 48)
    p.text(735, y0 + 18, "accumulator", anchor="end", size=12)
    p.text(x0 - 8, 44, "result", anchor="end", size=12)
    for i in range(6):
        left, y = x0 + 40 + i * w, y0 - 15 - i * h
        p.line([(left, y), (left + w, y)], width=2.5)
        p.text(x0 - 12, y + 4, f"{i - 2}", anchor="end", size=11)
        if i:
            p.line([(left, y), (left, y + h)], color=FAINT, dash="3,3")
            p.text(left + 6, y + h - 5, f"T[{i - 2}]", size=10, color=FAINT)
    slope, before = h / w, 6  # it reaches every step a little before the step begins
    begin, end = x0 + 10, x0 + 40 + 5.7 * w
    corner = x0 + 40 + w - before, y0 - 15 - h
    p.line([(x, corner[1] - slope * (x - corner[0])) for x in (begin, end)], color="#2060c0", width=1.5)
    p.text(430, 262, "the line reaches j behind T[j] − 1, at T[j] at the latest:", size=12, color="#2060c0")
    p.text(430, 279, "T[j] m + d ≥ j 2^37 > (T[j] − 1) m + d for every j", size=12, color="#2060c0")
    return p


def depthwise() -> Picture:
    """Columns of four channels, widened once, that windows share."""
    p = Picture(760, 330)
    p.text(
        20,
        28,
        "depthwise 3 × 3, four channels at a time: columns are widened once and read by three windows",
        size=14,
    )
    for i in range(6):
        x = 30 + i * 72
        p.text(x + 30, 60, f"x = {i}", size=11, anchor="middle", color=FAINT)
        for r in range(3):
            p.box(x, 68 + r * 26, 60, 26, f"r{r}: 4 B", X, size=11)
        p.arrow(x + 30, 148, x + 30, 172)
    p.text(480, 85, "three rows of the input,", size=12)
    p.text(480, 102, "channels c … c + 3 of each pixel", size=12)
    p.text(480, 165, "3 LDR, 2 PKH, 6 SXTB16, 1 STM per column", size=12)
    for i in range(6):
        p.box(30 + i * 72, 176, 60, 44, "6 words", Y, size=11)
    p.text(480, 196, "{r0, r1} of each channel, then r2 as {c0, c2}", size=12)
    p.text(480, 213, "and {c1, c3}: SMLAD takes two rows at once", size=12)
    for i, y in enumerate((236, 256, 276)):
        x = 30 + i * 72
        p.line([(x, y - 6), (x, y), (x + 204, y), (x + 204, y - 6)], width=1.5)
        p.text(x + 212, y + 3, f"window of result {i}", size=11)
    p.text(
        20,
        316,
        "each window: 3 × (4 SMLAD for rows 0 and 1, 4 SMLAxy for row 2) = 36 products in 24 instructions",
        size=13,
    )
    return p


def two_words() -> Picture:
    """Three pixels in two words on a core that only multiplies 32 x 32 -> 32."""
    p = Picture(760, 300)
    p.text(
        20,
        28,
        "Cortex-M0+: a tap of three pixels as two words, so that two MULS make three products",
        size=14,
    )
    p.text(20, 73, "X1 = a + 2^21 b", mono=True)
    bit = 14.5  # width of a bit
    left = 240
    for i in (31, 21, 10, 0):
        p.text(left + (31 - i) * bit + 2, 48, str(i), size=10, color=FAINT)
    p.box(left, 54, 11 * bit, 28, "b", B)
    p.box(left + 11 * bit, 54, 21 * bit, 28, "a", A)
    p.text(20, 126, "X2 = c + 2^10 b", mono=True)
    p.box(left, 98, 22 * bit, 22, "b", B)
    p.box(left + 11 * bit, 120, 21 * bit, 22, "c", X)
    p.text(20, 175, "Q1 = Σ w X1,  Q2 = Σ w X2, modulo 2^32", mono=True)
    p.text(20, 206, "low 21 bits of Q1", size=13)
    p.arrow(185, 202, 225, 202)
    p.text(235, 206, "sum of a  (proved: |sum| < 2^20)")
    p.text(20, 232, "Q1 >> 21", size=13)
    p.arrow(185, 228, 225, 228)
    p.text(235, 232, "low 11 bits of the sum of b: subtract them, times 2^10, from Q2 …")
    p.text(20, 258, "… what is left of Q2", size=13)
    p.arrow(185, 254, 225, 254)
    p.text(235, 258, "sum of c + 2^21 (the other bits of the sum of b): again 21 low bits, and the rest")
    return p


def constant_channel() -> Picture:
    """A constant channel before a padded convolution: what it adds differs at the border."""
    p = Picture(760, 300)
    p.text(
        20,
        28,
        "a channel that is always 7, before a 3 × 3 convolution that pads with its zero point 3",
        size=14,
    )
    for r in range(6):
        for c in range(6):
            border = r in (0, 5) or c in (0, 5)
            p.box(30 + c * 34, 50 + r * 34, 34, 34, "3" if border else "7", PAD if border else A, size=12)
    p.line([(29, 49), (132, 49), (132, 152), (29, 152), (29, 49)], color="#c03030", width=2.5)
    p.line([(97, 117), (200, 117), (200, 220), (97, 220), (97, 117)], color="#2060c0", width=2.5)
    p.text(290, 80, "at a corner only four taps see the channel:", color="#c03030")
    p.text(290, 100, "it adds (7 − 3) (w11 + w12 + w21 + w22)", color="#c03030")
    p.text(290, 140, "inside all nine do:", color="#2060c0")
    p.text(290, 160, "it adds (7 − 3) Σ w", color="#2060c0")
    p.text(290, 206, "One bias cannot be both, so the channel stays, unless it is")
    p.text(290, 226, "the zero point (it adds nothing anywhere), nothing is padded,")
    p.text(290, 246, "or the layer is 1 × 1: then what it adds goes into the bias.")
    return p


def rings() -> Picture:
    """Three layers interleaved row by row, and the rows that exist."""
    p = Picture(760, 320)
    p.text(20, 28, "row streaming: three 3 × 3 layers, a ring of rows between them, a static order", size=14)
    names = ("input", "layer 0", "layer 1", "result")
    rows = ([0, 1, 2, 3, 4, 5, 6, 7], [6, 4, 5], [3, 4, 5], [0, 1, 2, 3, 4, 5, 6, 7])
    fills = (X, A, B, Y)
    for i, (name, kept, fill) in enumerate(zip(names, rows, fills, strict=True)):
        x = 40 + i * 180
        p.text(x + 50, 62, name, anchor="middle")
        for j, r in enumerate(kept):
            done = i != 3 or r <= 3
            p.box(x, 74 + j * 24, 100, 24, f"row {r}", fill if done else GREY, size=11)
        if i:
            p.arrow(x - 74, 120, x - 6, 120)
    p.text(220, 170, "place = row mod 3:", size=12)
    p.text(220, 186, "row 6 has taken", size=12)
    p.text(220, 202, "the place of row 3", size=12)
    p.text(
        40,
        296,
        "order, fixed offline:  0 0 1 0 1 2 0 1 2 0 1 2 …  (each number computes its layer's next row)",
        size=12,
    )
    return p


def overlap() -> Picture:
    """A result that begins before its input, in the same memory."""
    p = Picture(760, 310)
    p.text(
        20, 28, "a pointwise layer of 8 → 16 channels in shared memory, two pixels of six at a time", size=14
    )
    byte, begin = 6, 130
    for i, done in enumerate((0, 2, 4, 6)):
        y = 46 + i * 60
        p.text(20, y + 26, f"after {done} pixels", size=12)
        for k in range(6):
            p.box(begin + (32 + 8 * k) * byte, y, 8 * byte, 22, f"x{k}", GREY if k < done else X, size=10)
            p.box(
                begin + 16 * k * byte,
                y + 22,
                16 * byte,
                22,
                f"y{k}" if k < done else "",
                Y if k < done else "none",
                size=10,
            )
    p.text(
        20,
        300,
        "The result begins 32 bytes before the input: 96 bytes instead of 144. Grey: read, free to be written over.",
    )
    return p


PICTURES = (packed_word, block, staircase, depthwise, two_words, constant_channel, rings, overlap)


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    for make in PICTURES:
        name = make.__name__.replace("_", "-")
        (IMAGES / f"{name}.svg").write_text(make().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
