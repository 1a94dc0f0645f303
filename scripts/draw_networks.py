"""Draws the networks for their pages, from descriptions whose sizes are those of presets.

python scripts/draw_networks.py               # writes docs/images/networks/NETWORK.svg
python scripts/draw_networks.py --png FOLDER  # bitmaps too, to look at
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

from drawing import Box, Dot, Label, Line, Panel, Picture, draw_on, write_pictures

from resound.models import MODELS
from resound.models.network import NetworkConfig
from resound.models.presets import load_preset

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images" / "networks"
# The size that each picture shows.
PRESETS = {
    "conv_tasnet": "convtasnet-paper",
    "tf_gridnet": "tfgridnet-paper",
    "two_stage_unet": "film-paper",
    "demucs": "demucs48",
    "wave_u_net": "waveunet",
    "gatewave": "gatewave",
    "timbre": "timbre-report",
    "band_rnn": "voice",
}
LEFT, RIGHT = 124.0, 392.0  # the columns of what is drawn as a U
Parts = list[Box | Dot | Line | Label | Panel]


def config_of(network: str) -> NetworkConfig:
    """Return the sizes that a picture shows."""
    return MODELS[network][1].model_validate(load_preset(PRESETS[network]).config)


def hertz(rate: float) -> str:
    """Return a rate as it is said."""
    return f"{rate / 1000:g} kHz" if rate >= 1000 else f"{round(rate, 1):g} Hz"


def wave(n_channels: int, rate: float) -> dict:
    """Return the shape of a box with so many channels at a rate."""
    return {"shape": f"{n_channels} @ {hertz(rate)}", "size": (n_channels, rate)}


def halved(n_channels: int, rate: float) -> dict:
    """Return the shape of a box whose part of the network gives twice the channels, before half of them gate."""
    return wave(n_channels, rate) | {"size": (2 * n_channels, rate)}


def grid(n_channels: int, n_freqs: int, frames: str = "T") -> dict:
    """Return the shape of a box with so many channels at each frequency of each frame."""
    return {"shape": f"{n_channels} · {n_freqs} × {frames}", "size": (n_channels, n_freqs)}


def signal(key: str, x: float, y: float, title: str, shape: str, w: float = 84) -> Box:
    """Return a waveform: where a picture begins and ends."""
    return Box(key, x, y, title, shape, kind="signal", w=w)


def chain(*keys: str, down: bool = True) -> Parts:
    """Return arrows from each to the next, below one another or side by side."""
    first, second = ("b", "t") if down else ("r", "l")
    return [Line(f"{one}.{first}", f"{other}.{second}") for one, other in itertools.pairwise(keys)]


def column(x: float, y: float, step: float, boxes: Sequence[Box | Dot]) -> Parts:
    """Return boxes and operators one below the other with arrows between; they are made at x 0, y 0."""
    placed: Parts = []
    for index, box in enumerate(boxes):
        placed.append(type(box)(**{**box.__dict__, "x": x + box.x, "y": y + step * index + box.y}))
    return [*placed, *chain(*(box.key for box in boxes))]


def u_levels(downs: Sequence[Box], ups: Sequence[Box], y: float, step: float, sign: str = "+") -> Parts:
    """Return the levels of a U, from the top: what goes down on the left, what comes up on the right.

    The output of each box on the left forks: on to the next, and as a skip to an operator below the box on the right.
    """
    parts: Parts = []
    for level, (down, up) in enumerate(zip(downs, ups, strict=True)):
        below = y + step * (level + 0.5)
        for box, x in ((down, LEFT), (up, RIGHT)):
            parts.append(Box(**{**box.__dict__, "x": x, "y": y + step * level}))
        parts += [Dot(f"fork{level}", LEFT, below), Dot(f"join{level}", RIGHT, below, sign)]
        parts += [Line(f"{down.key}.b", f"fork{level}.t", head=False), Line(f"fork{level}.r", f"join{level}.l")]
        parts += [Line(f"join{level}.t", f"{up.key}.b")]
        if level:
            parts += [
                Line(f"fork{level - 1}.b", f"{down.key}.t"),
                Line(f"{up.key}.t", f"join{level - 1}.b"),
            ]
    return parts


def u_bottom(bottom: Box, last: int) -> Parts:
    """Return what closes a U below its last level."""
    x = (LEFT + RIGHT) / 2
    return [
        Box(**{**bottom.__dict__, "x": x}),
        Line(f"fork{last}.b", f"{bottom.key}.l"),
        Line(f"{bottom.key}.r", f"join{last}.b"),
    ]


def conv_tasnet() -> Picture:
    """Masks on a learnt filterbank."""
    c = config_of("conv_tasnet")
    rate, n_blocks = c.sample_rate / c.stride, c.n_blocks * c.n_repeats
    top, middle, bottom = 50, 144, 300
    parts: Parts = [
        signal("mixture", 58, top, "mixture", f"1 @ {hertz(c.sample_rate)}"),
        Box("encoder", 168, top, "encoder", detail=f"L {c.filter_samples}, stride {c.stride}", w=96,
            module="encoder", **wave(c.n_filters, rate)),
        Dot("fork", 254, top),
        Dot("times", 518, top, "×"),
        Box("decoder", 600, top, "decoder", f"{c.n_sources} @ {hertz(c.sample_rate)}",
            f"N {c.n_filters} to L {c.filter_samples}", w=100),
        signal("voices", 706, top, f"{c.n_sources} voices", f"{c.n_sources} @ {hertz(c.sample_rate)}", w=76),
        Box("enter", 254, middle, "norm, 1×1", detail=f"N {c.n_filters} to B {c.bottleneck}", w=112,
            **wave(c.bottleneck, rate)),
        Box("blocks", 386, middle, f"{n_blocks} blocks", detail=f"X {c.n_blocks}, R {c.n_repeats} times", w=100,
            **wave(c.skip, rate)),
        Box("mask", 518, middle, "PReLU, 1×1, ReLU", detail="a mask for each voice", w=118,
            shape=f"{c.n_sources} · {c.n_filters} @ {hertz(rate)}", module="mask",
            size=(c.n_sources * c.n_filters, rate)),
        Line("mixture.r", "encoder.l"),
        Line("encoder.r", "fork.l", head=False),
        Line("fork.r", "times.l"),
        Line("fork.b", "enter.t"),
        *chain("enter", "blocks", "mask", down=False),
        Line("mask.t", "times.b"),
        *chain("times", "decoder", "voices", down=False),
        Panel(16, 192, 744, 378, f"one block: dilation d = 1, 2, 4 … {2 ** (c.n_blocks - 1)}, anew in each repeat"),
        signal("x", 58, bottom, "x", f"B {c.bottleneck}", w=56),
        Dot("xfork", 108, bottom),
        Box("expand", 164, bottom, "1×1", w=64, shape=f"H {c.hidden}", module="blocks.0.expand", size=(c.hidden,)),
        Box("norm1", 253, bottom, "PReLU", detail="norm", w=64),
        Box("depthwise", 349, bottom, "depthwise", detail=f"P {c.kernel}, dilation d", w=90, shape=f"H {c.hidden}"),
        Box("norm2", 445, bottom, "PReLU", detail="norm", w=64),
        Dot("yfork", 500, bottom),
        Box("residual", 557, bottom - 32, "1×1", w=64, shape=f"B {c.bottleneck}"),
        Box("skip", 557, bottom + 38, "1×1", w=64, shape=f"Sc {c.skip}"),
        Dot("plus", 622, bottom - 32, "+"),
        signal("next", 690, bottom - 32, "next block", "", w=86),
        signal("sum", 671, bottom + 38, "summed over blocks", "", w=124),
        Line("x.r", "xfork.l", head=False),
        *chain("xfork", "expand", "norm1", "depthwise", "norm2", down=False),
        Line("norm2.r", "yfork.l", head=False),
        Line("yfork.t", "residual.l"),
        Line("yfork.b", "skip.l"),
        *chain("residual", "plus", "next", down=False),
        Line("skip.r", "sum.l"),
        Line("xfork.t", "plus.t", via=((108, 232), (622, 232))),
    ]  # fmt: skip
    return finished("conv_tasnet", "Conv-TasNet: a mask for each voice on what a learnt filterbank gives", 416, parts)


def tf_gridnet() -> Picture:
    """Two LSTMs and an attention on the spectrogram."""
    c = config_of("tf_gridnet")
    width, top, first, last = c.embedding, 50, 160, 406
    places = (126, 380, 634)
    parts: Parts = [
        signal("mixture", 54, top, "mixture", f"1 @ {hertz(c.sample_rate)}", w=76),
        Box("stft", 156, top, "÷ σ, STFT", kind="fixed", w=92, **grid(2, c.n_freqs)),
        Box("entry", 268, top, "3×3, norm", w=98, module="entry", **grid(width, c.n_freqs)),
        Box("blocks", 384, top, f"{c.n_blocks} blocks", w=98, module="blocks.0", **grid(width, c.n_freqs)),
        Box("exit", 497, top, "3×3", w=94, module="exit", **grid(2 * c.n_sources, c.n_freqs)),
        Box("istft", 606, top, "iSTFT, × σ", kind="fixed", w=90, shape=f"{c.n_sources} @ {hertz(c.sample_rate)}"),
        signal("voices", 706, top, f"{c.n_sources} voices", f"{c.n_sources} @ {hertz(c.sample_rate)}", w=76),
        *chain("mixture", "stft", "entry", "blocks", "exit", "istft", "voices", down=False),
        Panel(16, 94, 236, 432, "block, part 1: along frequency"),
        Panel(270, 94, 490, 432, "part 2: along time"),
        Panel(524, 94, 744, 432, "part 3: between frames"),
        signal("x", 196, 136, "x", "", w=46),
        Line("x.l", "fork0.t", head=False),
        Line("plus0.r", "fork1.t", via=((253, last), (253, 136), (380, 136)), head=False),
        Line("plus1.r", "fork2.t", via=((507, last), (507, 136), (634, 136)), head=False),
    ]  # fmt: skip
    for index, (x, along, rows) in enumerate(zip(places, ("freq", "time"), ("frame", "frequency"), strict=False)):
        parts += [
            Dot(f"fork{index}", x, first),
            *column(x, first + 40, 53, [
                Box(f"norm{index}", 0, 0, "layer norm", w=146, shape=f"D {width}"),
                Box(f"unfold{index}", 0, 0, f"unfold: I {c.unfold}, J {c.unfold_hop}", w=146, kind="fixed",
                    shape=f"{c.unfold * width} a step"),
                Box(f"lstm{index}", 0, 0, "LSTM, both ways", w=146, kind="recurrent",
                    shape=f"2 · H {c.hidden}, each {rows}", module=f"blocks.0.along_{along}.lstm",
                    size=(2 * c.hidden,)),
                Box(f"out{index}", 0, 0, "transposed 1-d conv.", w=146, shape=f"D {width}"),
            ]),
            Dot(f"plus{index}", x, last, "+"),
            Line(f"fork{index}.b", f"norm{index}.t"),
            Line(f"out{index}.b", f"plus{index}.t"),
            Line(f"fork{index}.l", f"plus{index}.l", via=((x - 90, first), (x - 90, last))),
        ]  # fmt: skip
    x = places[2]
    parts += [
        Dot("fork2", x, first),
        Box("qkv", x, first + 46, "1×1, PReLU, norm", w=164, kind="attention",
            detail=f"L {c.n_heads} heads, E {c.qk_width}, D / L {width // c.n_heads}",
            shape=f"Q, K: {c.qk_width * c.n_freqs}, V: {width // c.n_heads * c.n_freqs} a frame"),
        Box("weigh", x, first + 118, "softmax(Q Kᵀ / √(E F)) V", w=164, kind="attention", shape="T × T"),
        Box("heads", x, first + 184, "1×1, PReLU, norm", w=164, kind="attention", **grid(width, c.n_freqs)),
        Dot("plus2", x, last, "+"),
        *chain("fork2", "qkv", "weigh", "heads", "plus2"),
        Line("fork2.l", "plus2.l", via=((x - 96, first), (x - 96, last))),
        signal("next", 700, last, "next", "", w=60),
        Line("plus2.r", "next.l"),
    ]  # fmt: skip
    return finished("tf_gridnet", "TF-GridNet: each block goes along frequency, along time, and between frames", 470,
                    parts, "channels · frequencies × frames")  # fmt: skip


def two_stage_unet() -> Picture:
    """Two U-Nets on the spectrogram, the second with what the first found."""
    c = config_of("two_stage_unet")
    sizes = [c.n_fft // 2 + 1]
    for _ in range(c.depth):
        sizes.append((sizes[-1] + 1) // 2)
    frames = ["T", *(f"T/{2**level}" for level in range(1, c.depth + 1))]
    parts = [*two_stages(c, sizes[0]), Panel(16, 200, 500, 670, f"one U-Net: depth {c.depth}, a skip at every level")]

    def level(index: int, side: str) -> Box:
        part = f"stages.0.{'encoder' if side == 'down' else 'decoder'}.{index}.block"
        shape = grid(c.widths[index], sizes[index], frames[index])
        return Box(f"{side}{index}", 0, 0, "I-block", w=162, inline=True, module=part, **shape)

    parts += u_levels([level(index, "down") for index in range(c.depth)],
                      [level(index, "up") for index in range(c.depth)], 246, 64, "cat")  # fmt: skip
    shape = grid(c.widths[c.depth], sizes[c.depth], frames[c.depth])
    parts += u_bottom(
        Box("bottom", 0, 638, "I-block", w=162, inline=True, module="stages.0.bottom", **shape), c.depth - 1
    )
    parts += [
        Panel(16, 684, 500, 800, "between levels"),
        signal("godown", 54, 746, "down", "", w=58),
        Box("halve", 139, 746, "4×4, ELU", "stride 2", w=76),
        signal("goup", 234, 746, "up", "", w=46),
        Dot("ufork", 274, 746),
        Box("transposed", 342, 724, "4×4 transposed", "stride 2, ELU", w=104),
        Box("nearest", 342, 770, "nearest × 2", "of 1×1, ELU", w=104),
        Dot("uplus", 414, 724, "+"),
        signal("ucat", 462, 724, "∥ skip", "", w=60),
        Line("godown.r", "halve.l"),
        Line("goup.r", "ufork.l", head=False),
        Line("ufork.t", "transposed.l"),
        Line("ufork.b", "nearest.l"),
        *chain("transposed", "uplus", "ucat", down=False),
        Line("nearest.r", "uplus.b"),
        *i_block(c.num_tfc),
        *attention(c.widths[0]),
    ]
    return finished("two_stage_unet", "Two-stage U-Net: the second is given what attention lets through of the first",
                    838, parts, "∥ concatenated;  channels · frequencies × frames")  # fmt: skip


def two_stages(c: NetworkConfig, n_freqs: int) -> Parts:
    """Return the way from the recording through both stages."""
    n, upper, lower = c.widths[0], 70, 152
    whole = {"shape": f"{n} · {n_freqs} × T", "size": (n, n_freqs)}
    return [
        signal("old", 54, 111, "recording", f"1 @ {hertz(c.sample_rate)}", w=80),
        Box("stft", 150, 111, "STFT", kind="fixed", w=82, **grid(2, n_freqs)),
        Dot("fork", 206, 111),
        Box("in0", 266, upper, "7×7, ELU", w=88, module="stages.0.features", **whole),
        Box("unet0", 372, upper, "U-Net 1", w=88, module="stages.0", **whole),
        Box("sam", 478, upper, "attention", kind="attention", w=88, module="attention", **whole),
        signal("estimate", 586, upper, "estimate 1", "for the loss", w=88),
        Box("in1", 372, lower, "7×7, ELU", w=88, module="stages.1.features", **whole),
        Dot("cat", 478, lower, "cat"),
        Box("unet1", 549, lower, "U-Net 2", w=82, module="stages.1", **whole),
        Box("final", 627, lower, "3×3", w=44, shape="2", module="final", size=(2, n_freqs)),
        Box("istft", 704, lower, "iSTFT", kind="fixed", w=80, shape=f"1 @ {hertz(c.sample_rate)}"),
        signal("clean", 704, upper, "restored", f"1 @ {hertz(c.sample_rate)}", w=80),
        Line("old.r", "stft.l"),
        Line("stft.r", "fork.l", head=False),
        Line("fork.t", "in0.l"),
        Line("fork.b", "in1.l"),
        *chain("in0", "unet0", "sam", "estimate", down=False),
        Line("stft.t", "sam.t", via=((150, 28), (478, 28))),
        *chain("sam", "cat"),
        *chain("in1", "cat", "unet1", "final", "istft", down=False),
        Line("istft.t", "clean.b"),
    ]


def i_block(n_dense: int) -> Parts:
    """Return a dense block with its shortcut."""
    seen = ["of x", "of y1 ∥ x", "of y2 ∥ y1 ∥ x"]
    dense = [
        Box(f"dense{index}", 0, 0, f"y{index + 1}: 3×3, ELU", detail=seen[index], w=112) for index in range(n_dense)
    ]
    return [
        Panel(516, 200, 744, 446, f"I-block: {n_dense} dense convolutions"),
        signal("ix", 596, 240, "x", "", w=56),
        *column(596, 286, 50, dense),
        Box("short", 700, 336, "1×1", w=56),
        Dot("iplus", 596, 425, "+"),
        Line("ix.b", "dense0.t"),
        Line(f"dense{n_dense - 1}.b", "iplus.t"),
        Line("ix.r", "short.t"),
        Line("short.b", "iplus.r"),
    ]


def attention(width: int) -> Parts:
    """Return the supervised attention between the stages."""
    return [
        Panel(516, 460, 744, 800, "attention, supervised"),
        signal("features", 562, 506, "features", "", w=72),
        signal("spectrum", 696, 506, "spectrum", "", w=76),
        Dot("afork", 562, 540),
        Dot("bfork", 612, 540),
        Box("project", 612, 580, "3×3", w=46, shape=f"{width}"),
        Box("residual", 676, 580, "3×3", w=46, shape="2"),
        Dot("aplus", 676, 622, "+"),
        Box("gate", 676, 668, "3×3, sigmoid", w=84, shape=f"{width}"),
        Dot("atimes", 612, 668, "×"),
        Dot("athrough", 562, 718, "+"),
        signal("after", 564, 764, "to U-Net 2", "", w=82),
        Line("features.b", "afork.t", head=False),
        Line("afork.r", "bfork.l", head=False),
        Line("bfork.b", "project.t"),
        Line("bfork.r", "residual.t"),
        *chain("residual", "aplus", "gate"),
        Line("spectrum.b+26", "aplus.r"),
        Line("gate.l", "atimes.r"),
        *chain("project", "atimes"),
        Line("atimes.b", "athrough.r"),
        Line("afork.b", "athrough.t"),
        Line("athrough.b", "after.t-2"),
        Label(684, 642, "estimate 1"),
    ]


def demucs() -> Picture:
    """Convolutions around an LSTM, at four times the rate."""
    c = config_of("demucs")
    rates = [c.sample_rate * c.resample / c.stride**level for level in range(c.depth + 1)]
    first, step = 150, 62
    parts: Parts = [
        Panel(16, 16, 500, 528),
        signal("noisy", LEFT, 46, "noisy speech", f"1 @ {hertz(c.sample_rate)}", w=106),
        signal("clean", RIGHT, 46, "speech", f"1 @ {hertz(c.sample_rate)}", w=106),
        Box("up", LEFT, 100, "÷ level, sinc", kind="fixed", w=158, inline=True, shape=f"1 @ {hertz(rates[0])}"),
        Box("down", RIGHT, 100, "sinc, × level", kind="fixed", w=158, inline=True, shape=f"1 @ {hertz(c.sample_rate)}"),
        Line("up.r", "down.l", dashed=True),
        Label((LEFT + RIGHT) / 2, 91, "level", "center"),
        *chain("noisy", "up", "encoder0"),
        Line("decoder0.t", "down.b"),
        Line("down.t", "clean.b"),
        *u_levels(
            [Box(f"encoder{i}", 0, 0, f"encoder {i + 1}", w=158, inline=True, module=f"encoder.{i}",
                 **wave(width, rates[i + 1])) for i, width in enumerate(c.channels)],
            [Box(f"decoder{i}", 0, 0, f"decoder {i + 1}", w=158, inline=True, module=f"decoder.{c.depth - 1 - i}",
                 **wave(width, rates[i])) for i, width in enumerate([1, *c.channels[:-1]])],
            first, step),
        *u_bottom(Box("lstm", 0, 490, "LSTM", detail="2 layers, one way", kind="recurrent", w=140, module="lstm",
                      **wave(c.channels[-1], rates[-1])), c.depth - 1),
        Panel(516, 16, 744, 264, "encoder"),
        signal("ex", 630, 56, "x", "", w=56),
        Box("conv", 630, 108, "convolution, ReLU", f"H, 2 H, 4 H … (H {c.hidden})",
            f"K {c.kernel}, S {c.stride}", w=164),
        Box("egate", 630, 170, "1×1, GLU", "twice as many, then halved", w=164),
        Dot("efork", 630, 212),
        signal("enext", 578, 240, "next", "", w=56),
        signal("eskip", 684, 240, "skip", "", w=56),
        *chain("ex", "conv", "egate"),
        Line("egate.b", "efork.t", head=False),
        Line("efork.l", "enext.t"),
        Line("efork.r", "eskip.t"),
        Panel(516, 280, 744, 528, "decoder"),
        signal("dx", 588, 320, "below", "", w=60),
        signal("dskip", 680, 320, "skip", "", w=60),
        Dot("dplus", 630, 352, "+"),
        Box("dgate", 630, 392, "1×1, GLU", "twice as many, then halved", w=164),
        Box("dconv", 630, 452, "transposed convolution", f"K {c.kernel}, S {c.stride}", "ReLU, but for decoder 1",
            w=164),
        signal("dnext", 630, 506, "next", "", w=56),
        Line("dx.b", "dplus.l"),
        Line("dskip.b", "dplus.r"),
        *chain("dplus", "dgate", "dconv", "dnext"),
    ]  # fmt: skip
    return finished("demucs", "Demucs: convolutions down, an LSTM, transposed convolutions up, skips added", 566, parts)


def wave_u_net() -> Picture:
    """Convolutions at ever lower rates and back."""
    c = config_of("wave_u_net")
    widths = [c.extra_filters * level for level in range(1, c.n_levels + 2)]
    shown = [0, 1, 2, None, c.n_levels - 1]
    first, step = 164, 62

    def level(index: int | None, side: str) -> Box:
        if index is None:
            return Box(f"{side}others", 0, 0, f"levels 4 to {c.n_levels - 1}", w=158, kind="more")
        place = index if side == "down" else c.n_levels - 1 - index
        kernel = c.kernel_down if side == "down" else c.kernel_up
        return Box(f"{side}{index}", 0, 0, f"conv {kernel}", w=158, inline=True, module=f"{side}.{place}",
                   **wave(widths[index], c.sample_rate / 2**index))  # fmt: skip

    bottom = Box("bottom", 0, first + len(shown) * step + 14, f"conv {c.kernel_down}", w=158, inline=True,
                 module="bottom", **wave(widths[-1], c.sample_rate / 2**c.n_levels))  # fmt: skip
    parts: Parts = [
        Panel(16, 16, 500, 524),
        signal("noisy", LEFT, 46, "recording", f"1 @ {hertz(c.sample_rate)}", w=106),
        signal("clean", RIGHT, 46, "source", f"1 @ {hertz(c.sample_rate)}", w=106),
        Dot("fork", LEFT, 129),
        Dot("join", RIGHT, 129, "cat"),
        Box("out", RIGHT, 95, "1×1, tanh", w=158, inline=True, module="out", **wave(1, c.sample_rate)),
        Line("noisy.b", "fork.t", head=False),
        Line("fork.b", "down0.t"),
        Line("fork.r", "join.l"),
        Line("up0.t", "join.b"),
        Line("join.t", "out.b"),
        Line("out.t", "clean.b"),
        *u_levels([level(index, "down") for index in shown], [level(index, "up") for index in shown], first, step,
                  "cat"),
        *u_bottom(bottom, len(shown) - 1),
        Panel(516, 16, 744, 256, "down"),
        signal("dx", 630, 54, "x", "", w=56),
        Box("dconv", 630, 106, "convolution", f"kernel {c.kernel_down}, leaky ReLU 0.2", w=168),
        Dot("dfork", 630, 146),
        signal("dskip", 700, 180, "skip", "", w=56),
        Box("decimate", 594, 180, "every 2nd", kind="fixed", w=92),
        signal("dnext", 594, 228, "next", "", w=56),
        *chain("dx", "dconv"),
        Line("dconv.b", "dfork.t", head=False),
        Line("dfork.l", "decimate.t"),
        Line("dfork.r", "dskip.t"),
        *chain("decimate", "dnext"),
        Panel(516, 272, 744, 524, "up"),
        signal("ux", 594, 312, "below", "", w=62),
        signal("uskip", 700, 358, "skip", "", w=56),
        Box("twice", 594, 358, "× 2, linear", kind="fixed", w=92),
        Dot("ucat", 630, 398, "cat"),
        Box("uconv", 630, 444, "convolution", f"kernel {c.kernel_up}, leaky ReLU 0.2", w=168),
        signal("unext", 630, 496, "next", "", w=56),
        *chain("ux", "twice"),
        Line("twice.b", "ucat.l"),
        Line("uskip.b", "ucat.r"),
        *chain("ucat", "uconv", "unext"),
    ]  # fmt: skip
    return finished("wave_u_net", "Wave-U-Net: convolutions at ever lower rates and back, skips concatenated", 562,
                    parts, "∥ concatenated;  channels @ rate")  # fmt: skip


def gatewave() -> Picture:
    """Gated convolutions around a GRU."""
    c = config_of("gatewave")
    rates = [c.sample_rate / c.stride**level for level in range(c.depth + 1)]
    parts: Parts = [
        Panel(16, 16, 500, 464),
        signal("noisy", LEFT, 46, "noisy speech", f"1 @ {hertz(c.sample_rate)}", w=106),
        signal("clean", RIGHT, 46, "speech", f"1 @ {hertz(c.sample_rate)}", w=106),
        Box("divide", LEFT, 98, "÷ level", kind="fixed", w=158, inline=True, shape=f"1 @ {hertz(rates[0])}"),
        Box("times", RIGHT, 98, "× level", kind="fixed", w=158, inline=True, shape=f"1 @ {hertz(rates[0])}"),
        Line("divide.r", "times.l", dashed=True),
        Label((LEFT + RIGHT) / 2, 89, "level", "center"),
        *chain("noisy", "divide", "down0"),
        Line("up0.t", "times.b"),
        Line("times.t", "clean.b"),
        *u_levels(
            [Box(f"down{i}", 0, 0, f"down {i + 1}", w=158, inline=True, module=f"down.{i}",
                 **halved(width, rates[i + 1]))
             for i, width in enumerate(c.channels)],
            [Box(f"up{i}", 0, 0, f"up {i + 1}", w=158, inline=True, module=f"up.{c.depth - 1 - i}",
                 **halved(width, rates[i]))
             for i, width in enumerate([1, *c.channels[:-1]])],
            156, 74),
        *u_bottom(Box("gru", 0, 416, "GRU, linear", detail="both ways", kind="recurrent", w=140, module="linear",
                      **wave(c.channels[-1], rates[-1])), c.depth - 1),
        Panel(516, 16, 744, 220, "down"),
        signal("dx", 630, 54, "x", "", w=56),
        *gated("d", 104, Box("dconv", 0, 0, "convolution", f"kernel {c.kernel}, stride {c.stride}; 2 C", w=164)),
        Line("dx.b", "dconv.t"),
        Panel(516, 236, 744, 464, "up"),
        signal("ux", 588, 276, "below", "", w=62),
        signal("uskip", 682, 276, "skip", "", w=56),
        Dot("uplus", 630, 308, "+"),
        *gated("u", 348, Box("uconv", 0, 0, "transposed convolution", f"kernel {c.kernel}, stride {c.stride}; 2 C",
                             w=164)),
        Line("ux.b", "uplus.l"),
        Line("uskip.b", "uplus.r"),
        *chain("uplus", "uconv"),
    ]  # fmt: skip
    return finished("gatewave", "GateWave: gated convolutions down and up around a GRU, skips added", 502, parts)


def gated(prefix: str, y: float, convolution: Box) -> Parts:
    """Return a convolution of which one half of the channels gates the other: GLU."""
    return [
        Box(**{**convolution.__dict__, "x": 630, "y": y}),
        Box(f"{prefix}half", 590, y + 50, "sigmoid", w=72, kind="fixed"),
        Dot(f"{prefix}times", 666, y + 50, "×"),
        signal(f"{prefix}next", 666, y + 94, "next" if prefix == "u" else "next, skip", "", w=86),
        Line(f"{convolution.key}.b-40", f"{prefix}half.t"),
        Line(f"{convolution.key}.b+36", f"{prefix}times.t"),
        Line(f"{prefix}half.r", f"{prefix}times.l"),
        *chain(f"{prefix}times", f"{prefix}next"),
    ]


def timbre() -> Picture:
    """A correction of the denoiser's output, frame by frame."""
    c = config_of("timbre")
    rates = [c.sample_rate]
    for stride in c.strides:
        rates.append(rates[-1] / stride)
    n_levels = len(c.widths)
    ups = [Box("leave", 0, 0, "leave", w=158, inline=True, **wave(1, rates[0]))]
    ups += [Box(f"up{i}", 0, 0, f"up {n_levels - i}", w=158, inline=True, **wave(c.widths[i - 1], rates[i]))
            for i in range(1, n_levels)]  # fmt: skip
    downs = [Box("enter", 0, 0, "enter", w=158, inline=True, module="enter", **wave(c.widths[0], rates[1]))]
    downs += [Box(f"down{i}", 0, 0, f"down {i}", w=158, inline=True, module=f"down.{i - 1}",
                  **wave(c.widths[i], rates[i + 1])) for i in range(1, n_levels)]  # fmt: skip
    parts: Parts = [
        Panel(16, 16, 500, 506),
        signal("noisy", LEFT - 46, 46, "noisy", f"1 @ {hertz(c.sample_rate)}", w=84),
        signal("denoised", LEFT + 46, 46, "denoised", f"1 @ {hertz(c.sample_rate)}", w=84),
        signal("voice", RIGHT, 46, "voice", f"1 @ {hertz(c.sample_rate)}", w=84),
        Dot("fork", LEFT + 46, 96),
        Dot("plus", RIGHT, 96, "+"),
        Line("noisy.b", "enter.t-46"),
        Line("denoised.b", "fork.t", head=False),
        Line("fork.b", "enter.t+46"),
        Line("fork.r", "plus.l"),
        Line("leave.t", "plus.b"),
        Line("plus.t", "voice.b"),
        *u_levels(downs, ups, 150, 68),
        *u_bottom(Box("gru", 0, 460, "÷ RMS, GRU, × RMS", detail=f"{c.gru_layers} layers, one way", kind="recurrent",
                      w=140, module="gru", **wave(c.widths[-1], rates[-1])), n_levels - 1),
        Panel(516, 16, 744, 236, "down: separable, looks back only"),
        signal("dx", 630, 58, "x", "", w=56),
        *column(630, 108, 58, [
            Box("ddepth", 0, 0, "depthwise", f"kernel {c.kernel}, strides {', '.join(map(str, c.strides[1:]))}", w=168),
            Box("dpoint", 0, 0, "pointwise, leaky ReLU", "to the greater width", w=168),
        ]),
        signal("dout", 630, 212, "next, skip", "", w=86),
        Line("dx.b", "ddepth.t"),
        Line("dpoint.b", "dout.t"),
        Panel(516, 252, 744, 506, "up"),
        signal("ux", 630, 288, "below", "", w=62),
        *column(630, 336, 54, [
            Box("upoint", 0, 0, "pointwise, held", "to the smaller width, × stride", w=168),
            Box("udepth", 0, 0, "depthwise", f"kernel {c.kernel}, stride 1", w=168),
            Dot("uplus", 0, -10, "+"),
        ]),
        signal("uskip", 702, 434, "skip", "", w=56),
        signal("unext", 630, 478, "leaky ReLU, next", "", w=122),
        Line("ux.b", "upoint.t"),
        Line("uskip.l", "uplus.r"),
        *chain("uplus", "unext"),
    ]  # fmt: skip
    return finished("timbre", "Timbre generator: causal convolutions around a GRU give a correction", 544, parts)


def band_rnn() -> Picture:
    """A filter for each band, from recurrences over time and over bands."""
    c = config_of("band_rnn")
    narrow, wide = c.channels
    n_freqs, n_taps, n_seen = c.hop + 1, 2 * c.filter_frames, 3 * (c.lookahead_frames + 2)
    parts: Parts = [
        Panel(16, 16, 500, 444),
        signal("noisy", LEFT, 46, "recording", f"1 @ {hertz(c.sample_rate)}", w=106),
        signal("clean", RIGHT, 46, "restored", f"1 @ {hertz(c.sample_rate)}", w=106),
        Box("stft", LEFT, 98, "STFT", kind="fixed", w=158, inline=True, **grid(2, n_freqs)),
        Box("istft", RIGHT, 98, "iSTFT", kind="fixed", w=158, inline=True, shape=f"1 @ {hertz(c.sample_rate)}"),
        Dot("fork", LEFT, 136),
        Dot("times", RIGHT, 136, "×"),
        Box("features", LEFT, 184, "÷ level, compressed", kind="fixed", w=158, detail=f"bands; {n_seen // 3} frames",
            **grid(n_seen, c.n_bands)),
        Box("bins", RIGHT, 184, "bands to bins", kind="fixed", w=158, detail=f"a filter of {c.filter_frames} frames",
            **grid(n_taps, n_freqs)),
        *chain("noisy", "stft"),
        Line("stft.b", "fork.t", head=False),
        Line("fork.r", "times.l"),
        *chain("fork", "features", "enter"),
        Line("leave.t", "bins.b"),
        Line("bins.t", "times.b"),
        Line("times.t", "istft.b"),
        Line("istft.t", "clean.b"),
        *u_levels(
            [Box("enter", 0, 0, "enter", w=158, inline=True, module="enter", **grid(narrow, c.n_bands // 2)),
             Box("down", 0, 0, "down", w=158, inline=True, module="down", **grid(wide, c.n_bands // 4))],
            [Box("leave", 0, 0, "leave", w=158, inline=True, module="leave", **grid(n_taps, c.n_bands)),
             Box("up", 0, 0, "up", w=158, inline=True, module="up", **grid(narrow, c.n_bands // 2))],
            246, 68),
        *u_bottom(Box("block", 0, 400, f"{c.n_blocks} blocks", detail="each band has a place", kind="recurrent", w=140,
                      module="blocks.0", **grid(wide, c.n_bands // 4)), 1),
        Panel(516, 16, 744, 444, "block"),
        signal("bx", 630, 56, "x", "", w=56),
        Dot("tfork", 630, 84),
        Box("time", 630, 124, "GRU over time", "one for all bands", "one way", kind="recurrent", w=142),
        Box("tlinear", 630, 180, "linear, norm", w=142),
        Dot("tplus", 630, 214, "+"),
        Dot("bfork", 630, 240),
        Box("bands", 630, 280, "GRU over bands", "one for all frames", "both ways", kind="recurrent", w=142),
        Box("blinear", 630, 336, "linear, norm", w=142),
        Dot("bplus", 630, 370, "+"),
        signal("bnext", 630, 412, "next", "", w=62),
        Line("bx.b", "tfork.t", head=False),
        *chain("tfork", "time", "tlinear", "tplus"),
        Line("tfork.r", "tplus.r", via=((722, 84), (722, 214))),
        Line("tplus.b", "bfork.t", head=False),
        *chain("bfork", "bands", "blinear", "bplus", "bnext"),
        Line("bfork.r", "bplus.r", via=((722, 240), (722, 370))),
    ]  # fmt: skip
    return finished("band_rnn", "BandRNN: recurrences over time and over bands make a filter for each band", 482, parts,
                    "channels · bands or frequencies × frames")  # fmt: skip


def finished(network: str, title: str, height: float, parts: Parts, note: str = "channels @ rate") -> Picture:
    """Return the picture with its legend."""
    parts = [*parts, Label(742, height - 20, note, "right")]
    return Picture(network, title, 760, height, tuple(parts), (18, height - 20))


PICTURES = (conv_tasnet, tf_gridnet, two_stage_unet, demucs, wave_u_net, gatewave, timbre, band_rnn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--png", type=Path, help="folder for bitmaps")
    folder = parser.parse_args().png
    pictures = [make() for make in PICTURES]
    FOLDER.mkdir(parents=True, exist_ok=True)
    if folder:
        for picture in pictures:
            bitmap(picture, folder / f"{picture.name}.png")
    write_pictures(pictures, FOLDER)


def bitmap(picture: Picture, path: Path) -> None:
    """Write a picture as it looks on white, twice as big."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(picture.width / 72, picture.height / 72))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, picture.width), ylim=(picture.height, 0))
    axes.axis("off")
    draw_on(axes, picture)
    figure.savefig(path, dpi=144)


if __name__ == "__main__":
    main()
