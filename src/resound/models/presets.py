"""Named configurations of networks, as YAML that comes with the package: those of papers and of case studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from resound.config import read_yaml, validated
from resound.errors import ConfigError, did_you_mean
from resound.models import build
from resound.models.network import Network

PRESETS = Path(__file__).parent.parent / "presets" / "models"


class Published(BaseModel):
    """The training set with which a configuration was published."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    corpus: str
    hours: float
    n_utterances: int  # or mixtures of them
    n_speakers: int


class Preset(BaseModel):
    """A network at a configuration that someone has shown to work."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    network: str  # a key of MODELS
    config: dict[str, Any] = Field(default_factory=dict)
    task: str  # what it is for: denoise, separate, restore films ...
    about: str  # whose configuration, and what it is known for
    published: Published | None = None
    train: dict[str, Any] = Field(default_factory=dict)  # how it is trained: see `resound.training.config`
    quick: dict[str, Any] = Field(default_factory=dict)  # what differs in the small form, for minutes on a processor
    search: str = "optimiser"  # over its settings, which `resound tune` makes: see `resound.training.search`

    def build(self) -> Network:
        """Return a fresh network.  Raises `ModelError`."""
        return build(self.network, **self.config)


def load_preset(name: str) -> Preset:
    """Return the preset of a name.  Raises `ConfigError` for an unknown name, with the nearest one."""
    path = PRESETS / f"{name}.yaml"
    if name not in preset_names():
        raise ConfigError(f"{name}: no such preset{did_you_mean(name, preset_names()) or _choices()}")
    return validated(Preset, {"name": name, **read_yaml(path)}, str(path))


def preset_names() -> list[str]:
    """Return the names of the presets that come with the package."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def published_with(network: str, task: str, name: str | None = None) -> Published | None:
    """Return the set that a preset was published with, or else any preset of that network for that task."""
    names = [*([name] if name else []), *preset_names()]
    presets = [preset for preset in map(load_preset, names) if preset.published]
    alike = [each for each in presets if each.name == name or (each.network, each.train.get("task")) == (network, task)]
    return alike[0].published if alike else None


def _choices() -> str:
    return f"; there are {', '.join(preset_names())}"
