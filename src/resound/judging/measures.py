"""What is measured, in which unit, and which values are better: the dict that scores, summaries and tables share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator

from resound.errors import ConfigError, did_you_mean

Better = Literal["higher", "lower", "near 0"]


class Measure(NamedTuple):
    """One measure of an estimate."""

    title: str
    unit: str
    better: Better
    digits: int  # after the point, in tables

    def badness(self, value: float) -> float:
        """Return a number that is the smaller the better the value is."""
        return {"higher": -value, "lower": value, "near 0": abs(value)}[self.better]


# Always measured; cheap.
MEASURES = {
    "si_sdr": Measure("SI-SDR", "dB", "higher", 1),  # Le Roux et al. 2019, eq. 5
    "si_sdr_i": Measure("SI-SDRi", "dB", "higher", 1),  # more than the degraded input has
    "snr": Measure("SNR", "dB", "higher", 1),  # blind to nothing: gain and polarity count
    "snr_i": Measure("SNRi", "dB", "higher", 1),
    "level_db": Measure("level", "dB", "near 0", 1),  # of the target's share in the estimate
    "level_ratio_db": Measure("RMS", "dB", "near 0", 1),  # of the whole estimate to the target
    "removed_correlation": Measure("removed corr.", "", "near 0", 2),  # of what was taken away, with the target
    "lsd": Measure("LSD", "dB", "lower", 1),  # log spectral distance
}
# Asked for by name; slow, and each needs a package.
PERCEPTUAL = {
    "pesq": Measure("PESQ", "MOS", "higher", 2),  # ITU-T P.862.2 at 16 kHz, P.862.1 at 8 kHz
    "stoi": Measure("STOI", "", "higher", 3),  # Taal et al. 2011
    "estoi": Measure("ESTOI", "", "higher", 3),  # Jensen & Taal 2016
}
ALL = MEASURES | PERCEPTUAL


def _known(name: str) -> str:
    if name not in ALL:
        raise ValueError(f"no such metric{did_you_mean(name, ALL) or '; there are ' + ', '.join(ALL)}")
    return name


MeasureName = Annotated[str, AfterValidator(_known)]  # in settings


@dataclass(frozen=True)
class Asked:
    """Which of the slow measures are wanted, and for how many examples of a set."""

    perceptual: tuple[str, ...] = ()
    most_examples: int = 20

    def __post_init__(self) -> None:
        """Raise `ConfigError` for a measure that there is not."""
        for name in self.perceptual:
            if name not in PERCEPTUAL:
                hint = did_you_mean(name, PERCEPTUAL)
                raise ConfigError(f"measure {name!r} is not known{hint}; choose from {', '.join(PERCEPTUAL)}")

    def at(self, index: int, n_examples: int) -> tuple[str, ...]:
        """Return the slow measures of one example: those that have any lie evenly over the set."""
        n_chosen = min(self.most_examples, n_examples)
        is_chosen = (index + 1) * n_chosen // n_examples > index * n_chosen // n_examples
        return self.perceptual if is_chosen else ()
