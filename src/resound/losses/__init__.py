"""What training lowers (needs the extra `train`).

Each loss is a pure function of an estimate and a target, ``(batch, ..., time)`` -> ``(batch, ...)``, lowest where they
are the same; leading axes are broadcast.  Each takes ``bandwidth_hz`` ``(batch,)`` with ``sample_rate``: above it
nothing counts.  `loss_from` makes the weighted sum that a config names.
"""

from resound.losses.adversarial import discriminator_loss, feature_matching, generator_loss
from resound.losses.compressed import compressed_complex, over_suppression
from resound.losses.permutation import best_orders, in_order, permutation_invariant
from resound.losses.spectral import multi_stft, spectral_l1, two_stage
from resound.losses.waveform import l1, mse, si_sdr, si_sdr_with_level, silence, snr
from resound.losses.weighted import Rewards, Terms, WeightedLoss, loss_from

__all__ = [
    "Rewards", "Terms", "WeightedLoss", "best_orders", "compressed_complex", "discriminator_loss", "feature_matching",
    "generator_loss", "in_order", "l1", "loss_from", "mse", "multi_stft", "over_suppression", "permutation_invariant",
    "si_sdr", "si_sdr_with_level", "silence", "snr", "spectral_l1", "two_stage",
]  # fmt: skip
