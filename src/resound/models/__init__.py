"""The networks (needs the extra `train`): one file each, all of one contract (`resound.models.network`).

>>> from resound.models import build                                                      # doctest: +SKIP
>>> network = build("conv_tasnet", n_filters=128, n_sources=2)                            # doctest: +SKIP
>>> network(waveform).shape                  # (batch, channel, time) -> (batch, source, time)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from resound.config import explain
from resound.errors import ConfigError, ModelError, did_you_mean, one_line
from resound.models.band_rnn import BandRNN, BandRNNConfig
from resound.models.conv_tasnet import ConvTasNet, ConvTasNetConfig
from resound.models.demucs import Demucs, DemucsConfig
from resound.models.gatewave import GateWave, GateWaveConfig
from resound.models.network import Network, NetworkConfig
from resound.models.tf_gridnet import TFGridNet, TFGridNetConfig
from resound.models.timbre import Timbre, TimbreConfig
from resound.models.two_stage_unet import TwoStageUNet, TwoStageUNetConfig
from resound.models.wave_u_net import WaveUNet, WaveUNetConfig

TOO_LARGE = ("allocate memory", "out of memory", "overflow", "too large")  # what torch says of such sizes
# Every network by the name it has in presets and checkpoints.
MODELS: dict[str, tuple[type[Network], type[NetworkConfig]]] = {
    "band_rnn": (BandRNN, BandRNNConfig),
    "conv_tasnet": (ConvTasNet, ConvTasNetConfig),
    "timbre": (Timbre, TimbreConfig),
    "demucs": (Demucs, DemucsConfig),
    "wave_u_net": (WaveUNet, WaveUNetConfig),
    "gatewave": (GateWave, GateWaveConfig),
    "two_stage_unet": (TwoStageUNet, TwoStageUNetConfig),
    "tf_gridnet": (TFGridNet, TFGridNetConfig),
}


def build(name: str, /, **config: Any) -> Network:
    """Return a fresh network.  Raises `ModelError` for an unknown name and `ConfigError` for impossible sizes."""
    if not isinstance(name, str) or name not in MODELS:
        hint = did_you_mean(str(name), MODELS) or f"; there are {', '.join(MODELS)}"
        raise ModelError(f"{one_line(name)}: no such network{hint}")
    network_class, config_class = MODELS[name]
    try:
        return network_class(config_class.model_validate(config))
    except ValidationError as error:
        raise ConfigError(f"{name}: " + "; ".join(explain(fault, config_class) for fault in error.errors())) from None
    except (RuntimeError, MemoryError, OverflowError) as error:
        if not any(sign in str(error).lower() for sign in TOO_LARGE):
            raise
        raise ConfigError(f"{name}: takes more memory than there is at these sizes; make them smaller") from None
