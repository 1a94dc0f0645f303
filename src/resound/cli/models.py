"""``resound models``: which networks there are, and what one of them costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resound.cli.card import card_lines, table

if TYPE_CHECKING:
    from resound.models.facts import Facts
    from resound.shipped import Card

app = typer.Typer(
    help="List the networks and their presets; show what one of them costs.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
NO_WEIGHTS = "no weights yet"
STEP = "4 s, one example, float32, Adam"


@app.callback()
def list_command(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the networks and their presets; show what one of them costs.

    Example: resound models show demucs48 --time
    """
    if context.invoked_subcommand is not None:
        return
    rows = _listed()
    if as_json:
        import json

        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    head = ("preset", "network", "task", "rate", "causal", "latency", "parameters", "licence of the weights")
    typer.echo(table([head, *(_line(row) for row in rows)], right=(3, 5, 6)))
    if not _has_torch():
        typer.echo("These ship with their weights. Those to train need torch: pip install 'resound[train]'", err=True)


@app.command("show")
def show_command(
    name: Annotated[
        str, typer.Argument(metavar="NAME|MODEL", help="A network, a preset, one that ships, or a model's folder.")
    ],
    settings: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Sizes to change.")] = None,
    preset: Annotated[str | None, typer.Option(metavar="NAME", help="Begin with the sizes of this preset.")] = None,
    timed: Annotated[bool, typer.Option("--time", help="Also run it, and tell how fast it is here.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the facts as JSON.")] = False,
) -> None:
    """Show parameters, work, receptive field, latency and memory of a network; of one that ships, its card.

    Example: resound models show conv_tasnet n_sources=3 causal=true norm=cumulative
    """
    from resound.errors import train_extra
    from resound.shipped import card_of, is_shipped

    if not (settings or preset or timed) and is_shipped(name):
        _show_card(card_of(name), as_json)
        return
    with train_extra():
        from resound.models.facts import facts_of

        network, config, about = _chosen(name, preset, settings or ())
        facts = facts_of(network, config)
        speed = _speed(network, config) if timed else {}
    if as_json:
        import json

        told = {**about, **facts.as_dict(), **speed, "config": config}
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for key, text in about.items():
        typer.echo(text if key == "about" else f"{key}: {text}")
    typer.echo(table(_facts_lines(facts, speed)))


def _listed() -> list[dict[str, Any]]:
    """Return a row for each preset, and for each network without one; without torch, for those that ship."""
    from resound.errors import ModelError, train_extra
    from resound.shipped import SHIPPED, card_of

    cards: dict[str, Card] = {}
    for name in SHIPPED:
        try:
            cards[name] = card_of(name)
        except ModelError as error:  # the others are listed all the same
            typer.echo(f"resound: {error}", err=True)
    if not _has_torch():
        return [_row_of(card) for card in cards.values()]
    with train_extra():
        from resound.models import MODELS
        from resound.models.facts import build_without_values
        from resound.models.network import n_parameters
        from resound.models.presets import load_preset, preset_names

        presets = [preset for preset in map(load_preset, preset_names()) if preset.network in MODELS]
        chosen = [(one.name, one.network, one.task, one.config) for one in presets]
        without = [name for name in MODELS if name not in {preset.network for preset in presets}]
        rows = []
        for preset, name, task, config in [*chosen, *((None, name, None, {}) for name in without)]:
            network = build_without_values(name, config)
            rate = network.sample_rate
            rows.append(
                {
                    "preset": preset,
                    "network": name,
                    "task": task,
                    "sample_rate": rate,
                    "causal": network.is_causal,
                    "latency_ms": 1000 * network.latency_samples / rate if network.is_causal else None,
                    "parameters": n_parameters(network),
                    "licence": cards[preset].licence if preset in cards else None,
                }
            )
    return rows


def _show_card(card: Card, as_json: bool) -> None:
    if as_json:
        typer.echo(card.model_dump_json(indent=2))
        return
    for line in card_lines(card):
        typer.echo(line)


def _has_torch() -> bool:
    from importlib.util import find_spec

    return find_spec("torch") is not None


def _row_of(card: Card) -> dict[str, Any]:
    network = card.network
    return {
        "preset": card.name,
        "network": network.name,
        "task": network.task,
        "sample_rate": network.sample_rate,
        "causal": network.latency_ms is not None,
        "latency_ms": network.latency_ms,
        "parameters": network.parameters,
        "licence": card.licence,
    }


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["preset"] or "-",
        row["network"],
        row["task"] or "-",
        f"{row['sample_rate']:,} Hz",
        "yes" if row["causal"] else "no",
        "offline" if row["latency_ms"] is None else f"{row['latency_ms']:.4g} ms",
        f"{row['parameters']:,}",
        row["licence"] or NO_WEIGHTS,
    )


def _chosen(name: str, preset: str | None, words: Sequence[str]) -> tuple[str, dict[str, Any], dict[str, str]]:
    """Return the network, its config, and what else there is to tell.  Raises `ResoundError`."""
    from pathlib import Path

    from resound.config import set_dotted
    from resound.errors import ConfigError, ModelError, did_you_mean
    from resound.models import MODELS
    from resound.models.presets import load_preset, preset_names
    from resound.shipped import is_shipped

    about: dict[str, str] = {}
    if Path(name).is_dir():
        from resound.checkpoint import model_folder, read_about

        told = read_about(model_folder(Path(name)))
        network, config = told["name"], dict(told["config"])
        about = {key: told[key] for key in ("licence", "source") if told.get(key)}
        if words or preset:
            raise ConfigError(f"{name}: has weights of one size; leave out {words[0] if words else '--preset'}")
    elif name in MODELS and not (is_shipped(name) and preset is None):
        network, config = name, {}
    elif name in preset_names():
        if preset not in (None, name):
            raise ConfigError(f"{name}: is a preset itself, and --preset {preset} another; leave one of them out")
        preset, network = name, load_preset(name).network
    else:
        names = [*MODELS, *preset_names()]
        hint = did_you_mean(name, names) or f"; there are {', '.join(names)}, or a model's folder"
        raise ModelError(f"{name}: no such network or preset{hint}")
    if preset is not None:
        chosen = load_preset(preset)
        if chosen.network != network:
            raise ConfigError(f"{preset}: is a preset of {chosen.network}, not of {network}; leave one of them out")
        about, config = {"about": chosen.about}, dict(chosen.config)
    for word in words:
        set_dotted(config, word)
    return network, config, about


def _speed(network: str, config: dict[str, Any]) -> dict[str, Any]:
    from resound.models import build
    from resound.models.facts import frame_seconds, n_threads, real_time_factor

    built = build(network, **config).eval()
    per_frame = frame_seconds(built)
    return {
        "real_time_factor": real_time_factor(built),
        "hop_time_ms": None if per_frame is None else 1000 * per_frame,
        "threads": n_threads(),
    }


def _facts_lines(facts: Facts, speed: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    inputs = f"{facts.n_channels} channel{'s' if facts.n_channels > 1 else ''} in, {facts.n_sources} out"
    yield "network", facts.network
    yield "waveform", f"{facts.sample_rate:,} Hz, {inputs}"
    yield "parameters", f"{facts.parameters:,}"
    yield "work", f"{_metric(facts.macs_per_second)}MAC for a second of audio"
    reach = facts.receptive_field_ms
    yield "receptive field", "unlimited (recurrent, or a norm over the input)" if reach is None else f"{reach:,.1f} ms"
    yield (
        "latency",
        "for recordings, not for streams (not causal)" if facts.latency_ms is None else f"{facts.latency_ms:,.4g} ms",
    )
    if facts.hop_ms is not None:
        yield "stream", f"in multiples of {facts.hop_ms:.4g} ms"
    yield (
        "level",
        "twice in, twice out" if facts.follows_level else "one of its own: what it does changes with loudness",
    )
    yield "training step", f"at least {facts.training_memory_mb:,.0f} MB ({STEP})"
    if speed:
        threads = f"on {speed['threads']} thread{'s' if speed['threads'] > 1 else ''}"
        yield "time", f"{speed['real_time_factor']:.3f} × real time {threads} (4 s at once)"
    if speed.get("hop_time_ms") is not None:
        yield "time of a hop", f"{speed['hop_time_ms']:.2f} ms for {facts.hop_ms:.4g} ms"


def _metric(number: float) -> str:
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f} "
