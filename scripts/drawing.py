"""Block diagrams from small descriptions: boxes, operators and orthogonal arrows on a light card, as SVG.

Places are in pixels of the picture, y downwards; a box is placed by its centre.  An arrow runs from ``"key.side"`` to
``"key.side"`` (sides l, r, t, b; ``"key.b+20"`` is 20 to the right of the middle, or below it), straight where it can,
else around the points of ``via``.  `faults` finds what a designer would send back: texts wider than their box, boxes
that overlap, arrows through boxes and arrows that cross.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath

Point = tuple[float, float]
CARD, CARD_EDGE, PANEL, PANEL_EDGE = "#fcfbff", "#e3deef", "#f5f2fb", "#e0d9ef"
INK, MUTED, ARROW = "#221c33", "#6a6280", "#4d4566"
# Of each kind of box: fill, edge, the colour of its shape; and what the legend says.
KINDS = {
    "signal": ("#2e2748", "#2e2748", "#cdc4ea", ""),
    "learnt": ("#e8e1fb", "#9a83dc", "#5d41b0", "learnt"),
    "recurrent": ("#fde8d2", "#e0a057", "#98580f", "recurrent"),
    "attention": ("#fcdfe8", "#d77a99", "#a02e58", "attention"),
    "more": ("#f7f4fd", "#b9abe2", "#5d41b0", ""),
    "fixed": ("#dcf1ee", "#62b0a7", "#1f6e66", "without weights"),
}
TITLE_SIZE, TEXT_SIZE, LABEL_SIZE, HEADING_SIZE = 10.5, 8.8, 8.8, 9.2
GAP = 9.0  # between title and shape in one line
TIP, ROUND, RADIUS = 6.5, 7.0, 7.5  # of arrows, corners, operators
SIDES = {"l": (-1, 0), "r": (1, 0), "t": (0, -1), "b": (0, 1)}


@dataclass(frozen=True)
class Box:
    """A step.  ``shape`` is what comes out of it; ``size`` the same in numbers, of the network's part ``module``."""

    key: str
    x: float
    y: float
    title: str
    shape: str = ""
    detail: str = ""  # a line between the two
    kind: str = "learnt"
    w: float = 110
    h: float = 0  # 0: by the number of lines
    module: str = ""
    size: tuple[float, ...] = ()
    inline: bool = False  # title and shape beside one another

    @property
    def lines(self) -> list[str]:
        """Title, detail and shape, as far as they are there."""
        return [line for line in (self.title, self.detail, self.shape) if line]

    @property
    def half(self) -> Point:
        """Half of width and height."""
        return self.w / 2, (self.h or 12 + 13 * (1 if self.inline else len(self.lines))) / 2


@dataclass(frozen=True)
class Dot:
    """An operator in a circle, or without a sign the place where a line forks."""

    key: str
    x: float
    y: float
    sign: str = ""

    @property
    def half(self) -> Point:
        """Half of width and height."""
        return (RADIUS, RADIUS) if self.sign else (0.0, 0.0)


@dataclass(frozen=True)
class Line:
    """An arrow, or without a head a line."""

    start: str
    end: str
    via: tuple[Point, ...] = ()
    dashed: bool = False
    head: bool = True


@dataclass(frozen=True)
class Label:
    """Words beside something; ``align`` is left, center or right of the place."""

    x: float
    y: float
    text: str
    align: str = "left"
    bold: bool = False


@dataclass(frozen=True)
class Panel:
    """A field behind what belongs together, with a heading."""

    left: float
    top: float
    right: float
    bottom: float
    heading: str = ""


@dataclass(frozen=True)
class Picture:
    """A diagram."""

    name: str
    title: str
    width: float
    height: float
    parts: tuple[Box | Dot | Line | Label | Panel, ...]
    legend: Point | None = None  # where it begins
    nodes: dict[str, Box | Dot] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        nodes = [part for part in self.parts if isinstance(part, Box | Dot)]
        object.__setattr__(self, "nodes", {node.key: node for node in nodes})
        if len(self.nodes) != len(nodes):
            raise ValueError(f"{self.name}: two parts have one key")

    @property
    def digest(self) -> str:
        """Names this description, whatever draws it."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]

    def of(self, kind: type) -> Iterator:
        """Yield the parts of a kind."""
        return (part for part in self.parts if isinstance(part, kind))


def draw(picture: Picture) -> str:
    """Return a picture as SVG, its letters as outlines: it needs no font."""
    settings = {"svg.fonttype": "path", "svg.hashsalt": picture.name, "path.simplify": False}
    with rc_context(settings):
        figure = Figure(figsize=(picture.width / 72, picture.height / 72), dpi=72)
        FigureCanvasSVG(figure)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, picture.width), ylim=(picture.height, 0))
        axes.axis("off")
        draw_on(axes, picture)
        stream = io.StringIO()
        metadata = {"Title": picture.title, "Identifier": picture.digest, "Date": None, "Creator": None}
        figure.savefig(stream, format="svg", transparent=True, metadata=metadata)
    whole = re.sub(r'(width|height)="([\d.]+)pt"', r'\1="\2"', stream.getvalue(), count=2)  # a point is a pixel here
    return re.sub(r"[ \t]+\n", "\n", whole)


def draw_on(axes: Axes, picture: Picture) -> None:
    """Draw a picture, from the card up."""
    rounded(axes, 1, 1, picture.width - 1, picture.height - 1, 14, CARD, CARD_EDGE)
    for panel in picture.of(Panel):
        rounded(axes, panel.left, panel.top, panel.right, panel.bottom, 10, PANEL, PANEL_EDGE)
        write(axes, panel.left + 12, panel.top + 15, panel.heading, HEADING_SIZE, MUTED, "left", bold=True)
    for line in picture.of(Line):
        draw_line(axes, points_of(picture, line), line)
    for node in picture.nodes.values():
        draw_node(axes, node)
    for label in picture.of(Label):
        size = TITLE_SIZE if label.bold else LABEL_SIZE
        write(axes, label.x, label.y, label.text, size, INK if label.bold else MUTED, label.align, bold=label.bold)
    if picture.legend:
        draw_legend(axes, picture)


def draw_node(axes: Axes, node: Box | Dot) -> None:
    """Draw a box with its lines, an operator or a fork."""
    if isinstance(node, Dot):
        face = "#ffffff" if node.sign else ARROW
        axes.add_patch(Circle((node.x, node.y), RADIUS if node.sign else 2.6, fc=face, ec=ARROW, lw=1.2, zorder=4))
        draw_sign(axes, node)
        return
    fill, edge, shape_colour, _ = KINDS[node.kind]
    (half_w, half_h), is_signal = node.half, node.kind == "signal"
    corner = half_h if is_signal else 6
    rounded(axes, node.x - half_w, node.y - half_h, node.x + half_w, node.y + half_h, corner, fill, edge, zorder=4)
    if node.inline:
        start = node.x - (text_width(node.title, TITLE_SIZE) + GAP + text_width(node.shape, TEXT_SIZE)) / 2
        write(axes, start, node.y, node.title, TITLE_SIZE, INK, "left")
        start += text_width(node.title, TITLE_SIZE) + GAP
        write(axes, start, node.y + 0.02 * TITLE_SIZE, node.shape, TEXT_SIZE, shape_colour, "left")
        return
    colours = [(node.title, "#ffffff" if is_signal else INK, TITLE_SIZE)]
    colours += [(node.detail, "#cdc4ea" if is_signal else MUTED, TEXT_SIZE)] if node.detail else []
    colours += [(node.shape, shape_colour, TEXT_SIZE)] if node.shape else []
    first = node.y - 13 * (len(colours) - 1) / 2
    for index, (text, colour, size) in enumerate(colours):
        write(axes, node.x, first + 13 * index, text, size, colour, "center", zorder=5)


def draw_sign(axes: Axes, node: Dot) -> None:
    """Draw an operator's sign from strokes, which sit in the middle where letters do not."""
    strokes = {
        "+": [((-4, 0), (4, 0)), ((0, -4), (0, 4))],
        "×": [((-3, -3), (3, 3)), ((-3, 3), (3, -3))],
        "cat": [((-2, -3.8), (-2, 3.8)), ((2, -3.8), (2, 3.8))],
    }
    for (x0, y0), (x1, y1) in strokes[node.sign] if node.sign else ():
        axes.plot([node.x + x0, node.x + x1], [node.y + y0, node.y + y1], color=ARROW, lw=1.4, zorder=5)


def draw_line(axes: Axes, points: list[Point], line: Line) -> None:
    """Draw an arrow with rounded corners whose tip is its last point."""
    *before, (x, y) = points
    style = {"fill": False, "ec": ARROW, "lw": 1.25, "zorder": 3, "capstyle": "round", "ls": "-"}
    if line.dashed:
        style |= {"ls": (0, (2.2, 2.6)), "ec": MUTED}
    if line.head:
        dx, dy = direction(before[-1], (x, y))
        wing = 0.46 * TIP
        corners = [
            (x, y),
            (x - TIP * dx - wing * dy, y - TIP * dy + wing * dx),
            (x - TIP * dx + wing * dy, y - TIP * dy - wing * dx),
        ]
        axes.add_patch(Polygon(corners, fc=style["ec"], ec="none", zorder=3))
        points = [*before, (x - (TIP - 1) * dx, y - (TIP - 1) * dy)]
    vertices, codes = [points[0]], [Outline.MOVETO]
    for last, corner, following in zip(points, points[1:], points[2:], strict=False):
        (ix, iy), (ox, oy) = direction(last, corner), direction(corner, following)
        size = min(ROUND, length(last, corner) / 2, length(corner, following) / 2)
        vertices += [
            (corner[0] - size * ix, corner[1] - size * iy),
            corner,
            (corner[0] + size * ox, corner[1] + size * oy),
        ]
        codes += [Outline.LINETO, Outline.CURVE3, Outline.CURVE3]
    axes.add_patch(PathPatch(Outline([*vertices, points[-1]], [*codes, Outline.LINETO]), **style))


def draw_legend(axes: Axes, picture: Picture) -> None:
    """Name the colours that the picture has, in a row."""
    x, y = picture.legend or (0, 0)
    used = {box.kind for box in picture.of(Box)}
    for kind, (fill, edge, _, words) in KINDS.items():
        if kind in used and words:
            rounded(axes, x, y - 5, x + 14, y + 5, 3, fill, edge)
            write(axes, x + 20, y, words, 8.4, MUTED, "left")
            x += 20 + text_width(words, 8.4) + 18


def rounded(
    axes: Axes, left: float, top: float, right: float, bottom: float, corner: float, face: str, edge: str, zorder=1
) -> None:
    """Draw a rectangle with round corners."""
    style = f"round,pad=0,rounding_size={corner}"
    patch = FancyBboxPatch(
        (left, top), right - left, bottom - top, boxstyle=style, fc=face, ec=edge, lw=1.1, zorder=zorder
    )
    axes.add_patch(patch)


def write(
    axes: Axes, x: float, y: float, text: str, size: float, colour: str, align: str, *, bold=False, zorder=5
) -> None:
    """Write a line whose small letters are centred on y: words with and without descenders stand alike."""
    weight = "bold" if bold else "normal"
    axes.text(
        x, y + 0.36 * size, text, size=size, color=colour, ha=align, va="baseline", weight=weight, zorder=zorder,
        family="DejaVu Sans",
    )  # fmt: skip


def points_of(picture: Picture, line: Line) -> list[Point]:
    """Return the corners of a line, ends included."""
    (start, from_side), (end, to_side) = anchor(picture, line.start), anchor(picture, line.end)
    if line.via:
        return [start, *line.via, end]
    if start[0] == end[0] or start[1] == end[1]:
        return [start, end]
    sideways = [side in ("l", "r") for side in (from_side, to_side)]
    if sideways == [True, False]:
        return [start, (end[0], start[1]), end]
    if sideways == [False, True]:
        return [start, (start[0], end[1]), end]
    if sideways == [True, True]:
        middle = (start[0] + end[0]) / 2
        return [start, (middle, start[1]), (middle, end[1]), end]
    middle = (start[1] + end[1]) / 2
    return [start, (start[0], middle), (end[0], middle), end]


def anchor(picture: Picture, place: str) -> tuple[Point, str]:
    """Return the point at the edge of a node that ``key.side+offset`` means, and the side."""
    key, side, offset = re.fullmatch(r"(.+)\.([lrtb])([+-]\d+)?", place).groups()  # type: ignore[union-attr]
    node = picture.nodes[key]
    dx, dy = SIDES[side]
    along = float(offset or 0)
    return (node.x + dx * node.half[0] + along * abs(dy), node.y + dy * node.half[1] + along * abs(dx)), side


def direction(start: Point, end: Point) -> Point:
    """Return the unit vector of a stretch."""
    size = length(start, end) or 1.0
    return (end[0] - start[0]) / size, (end[1] - start[1]) / size


def length(start: Point, end: Point) -> float:
    """Return the length of a stretch."""
    return ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return how wide a text is."""
    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
    return float(TextPath((0, 0), text, size=size, prop=font).get_extents().width) if text else 0.0


def faults(picture: Picture) -> list[str]:
    """Return what is wrong with a picture, in words."""
    looks = (_texts_that_do_not_fit, _words_in_the_way, _overlaps, _bad_lines, _crossings)
    return [fault for look in looks for fault in look(picture)]


def _texts_that_do_not_fit(picture: Picture) -> Iterator[str]:
    for box in picture.of(Box):
        if box.inline:
            width = text_width(box.title, TITLE_SIZE) + GAP + text_width(box.shape, TEXT_SIZE)
            if width > box.w - 12:
                yield f"{box.title!r} and {box.shape!r} are {width:.0f} wide in a box of {box.w:.0f}"
            continue
        for text, size in ((box.title, TITLE_SIZE), (box.detail, TEXT_SIZE), (box.shape, TEXT_SIZE)):
            if text_width(text, size) > box.w - 8:
                yield f"{text!r} is {text_width(text, size):.0f} wide in a box of {box.w:.0f}"


def _words_in_the_way(picture: Picture) -> Iterator[str]:
    for panel in picture.of(Panel):
        if text_width(panel.heading, HEADING_SIZE, bold=True) > panel.right - panel.left - 24:
            yield f"{panel.heading!r} does not fit its panel"
    for label in picture.of(Label):
        wide = text_width(label.text, LABEL_SIZE, bold=label.bold)
        left = label.x - wide * {"left": 0, "center": 0.5, "right": 1}[label.align]
        for node in picture.nodes.values():
            across, above = abs(left + wide / 2 - node.x), abs(label.y - node.y)
            if across < wide / 2 + node.half[0] + 2 and above < LABEL_SIZE / 2 + node.half[1] + 1:
                yield f"{label.text!r} is on {node.key}"


def _overlaps(picture: Picture) -> Iterator[str]:
    for one, other in itertools.combinations(picture.nodes.values(), 2):
        gaps = [abs(one.x - other.x) - one.half[0] - other.half[0], abs(one.y - other.y) - one.half[1] - other.half[1]]
        if max(gaps) < 3:
            yield f"{one.key} and {other.key} overlap or touch"
    for node in picture.nodes.values():
        (x, y), (w, h) = (node.x, node.y), node.half
        if min(x - w, y - h, picture.width - x - w, picture.height - y - h) < 8:
            yield f"{node.key} is at the edge of the card"


def _bad_lines(picture: Picture) -> Iterator[str]:
    for line in picture.of(Line):
        for start, end in itertools.pairwise(points_of(picture, line)):
            if start[0] != end[0] and start[1] != end[1]:
                yield f"{line.start} to {line.end} is oblique from {start} to {end}"
            for node in picture.nodes.values():
                if _goes_into(start, end, node):
                    yield f"{line.start} to {line.end} goes through {node.key}"
        *_, before, tip = points_of(picture, line)
        if line.head and length(before, tip) < TIP + 2:
            yield f"{line.start} to {line.end} has no room for its head"


def _goes_into(start: Point, end: Point, node: Box | Dot) -> bool:
    """Tell whether a stretch goes deeper than the edge of a node."""
    spans = zip(start, end, (node.x, node.y), node.half, strict=True)
    return all(max(a, b) > middle - half + 0.5 and min(a, b) < middle + half - 0.5 for a, b, middle, half in spans)


def _crossings(picture: Picture) -> Iterator[str]:
    stretches = [
        (line, stretch) for line in picture.of(Line) for stretch in itertools.pairwise(points_of(picture, line))
    ]
    for (one, (a, b)), (other, (c, d)) in itertools.combinations(stretches, 2):
        if one is other:
            continue
        (ax0, ax1), (ay0, ay1) = sorted((a[0], b[0])), sorted((a[1], b[1]))
        (bx0, bx1), (by0, by1) = sorted((c[0], d[0])), sorted((c[1], d[1]))
        if ax0 < bx1 and bx0 < ax1 and ay0 < by1 and by0 < ay1:
            yield f"{one.start} to {one.end} crosses {other.start} to {other.end}"


def write_pictures(pictures: list[Picture], folder: Path) -> None:
    """Write each picture as SVG.  Raises `ValueError` for one with faults."""
    for picture in pictures:
        if wrong := faults(picture):
            raise ValueError(f"{picture.name}: " + "; ".join(wrong))
        (folder / f"{picture.name}.svg").write_text(draw(picture), encoding="utf-8")
