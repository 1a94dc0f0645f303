"""The loss of a run as it is written in YAML: terms with weights, each a function of this package.

::

    loss:
      - {kind: l1, weight: 1.0}
      - {kind: multi_stft, weight: 1.0, fft_sizes: [512, 1024, 2048]}
      - {kind: si_sdr, weight: 0.05}

>>> import torch
>>> loss = loss_from([{"kind": "l1"}, {"kind": "mse", "weight": 2.0}])
>>> total, parts = loss(torch.zeros(1, 1, 8), torch.full((1, 1, 8), 0.5), sample_rate=8000)
>>> float(total), {name: float(part) for name, part in parts.items()}
(1.0, {'l1': 0.5, 'mse': 0.25})
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self

import torch
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from torch import Tensor

from resound.config import validated
from resound.losses import permutation
from resound.losses.compressed import compressed_complex, over_suppression
from resound.losses.looking_away import heard
from resound.losses.spectral import multi_stft, spectral_l1
from resound.losses.waveform import l1, mse, si_sdr, si_sdr_with_level, silence, snr

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "l1": l1,
    "mse": mse,
    "snr": snr,
    "si_sdr": si_sdr,
    "si_sdr_with_level": si_sdr_with_level,
    "spectral_l1": spectral_l1,
    "multi_stft": multi_stft,
    "compressed_complex": compressed_complex,
    "over_suppression": over_suppression,
}
LEVEL_BLIND = {"si_sdr"}
RATIOS = {"snr", "si_sdr", "si_sdr_with_level"}  # to the target, which may be silent where sources are separated


class Term(BaseModel):
    """Base of all terms; what a term has besides kind and weight are the options of its function."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str
    weight: float = Field(1.0, ge=0)  # 0: not trained on, only logged

    def values(self, estimate: Tensor, target: Tensor, sample_rate: int, bandwidth_hz: Tensor | None) -> Tensor:
        """Return the loss ``(batch, ...)`` of waveforms ``(batch, ..., time)`` that are `heard` already."""
        options = self.model_dump(exclude={"kind", "weight"})
        if isinstance(self, SpectralTerm):
            options |= {"sample_rate": sample_rate, "bandwidth_hz": bandwidth_hz, "is_filtered": True}
        return FUNCTIONS[self.kind](estimate, target, **options)


class SpectralTerm(Term):
    """Base of the terms on spectra."""


class L1(Term):
    """Mean absolute error of samples."""

    kind: Literal["l1"] = "l1"


class Mse(Term):
    """Mean squared error of samples."""

    kind: Literal["mse"] = "mse"


class Snr(Term):
    """Negative SNR in dB."""

    kind: Literal["snr"] = "snr"
    max_snr_db: float | None = Field(None, gt=0)  # where it levels off; None: nowhere


class SiSdr(Term):
    """Negative SI-SDR in dB: blind to level and polarity."""

    kind: Literal["si_sdr"] = "si_sdr"
    zero_mean: bool = True
    max_si_sdr_db: float | None = Field(None, gt=0)  # where it levels off; None: nowhere


class SiSdrWithLevel(Term):
    """Negative SI-SDR in dB, and the error of the level; hears polarity and the mean."""

    kind: Literal["si_sdr_with_level"] = "si_sdr_with_level"
    level_weight: float = Field(1.0, gt=0)
    zero_mean: bool = False
    max_si_sdr_db: float | None = Field(None, gt=0)  # where it levels off; None: nowhere


class OneTransform(SpectralTerm):
    """Base of the terms on spectra of one resolution."""

    n_fft: int = Field(512, ge=16)
    hop: int = Field(128, ge=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hop > self.n_fft // 2:
            raise ValueError(
                f"hop {self.hop} skips samples of frames of {self.n_fft}; make it {self.n_fft // 2} or less"
            )
        return self


class SpectralL1(OneTransform):
    """Mean absolute error of spectra."""

    kind: Literal["spectral_l1"] = "spectral_l1"
    of: Literal["complex", "magnitude"] = "complex"
    n_fft: int = Field(1024, ge=16)
    hop: int = Field(256, ge=1)


class MultiStft(SpectralTerm):
    """Spectral convergence and log magnitudes at several resolutions."""

    kind: Literal["multi_stft"] = "multi_stft"
    fft_sizes: tuple[Annotated[int, Field(ge=16)], ...] = Field((512, 1024, 2048), min_length=1)
    hops: tuple[Annotated[int, Field(ge=1)], ...] = (50, 120, 240)
    windows: tuple[Annotated[int, Field(ge=4)], ...] = (240, 600, 1200)
    high_weight: float = Field(1.0, gt=0)  # of bins from high_from_hz on, against 1 below
    high_from_hz: float = Field(4000.0, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        counts = [len(self.fft_sizes), len(self.hops), len(self.windows)]
        if len(set(counts)) > 1:
            raise ValueError(f"fft_sizes, hops and windows have {counts} numbers; give as many of each")
        for n_fft, hop, window in zip(self.fft_sizes, self.hops, self.windows, strict=True):
            if not hop <= window <= n_fft:
                raise ValueError(f"hop {hop}, window {window}, FFT {n_fft}; none may be larger than the next")
        return self


class CompressedComplex(OneTransform):
    """Mean squared error of compressed spectra."""

    kind: Literal["compressed_complex"] = "compressed_complex"
    exponent: float = Field(0.3, gt=0, le=1)
    complex_share: float = Field(0.3, ge=0, le=1)


class OverSuppression(OneTransform):
    """What is missing of the target's compressed magnitudes."""

    kind: Literal["over_suppression"] = "over_suppression"
    exponent: float = Field(0.3, gt=0, le=1)


def _listed(written: Any) -> Any:
    return written if isinstance(written, list | tuple) else [written]


def _weighted(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    if not any(term.weight for term in terms):
        raise ValueError("no term has a weight above 0, so there is nothing to learn; give one a weight")
    return terms


AnyTerm = Annotated[
    L1 | Mse | Snr | SiSdr | SiSdrWithLevel | SpectralL1 | MultiStft | CompressedComplex | OverSuppression,
    Field(discriminator="kind"),
]
Terms = Annotated[tuple[AnyTerm, ...], BeforeValidator(_listed), AfterValidator(_weighted)]  # a field of other settings


class LossConfig(BaseModel):
    """Settings that are a loss alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss: Terms


class Rewards(NamedTuple):
    """What a sum of losses is lowered by, and what it does not see."""

    level_blind: bool  # nothing but scale-invariant terms: the level of the output is left to chance
    has_spectral_term: bool


def loss_from(written: Any, where: str = "") -> WeightedLoss:
    """Return the loss that lines of YAML say; ``where`` begins the error.  Raises `ConfigError`."""
    return WeightedLoss(validated(LossConfig, {"loss": written}, where).loss)


class WeightedLoss:
    """The weighted sum of terms.

    Waveforms are ``(batch, source, time)``.  Above ``bandwidth_hz`` ``(batch,)`` of an example nothing counts.
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        self.terms = _weighted(tuple(terms))

    @property
    def names(self) -> list[str]:
        """The names of the parts: the kinds, with a number where one comes again."""
        seen: Counter[str] = Counter()
        names = []
        for term in self.terms:
            seen[term.kind] += 1
            names.append(term.kind if seen[term.kind] == 1 else f"{term.kind}_{seen[term.kind]}")
        return names

    @property
    def rewards(self) -> Rewards:
        """What the sum sees, of the terms that have a weight."""
        terms = [term for term in self.terms if term.weight]
        return Rewards(
            level_blind=all(term.kind in LEVEL_BLIND for term in terms),
            has_spectral_term=any(isinstance(term, SpectralTerm) for term in terms),
        )

    def __call__(
        self, estimate: Tensor, target: Tensor, *, sample_rate: int, bandwidth_hz: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean over the batch, and of each term its mean without its weight, for the log."""
        _check_shapes(estimate, target)
        values = list(self._values(estimate, target, sample_rate, bandwidth_hz))
        parts = {name: each.detach().mean() for name, each in zip(self.names, values, strict=True)}
        return self._sum(values).mean(), parts

    def per_example(
        self, estimate: Tensor, target: Tensor, *, sample_rate: int, bandwidth_hz: Tensor | None = None
    ) -> Tensor:
        """Return the sum of each example, ``(batch,)``: which of them gave no number."""
        _check_shapes(estimate, target)
        return self.each(estimate, target, sample_rate=sample_rate, bandwidth_hz=bandwidth_hz).mean(dim=1)

    def pairwise(
        self, estimate: Tensor, target: Tensor, *, sample_rate: int, bandwidth_hz: Tensor | None = None
    ) -> Tensor:
        """Return the sum of each target with each estimate, ``(batch, target, estimate)``."""
        _check_shapes(estimate, target)
        return permutation.pairwise(self.each, estimate, target, sample_rate=sample_rate, bandwidth_hz=bandwidth_hz)

    def each(
        self,
        estimate: Tensor,
        target: Tensor,
        *,
        sample_rate: int,
        bandwidth_hz: Tensor | None = None,
        mixture_power: Tensor | None = None,
    ) -> Tensor:
        """Return the sum ``(batch, ...)`` of waveforms ``(batch, ..., time)`` that may be broadcast.

        With ``mixture_power`` ``(batch,)``, a mean square, ratios to a silent target are `silence` instead.
        """
        return self._sum(self._values(estimate, target, sample_rate, bandwidth_hz, mixture_power))

    def _values(
        self,
        estimate: Tensor,
        target: Tensor,
        sample_rate: int,
        bandwidth_hz: Tensor | None,
        mixture_power: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """Yield the values of each term; what all of them look away from is taken out once."""
        is_silent = None if mixture_power is None else (target == 0).all(dim=-1)
        estimate, target, bandwidth_hz = heard(estimate, target, sample_rate, bandwidth_hz)
        for term in self.terms:
            values = term.values(estimate, target, sample_rate, bandwidth_hz)
            if mixture_power is not None and is_silent is not None and term.kind in RATIOS and bool(is_silent.any()):
                quiet = silence(estimate, mixture_power.reshape(-1, *[1] * (estimate.ndim - 2)))
                values = torch.where(is_silent, quiet, values)
            yield values

    def _sum(self, values: Iterator[Tensor] | Sequence[Tensor]) -> Tensor:
        weighted = [term.weight * each for term, each in zip(self.terms, values, strict=True) if term.weight]
        return sum(weighted[1:], weighted[0])


def _check_shapes(estimate: Tensor, target: Tensor) -> None:
    """Raise where the shapes differ: torch would compare one source with all targets and say nothing."""
    if estimate.shape != target.shape or estimate.ndim != 3:
        raise ValueError(
            f"estimate {tuple(estimate.shape)} and target {tuple(target.shape)} must both be (batch, source, time)"
        )
