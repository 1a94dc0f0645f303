"""What a likeness says of one pair, and what many of them say of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from resound.doctor.likeness import Likeness

# Where the correlations of unrelated recordings end; `benchmarks/doctor_pairs.py` measures how often they do not.
STRONG = 7.5  # of the peak at any shift
STRONG_NEAR = 5.0  # of the peak at no shift, or at the shift of the other pairs
STRONG_ENVELOPE = 0.45
# Below all of these a pair has nothing in common, if it holds enough to tell.
WEAK, WEAK_NEAR, WEAK_ENVELOPE = 6.8, 4.5, 0.35
LEAST_ACTIVE_SECONDS = 0.2
LEAST_DEGREES = 300.0  # a steady tone has less
# Share of pairs of one recording that look like two, in the worst case (white noise at -10 dB): for a second of
# sound, by which power of the length it falls, and its bounds.
MISSED, MISSED_POWER, LEAST_MISSED, MOST_MISSED = 0.3, 1.25, 0.01, 0.6
ALONE = 0.13  # the chance of a mistake that is taken where all pairs look like two recordings
NEAR_LIMIT = 1.5  # times the limit: as many pairs as lie between may lie below
CERTAIN = 12.0  # from here on the peak's place is exact to the sample, whatever was done to the sound
SIGNIFICANT = 1e-3
# Median deviations by which a likeness must stand above that of the folder's own unrelated pairs.
ABOVE_UNRELATED, ABOVE_UNRELATED_NEAR = 8, 4
COMMON_SECONDS = 0.002  # two pairs have the same shift within this

Kind = Literal["same", "different", "unsure"]


@dataclass(frozen=True)
class Verdict:
    """What one pair is."""

    kind: Kind
    lag_seconds: float = 0.0  # by which the second is later, where they are the same
    is_exact: bool = False  # the lag was found on the waveform
    is_inverted: bool = False
    missed: float = 0.0  # the chance that one recording looks as different


@dataclass(frozen=True)
class Limits:
    """From where on a likeness is no chance, in this folder."""

    strong: float = STRONG
    near: float = STRONG_NEAR
    envelope: float = STRONG_ENVELOPE


def limits_of(unrelated: Sequence[Likeness]) -> Limits:
    """Return the limits of a folder, from pairs of it that were put together wrongly on purpose.

    They are raised where even those are alike, as by a hum or a jingle in all files; medians, as the same clean
    recording may be in the folder several times.
    """
    if len(unrelated) < 4:
        return Limits()

    def raised(values: list[float], least: float, above: float = ABOVE_UNRELATED) -> float:
        middle = float(np.median(values))
        return max(least, middle + above * float(np.median(np.abs(np.array(values) - middle))))

    return Limits(
        raised([each.strength for each in unrelated], STRONG),
        raised([each.at_zero for each in unrelated], STRONG_NEAR, ABOVE_UNRELATED_NEAR),
        raised([each.envelope for each in unrelated], STRONG_ENVELOPE),
    )


def verdict_of(found: Likeness | None, limits: Limits, usual_lag_seconds: float = 0.0) -> Verdict:
    """Return what one pair is, given by how much others of its folder are shifted."""
    if found is None:
        return Verdict("unsure")
    if found.strength > limits.strong:
        is_exact = found.strength > CERTAIN or found.envelope < STRONG_ENVELOPE
        return Verdict("same", found.lag_seconds, is_exact, found.is_inverted)
    if found.at_zero > limits.near or found.envelope > limits.envelope:
        is_at_zero = found.at_zero > limits.near
        return Verdict("same", 0.0 if is_at_zero else found.envelope_lag_seconds)
    if near(found, usual_lag_seconds) > limits.near:
        return Verdict("same", usual_lag_seconds)
    is_weak = found.strength < WEAK and found.at_zero < WEAK_NEAR and found.envelope < WEAK_ENVELOPE
    if not is_weak or found.active_seconds < LEAST_ACTIVE_SECONDS or found.n_degrees < LEAST_DEGREES:
        return Verdict("unsure")
    return Verdict("different", missed=min(MOST_MISSED, MISSED / found.active_seconds**MISSED_POWER))


def near(found: Likeness, lag_seconds: float) -> float:
    """Return the highest strength within 2 ms of a shift."""
    middle = len(found.curve) // 2 + round(lag_seconds * 1000)
    inside = found.curve[max(0, middle - 2) : max(0, middle + 3)]
    return float(inside.max()) if len(inside) else 0.0


@dataclass(frozen=True)
class Pooled:
    """What all pairs of a folder say together."""

    likenesses: Sequence[Likeness | None]
    unrelated: Sequence[Likeness]

    @cached_property
    def limits(self) -> Limits:
        """From where on a likeness is no chance."""
        return limits_of(self.unrelated)

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """What each pair is, judged a second time with the shift that most have."""
        first = [verdict_of(found, self.limits) for found in self.likenesses]
        lags = [one.lag_seconds for one in first if one.kind == "same" and one.is_exact]
        usual = float(np.median(lags)) if lags else 0.0
        return [verdict_of(found, self.limits, usual) for found in self.likenesses]

    def n(self, kind: Kind) -> int:
        """How many pairs are of a kind."""
        return sum(one.kind == kind for one in self.verdicts)

    @property
    def n_told(self) -> int:
        """How many pairs could be told."""
        return self.n("same") + self.n("different")

    @property
    def share_different(self) -> float:
        """Of those that could be told."""
        return self.n("different") / max(1, self.n_told)

    @property
    def is_significant(self) -> bool:
        """Tell whether there are more pairs without likeness than the method misses in such a folder."""
        n_different = self.n("different")
        if not n_different:
            return False
        missed = self.share_missed
        if n_different == self.n_told and missed**n_different <= ALONE:
            return True
        return bool(scipy.stats.binom.sf(n_different - 1, self.n_told, missed) < SIGNIFICANT)

    @property
    def share_missed(self) -> float:
        """Return which share of pairs of one recording would look like two in this folder.

        Where there are some of one recording, their strengths tell: taken for normal in their logarithms, or as many
        below the limit as just above it, whichever are more.  Else the length of the sound tells, in the worst case.
        """
        pairs = zip(self.verdicts, self.likenesses, strict=True)
        strengths = np.array([found.strength for one, found in pairs if one.kind == "same" and found])
        if len(strengths) < 3:
            return float(np.mean([one.missed for one in self.verdicts if one.kind == "different"]))
        limit, logs = self.limits.strong, np.log(strengths)
        middle = np.median(logs)
        spread = max(0.3, 1.48 * float(np.median(np.abs(logs - middle))))
        below = float(scipy.stats.norm.cdf((np.log(limit) - middle) / spread))
        above = float(np.mean(strengths < NEAR_LIMIT * limit))
        return float(np.clip(max(below, above), LEAST_MISSED, MOST_MISSED))

    @cached_property
    def lags_seconds(self) -> NDArray[np.float64]:
        """The shifts of the pairs whose shift is exact."""
        return np.array([one.lag_seconds for one in self.verdicts if one.kind == "same" and one.is_exact])

    @property
    def inverted(self) -> NDArray[np.bool_]:
        """Which of those are upside down."""
        return np.array([one.is_inverted for one in self.verdicts if one.kind == "same" and one.is_exact], bool)
