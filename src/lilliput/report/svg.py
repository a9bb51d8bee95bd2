"""Charts as inline SVG; colours are classes of the page's style sheet, so light, dark and print follow it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from lilliput.report import units
from lilliput.report.data import Block, MemoryMap, busiest_step


@dataclass(frozen=True)
class Series:
    """One line of a chart: a value for each epoch, a style class, and the hover text of each point."""

    name: str
    values: Sequence[float]
    style: str
    hover: Sequence[str]


@dataclass(frozen=True)
class Frame:
    """A plot area inside a picture: pixels of its left, top, right and bottom edge."""

    left: float
    top: float
    right: float
    bottom: float


def tag(name: str, *children: str, **attributes: object) -> Markup:
    """One element, text and attributes escaped; `style_class` becomes `class`, `aria_label` `aria-label`."""
    renamed = {
        key.replace("style_class", "class").replace("_", "-"): value for key, value in attributes.items()
    }
    opened = Markup("").join(Markup(' {}="{}"').format(key, _plain(value)) for key, value in renamed.items())
    return Markup("<{0}{1}>{2}</{0}>").format(
        Markup(name), opened, Markup("").join(escape(c) for c in children)
    )


def picture(width: float, height: float, label: str, *children: str) -> Markup:
    """An SVG that scales to its container and is announced by `label`."""
    box = f"0 0 {_plain(width)} {_plain(height)}"
    return tag("svg", *children, viewBox=box, role="img", aria_label=label, style_class="chart")


def bar(*parts: tuple[float, str]) -> Markup:
    """A horizontal bar of (fraction of the full width, style) parts; it fills the cell it is put in."""
    pieces, x = [], 0.0
    for fraction, style in parts:
        width = max(0.0, min(1.0 - x, fraction))
        if width > 0:
            at = {"x": f"{100 * x:.2f}%", "width": f"{100 * width:.2f}%"}
            pieces.append(tag("rect", y=0, height=10, style_class=f"fill-{style}", **at))
        x += width
    return tag("svg", *pieces, style_class="bar", height=10, width="100%", aria_hidden="true")


def line_chart(
    label: str,
    series: Sequence[Series],
    show: Callable[[float], str],
    marker: tuple[int, str] | None = None,
    top: float | None = None,
    note: tuple[int, str] | None = None,
) -> Markup:
    """Lines over epochs 1..n.

    `marker` is (epochs done, text) of an event, `top` a limit that the axis must not pass, `note`
    (index, text) of a point of the first series that deserves words.
    """
    width, height = 480, 250
    frame = Frame(left=52, top=22, right=width - 12, bottom=height - 30)
    epochs = max(len(s.values) for s in series)
    finite = [v for s in series for v in s.values if math.isfinite(v)]
    ticks, place = _value_axis(finite or [0.0], frame, top)

    def x_of(epoch: float) -> float:
        return frame.left + (frame.right - frame.left) * ((epoch - 1) / (epochs - 1) if epochs > 1 else 0.5)

    parts: list[str] = []
    for tick in ticks:
        y = place(tick)
        parts += [
            tag("line", x1=frame.left, x2=frame.right, y1=y, y2=y, style_class="grid"),
            tag("text", show(tick), x=frame.left - 8, y=y + 4, style_class="tick end"),
        ]
    for epoch in _epoch_ticks(epochs):
        parts.append(tag("text", str(epoch), x=x_of(epoch), y=frame.bottom + 18, style_class="tick middle"))
    if marker is not None and 0 < marker[0] < epochs:
        x = x_of(marker[0] + 0.5)
        anchor = "end" if marker[0] > epochs / 2 else "start"
        parts += [
            tag("line", x1=x, x2=x, y1=frame.top - 8, y2=frame.bottom, style_class="marker"),
            tag(
                "text",
                marker[1],
                x=x + (-6 if anchor == "end" else 6),
                y=frame.top - 2,
                style_class=f"note {anchor}",
            ),
        ]
    for line in series:
        parts += _line(line, x_of, place)
    if note is not None and math.isfinite(series[0].values[note[0]]):
        x, y = x_of(note[0] + 1), place(series[0].values[note[0]])
        anchor = "end" if note[0] > epochs / 2 else "start"
        parts += [
            tag("circle", cx=x, cy=y, r=5, style_class=f"ring stroke-{series[0].style}"),
            tag(
                "text",
                note[1],
                x=x + (4 if anchor == "end" else -4),
                y=y + 21,
                style_class=f"strong {anchor}",
            ),
        ]
    return picture(width, height, label, *parts)


def memory_map(memory: MemoryMap) -> Markup:
    """The arena over time: a column per step, address upwards, a rectangle per tensor."""
    names = [_shortened(name, 22) for name in memory.steps]
    labelled = len(names) <= 48
    width = max(1000, 84 + 26 * len(names)) if labelled else 1200
    # Turned names run to the left of their columns: the first ones need room beyond that of the addresses.
    left = max([70.0, *(4.9 * len(name) - 26 * i for i, name in enumerate(names))])
    frame = Frame(left=left, top=24, right=width - 14, bottom=364)
    column = (frame.right - frame.left) / max(1, len(names))
    below = 28 + 5.2 * max((len(n) for n in names), default=0) if labelled else 30
    step, used = busiest_step(memory)

    def y_of(address: float) -> float:
        return frame.bottom - (frame.bottom - frame.top) * address / max(1, memory.arena)

    parts: list[str] = []
    for address in [*_address_ticks(memory.arena), memory.arena]:
        y = y_of(address)
        style = "limit" if address == memory.arena else "grid"
        parts += [
            tag("line", x1=frame.left, x2=frame.right, y1=y, y2=y, style_class=style),
            tag("text", units.size(address), x=frame.left - 8, y=y + 4, style_class="tick end"),
        ]
    for block in memory.blocks:
        parts.append(_block(block, memory, frame, column, y_of))
    parts += _busiest(step, frame, column)
    parts += _step_labels(names, memory.steps, frame, column, step) if labelled else []
    label = f"Memory map: {len(memory.blocks)} tensors in {memory.arena} bytes over {len(names)} steps"
    label += f"; most in use: {used} bytes at step {step + 1}"
    return picture(width, frame.bottom + below, label, *parts)


def _line(line: Series, x_of: Callable[[float], float], place: Callable[[float], float]) -> list[Markup]:
    points = [(x_of(i + 1), place(v), line.hover[i]) for i, v in enumerate(line.values) if math.isfinite(v)]
    path = " ".join(f"{_plain(x)},{_plain(y)}" for x, y, _ in points)
    dots = [
        tag(
            "g",
            tag("title", hover),
            tag("circle", cx=x, cy=y, r=2.6, style_class=f"dot fill-{line.style}"),
            tag("circle", cx=x, cy=y, r=9, style_class="hit"),  # a larger target for the pointer
        )
        for x, y, hover in points
    ]
    return [tag("polyline", points=path, style_class=f"line stroke-{line.style}"), *dots]


def _block(
    block: Block, memory: MemoryMap, frame: Frame, column: float, y_of: Callable[[float], float]
) -> Markup:
    x, width = frame.left + column * block.first, column * (block.last - block.first + 1)
    y, height = y_of(block.offset + block.size), y_of(block.offset) - y_of(block.offset + block.size)
    first, last = (
        memory.steps[i] if 0 <= i < len(memory.steps) else str(i) for i in (block.first, block.last)
    )
    life = first if block.first == block.last else f"{first} to {last}"
    bytes_at = f"{block.size:,} bytes at {block.offset:,}–{block.offset + block.size:,}"
    hover = f"{block.tensor} ({block.kind}): {bytes_at}, {life}"
    # One pixel of air on each side keeps neighbours apart; a rectangle never vanishes.
    inner = {"x": x + 1, "y": y + 0.5, "width": max(1.0, width - 2), "height": max(1.0, height - 1)}
    parts = [tag("title", hover), tag("rect", rx=2, style_class=f"block block-{block.kind}", **inner)]
    text = _fitted(block.tensor, width - 10)
    if text and height >= 15:
        parts.append(tag("text", text, x=x + width / 2, y=y + height / 2 + 4, style_class="name middle"))
    return tag("g", *parts)


def _busiest(step: int, frame: Frame, column: float) -> list[Markup]:
    """A small triangle on the arena's upper edge, and its words on the side where there is room."""
    x, y = frame.left + column * (step + 0.5), frame.top - 3
    points = f"{_plain(x - 5)},{_plain(y - 8)} {_plain(x + 5)},{_plain(y - 8)} {_plain(x)},{_plain(y)}"
    right = x > (frame.left + frame.right) / 2
    words = tag(
        "text",
        "most in use",
        x=x + (-10 if right else 10),
        y=y - 1,
        style_class=f"note {'end' if right else 'start'}",
    )
    return [tag("polygon", points=points, style_class="fill-warm"), words]


def _step_labels(
    names: Sequence[str], full: Sequence[str], frame: Frame, column: float, busiest: int
) -> list[Markup]:
    labels = []
    for i, (name, whole) in enumerate(zip(names, full, strict=True)):
        x, y = frame.left + column * (i + 0.5) + 4, frame.bottom + 14
        turn = f"rotate(-45 {_plain(x)} {_plain(y)})"
        style = "tick end strong" if i == busiest else "tick end"
        labels.append(
            tag(
                "text",
                tag("title", f"step {i + 1}: {whole}"),
                name,
                x=x,
                y=y,
                transform=turn,
                style_class=style,
            )
        )
    return labels


def _value_axis(
    values: Sequence[float], frame: Frame, top: float | None
) -> tuple[list[float], Callable[[float], float]]:
    """(ticks, value -> y): logarithmic where positive values span more than a factor of 20, else linear."""
    low, high = min(values), max(values)
    logarithmic = low > 0 and high / low > 20
    if logarithmic:
        ticks = [m * 10.0**e for e in range(-9, 10) for m in (1, 2, 5)]
        first = max(i for i, t in enumerate(ticks) if t <= low or i == 0)
        last = min(i for i, t in enumerate(ticks) if t >= high or i == len(ticks) - 1)
        ticks = ticks[first : last + 1]
        ticks = ticks if len(ticks) <= 7 else [ticks[0], *ticks[1:-1][1::2], ticks[-1]]
    else:
        ticks = _linear_ticks(low, high, top)

    def position(value: float) -> float:
        return math.log(value) if logarithmic else value

    bottom, span = position(ticks[0]), position(ticks[-1]) - position(ticks[0]) or 1.0
    return ticks, lambda v: frame.bottom - (frame.bottom - frame.top) * (position(v) - bottom) / span


def _linear_ticks(low: float, high: float, top: float | None) -> list[float]:
    """Four to six round values around low..high."""
    span = (high - low) or abs(high) or 1.0
    raw = span / 4
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]
    return [t for t in ticks if top is None or t <= max(top, high)]


def _epoch_ticks(epochs: int) -> list[int]:
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**6) if epochs / s <= 10)
    return list(range(1, epochs + 1, step)) if step <= 2 else [1, *range(step, epochs + 1, step)]


def _address_ticks(arena: int) -> list[int]:
    """Multiples of a power of two; the last one leaves room for the label of the arena's end."""
    step = 1
    while arena / step > 6:
        step *= 2
    return [a for a in range(0, arena, step) if arena - a > arena * 0.05]


def _fitted(name: str, width: float) -> str:
    """The name, or its last part, in the given width (6.2 px a letter); '' where neither fits."""
    return next((text for text in (name, name.rpartition(".")[2]) if 6.2 * len(text) <= width), "")


def _shortened(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"…{text[-(letters - 1) :]}"


def _plain(value: object) -> str:
    """Coordinates with at most two decimals, so that the page is small and the same everywhere."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
