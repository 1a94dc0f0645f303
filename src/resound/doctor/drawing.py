"""How the pictures of data and of outputs are drawn."""

from __future__ import annotations

import io
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, FIRST, SECOND = "#333333", "#4527a0", "#c77800"


def png_of(draw: Callable[[Axes], None]) -> bytes:
    """Return a PNG of what is drawn."""
    figure = Figure(figsize=(8, 3.2), dpi=110, layout="constrained", facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    draw(axes)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)
    out = io.BytesIO()
    canvas.print_png(out)
    return out.getvalue()
