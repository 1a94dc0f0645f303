"""All degradations by name."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from resound.config import explain
from resound.degrade.artefacts import Dull, Holes, MusicalNoise, OverGate
from resound.degrade.azimuth import Azimuth
from resound.degrade.babble import Babble
from resound.degrade.band_limit import BandLimit
from resound.degrade.clip import Clip
from resound.degrade.codec import CodecLoss
from resound.degrade.crackle import Crackle
from resound.degrade.degradation import Degradation
from resound.degrade.dirt import Dirt
from resound.degrade.dropout import Dropout
from resound.degrade.events import Calls, Rushes, Strikes
from resound.degrade.hiss import Hiss
from resound.degrade.horn import Horn
from resound.degrade.hum import Buzz, Hum
from resound.degrade.level import BitDepth, Dc, Gain, Polarity
from resound.degrade.noise import RecordedNoise
from resound.degrade.optical import DensityFlutter, OpticalNoise, Sprocket
from resound.degrade.optical_valve import OpticalValve
from resound.degrade.packet_loss import PacketLoss
from resound.degrade.resample import Resample
from resound.degrade.roll_off import RollOff
from resound.degrade.room import Room, SyntheticRoom
from resound.degrade.speed import Speed
from resound.degrade.splice import Splice
from resound.degrade.surface import Surface
from resound.degrade.thump import Thump
from resound.degrade.wow_flutter import WowFlutter
from resound.errors import did_you_mean

# Every degradation by the name it has in a chain.
DEGRADATIONS: dict[str, type[Degradation]] = {
    # noise
    "noise": RecordedNoise,
    "babble": Babble,
    "hiss": Hiss,
    "hum": Hum,
    "buzz": Buzz,
    "calls": Calls,
    "strikes": Strikes,
    "rushes": Rushes,
    # discs
    "surface": Surface,
    "crackle": Crackle,
    "thump": Thump,
    # optical sound tracks
    "optical_noise": OpticalNoise,
    "density_flutter": DensityFlutter,
    "sprocket": Sprocket,
    "dirt": Dirt,
    "splice": Splice,
    # the room
    "room": Room,
    "synthetic_room": SyntheticRoom,
    # the carrier
    "wow_flutter": WowFlutter,
    "speed": Speed,
    "roll_off": RollOff,
    "band_limit": BandLimit,
    "horn": Horn,
    "clip": Clip,
    "optical_valve": OpticalValve,
    "dropout": Dropout,
    "azimuth": Azimuth,
    # lines and files
    "codec": CodecLoss,
    "packet_loss": PacketLoss,
    "resample": Resample,
    "gain": Gain,
    "polarity": Polarity,
    "dc": Dc,
    "bit_depth": BitDepth,
    # what a too eager denoiser leaves
    "holes": Holes,
    "musical_noise": MusicalNoise,
    "over_gate": OverGate,
    "dull": Dull,
}


def read_degradation(name: str, settings: Any) -> Degradation:
    """Return a degradation by its name and settings (None: its defaults).  Raises `ValueError`, in one line."""
    if name not in DEGRADATIONS:
        hint = did_you_mean(name, DEGRADATIONS) or "; there are " + ", ".join(DEGRADATIONS)
        raise ValueError(f"{name!r} is no degradation{hint}")
    if not isinstance(settings, dict | None):
        raise ValueError(f"settings are written as '{name}: {{setting: value}}', not {settings!r:.60}")
    try:
        return DEGRADATIONS[name].model_validate(settings or {})
    except ValidationError as error:
        faults = "; ".join(explain(fault, DEGRADATIONS[name]) for fault in error.errors())
        raise ValueError(faults) from None
