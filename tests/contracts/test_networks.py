"""What holds for every network in `MODELS`, at a tiny size."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.checkpoint import load_model, save_model  # noqa: E402
from resound.errors import ConfigError, ModelError  # noqa: E402
from resound.models import MODELS, build  # noqa: E402

# A tiny config of each network and of each of its forms; test ids are the keys.
TASNET = {
    "n_filters": 24,
    "filter_samples": 8,
    "bottleneck": 12,
    "hidden": 20,
    "skip": 8,
    "n_blocks": 3,
    "n_repeats": 2,
}
UNET = {"n_fft": 64, "hop": 16, "widths": [6, 8, 8], "num_tfc": 1}
BANDS = {
    "sample_rate": 8000,
    "hop": 40,
    "n_narrow": 6,
    "n_bands": 12,
    "channels": [6, 8],
    "band_hidden": 4,
    "n_blocks": 1,
}
GRIDNET = {"n_fft": 32, "hop": 16, "n_blocks": 1, "embedding": 8, "unfold": 3, "hidden": 6, "n_heads": 2, "qk_size": 34}
TINY: dict[str, tuple[str, dict]] = {
    "conv_tasnet": ("conv_tasnet", TASNET),
    "conv_tasnet causal": ("conv_tasnet", {**TASNET, "norm": "cumulative", "causal": True}),
    "conv_tasnet causal, each frame": ("conv_tasnet", {**TASNET, "norm": "channel", "causal": True, "skip": 0}),
    "conv_tasnet each frame": ("conv_tasnet", {**TASNET, "norm": "channel", "n_channels": 2, "mask": "softmax"}),
    "timbre": (
        "timbre",
        {"sample_rate": 8000, "widths": [24, 32, 32], "strides": [2, 3, 4], "kernel": 5, "gru_layers": 1},
    ),
    "demucs": ("demucs", {"hidden": 4, "depth": 2}),
    "demucs whole": ("demucs", {"hidden": 4, "depth": 2, "normalisation": "whole"}),
    "demucs both ways": ("demucs", {"hidden": 4, "depth": 2, "causal": False, "normalisation": "whole"}),
    "demucs stereo": (
        "demucs",
        {"hidden": 8, "depth": 3, "stride": 2, "resample": 2, "n_channels": 2, "n_sources": 2, "normalisation": "none"},
    ),
    "wave_u_net": ("wave_u_net", {"n_levels": 3, "extra_filters": 4}),
    "wave_u_net difference": (
        "wave_u_net",
        {"n_levels": 2, "extra_filters": 4, "n_channels": 2, "n_sources": 4, "difference": True, "tanh": False},
    ),
    "gatewave": ("gatewave", {"hidden": 16, "depth": 2}),
    "gatewave causal": ("gatewave", {"hidden": 4, "depth": 2, "causal": True, "stride": 2}),
    "gatewave residual": ("gatewave", {"hidden": 16, "depth": 2, "causal": True, "n_channels": 2, "residual": True}),
    "band_rnn": ("band_rnn", BANDS),
    "band_rnn without a look ahead": ("band_rnn", {**BANDS, "lookahead_frames": 0, "filter_frames": 1, "n_narrow": 0}),
    "band_rnn two ahead": ("band_rnn", {**BANDS, "lookahead_frames": 2, "filter_frames": 2, "n_bands": 16}),
    "band_rnn of two": ("band_rnn", {**BANDS, "n_sources": 2}),
    "band_rnn two to one": ("band_rnn", {**BANDS, "n_channels": 2}),
    "band_rnn both ways": ("band_rnn", {**BANDS, "n_sources": 2, "both_ways": True, "time_hidden": 5}),
    "two_stage_unet": ("two_stage_unet", {**UNET, "depth": 2}),
    "two_stage_unet one stage": ("two_stage_unet", {**UNET, "depth": 1, "num_tfc": 2, "n_stages": 1}),
    "two_stage_unet as published": ("two_stage_unet", {**UNET, "depth": 1, "num_tfc": 2, "pad_start": False}),
    "two_stage_unet filters": ("two_stage_unet", {**UNET, "depth": 1, "filters": True, "exponent": 0.5}),
    "tf_gridnet": ("tf_gridnet", GRIDNET),
    "tf_gridnet neighbours": ("tf_gridnet", {**GRIDNET, "unfold": 2, "unfold_hop": 2, "n_channels": 2}),
    "tf_gridnet filters": ("tf_gridnet", {**GRIDNET, "n_channels": 2, "filters": True}),
    "tf_gridnet blocks again": ("tf_gridnet", {**GRIDNET, "unfold": 1, "n_sources": 1, "checkpoint_blocks": True}),
}
STREAMING = [name for name, (model, config) in TINY.items() if build(model, **config).is_causal]


@pytest.fixture(params=TINY)
def network(request):
    name, config = TINY[request.param]
    torch.manual_seed(0)
    return build(name, **config).eval()


@pytest.fixture(params=STREAMING)
def causal_network(request):
    name, config = TINY[request.param]
    torch.manual_seed(0)
    return build(name, **config).eval()


def sound(network, n_samples: int, *, batch_size: int = 1, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(batch_size, network.config.n_channels, n_samples, generator=generator)


def test_every_network_has_a_tiny_config_here():
    assert {name for name, _ in TINY.values()} == set(MODELS)


@pytest.mark.parametrize("n_samples", [1, 2, 15, 16, 17, 255, 1000, 4001])
def test_the_length_is_kept(network, n_samples):
    with torch.no_grad():
        out = network(sound(network, n_samples, batch_size=2))
    assert out.shape == (2, network.n_sources, n_samples)
    assert torch.isfinite(out).all()


def test_silence_stays_finite(network):
    with torch.no_grad():
        assert torch.isfinite(network(torch.zeros(1, network.config.n_channels, 3000))).all()


def test_an_example_does_not_depend_on_its_batch(network):
    x = sound(network, 3000, batch_size=3)
    with torch.no_grad():
        torch.testing.assert_close(network(x)[1:2], network(x[1:2]), atol=1e-5, rtol=1e-4)


def test_gradients_reach_every_parameter(network):
    network.train()
    target = sound(network, 3000, seed=1)[:, :1].expand(-1, network.n_sources, -1)
    (network(sound(network, 3000)) - target).abs().mean().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not bool((p.grad != 0).any())]
    assert not without


def test_bfloat16_stays_finite(network):
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.isfinite(network(sound(network, 2000))).all()


def test_a_checkpoint_brings_back_the_same_bits(network, tmp_path):
    save_model(tmp_path / "model", network, licence="MIT")
    again = load_model(tmp_path / "model")
    assert again.config == network.config
    x = sound(network, 2000)
    with torch.no_grad():
        assert torch.equal(again(x), network(x))


def test_one_batch_can_be_learnt_by_heart(network):
    network = copy.deepcopy(network).train()
    x = sound(network, 1500, batch_size=1)
    target = 0.5 * x[:, :1].expand(-1, network.n_sources, -1)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = (network(x) - target).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        losses.append(loss.item())
    assert min(losses) < 0.5 * losses[0]


@pytest.mark.parametrize("shape", [(1000,), (1, 1000), (1, 9, 1000), (1, 1, 0)])
def test_a_wrong_shape_is_told(network, shape):
    with pytest.raises(ModelError, match="expects"):
        network(torch.zeros(shape))


@pytest.mark.parametrize(
    "wrong", [torch.zeros(1, 1, 99).double(), torch.zeros(1, 1, 99).numpy()], ids=["double", "numpy"]
)
def test_a_wrong_type_is_told(network, wrong):
    if network.config.n_channels != 1:
        pytest.skip("the shape would be told first")
    with pytest.raises(ModelError, match="expects"):
        network(wrong)


TOO_LARGE = {
    "conv_tasnet": {"n_filters": 10**12},
    "demucs": {"hidden": 10**9, "max_hidden": 10**9},
    "wave_u_net": {"extra_filters": 10**9},
    "gatewave": {"hidden": 10**9},
    "tf_gridnet": {"embedding": 10**9},
    "two_stage_unet": {"widths": [10**9] * 7},
    "timbre": {"widths": [10**9] * 4},
    "band_rnn": {"channels": [24, 10**9]},
}


@pytest.mark.parametrize("name", MODELS)
def test_sizes_beyond_all_memory_are_told(name):
    with pytest.raises(ConfigError, match="takes more memory than there is"):
        build(name, **TOO_LARGE[name])


def test_samples_that_are_no_numbers_are_refused(network):
    x = sound(network, 1000)
    x[..., 500] = float("nan")
    with pytest.raises(ModelError, match="NaN"):
        network(x)


def test_an_unknown_setting_is_named(network):
    name = next(key for key, (kind, _) in MODELS.items() if kind is type(network))
    with pytest.raises(ConfigError, match="sample_rat: no such setting \\(did you mean 'sample_rate'"):
        build(name, sample_rat=8000)


def test_the_receptive_field_is_what_gradients_see(network):
    if network.receptive_field_samples is None:
        pytest.skip("unlimited: recurrent, or a norm over all of the input")
    n_samples = 2 * network.receptive_field_samples + 999
    x = sound(network, n_samples).requires_grad_()
    middle = n_samples // 2
    network(x)[0, 0, middle].backward()
    seen = torch.nonzero(x.grad[0].abs().sum(dim=0)).flatten()
    assert int(seen[-1] - seen[0]) + 1 <= network.receptive_field_samples
    assert int(seen[-1] - seen[0]) + 1 >= 0.9 * network.receptive_field_samples - 2 * 512
    if network.is_causal:
        assert int(seen[-1]) - middle <= network.latency_samples


def test_changing_the_future_leaves_the_past_alone(causal_network):
    x = sound(causal_network, 4000)
    changed = x.clone()
    first = 2500 - 2500 % causal_network.hop_samples  # of a hop, which is heard as a whole
    changed[..., first:] = sound(causal_network, 4000 - first, seed=9)
    until = first - causal_network.latency_samples
    with torch.no_grad():
        past, other = causal_network(x)[..., :until], causal_network(changed)[..., :until]
    torch.testing.assert_close(past, other, atol=1e-6, rtol=1e-5)
    assert until > 0


@pytest.mark.parametrize("n_hops", [1, 2, 5])
@pytest.mark.parametrize("n_samples", [1, 777, 4000])
def test_the_stream_is_the_whole_to_the_last_sample(causal_network, n_hops, n_samples):
    x = sound(causal_network, n_samples, batch_size=2)
    frame = n_hops * causal_network.hop_samples
    padded = torch.nn.functional.pad(x, (0, -n_samples % frame))
    state = causal_network.init_state(batch_size=2)
    parts = []
    with torch.no_grad():
        whole = causal_network(x)
        for start in range(0, padded.shape[-1], frame):
            out, state = causal_network.step(padded[..., start : start + frame], state)
            assert out.shape[-1] == frame
            parts.append(out)
        parts.append(causal_network.flush(state))
    latency = causal_network.latency_samples
    stream = torch.cat(parts, dim=-1)[..., latency : latency + n_samples]
    torch.testing.assert_close(stream, whole, atol=2e-6, rtol=1e-4)


WRONG_FRAMES = {
    "two axes": lambda network: torch.zeros(1, network.hop_samples),
    "another number of channels": lambda network: torch.zeros(1, 7, network.hop_samples),
    "no samples": lambda network: torch.zeros(1, network.config.n_channels, 0),
    "no whole hop": lambda network: torch.zeros(1, network.config.n_channels, network.hop_samples + 1),
    "whole numbers": lambda network: torch.zeros(1, network.config.n_channels, network.hop_samples, dtype=torch.int64),
    "another type": lambda network: torch.zeros(1, network.config.n_channels, network.hop_samples).double(),
}


@pytest.mark.parametrize("case", WRONG_FRAMES)
def test_a_wrong_frame_is_told(causal_network, case):
    if causal_network.hop_samples == 1 and case == "no whole hop":
        pytest.skip("every number of samples is whole hops")
    with pytest.raises(ModelError, match="expects"):
        causal_network.step(WRONG_FRAMES[case](causal_network), causal_network.init_state(1))


def test_a_step_leaves_its_state_alone(causal_network):
    frame = sound(causal_network, causal_network.hop_samples)
    with torch.no_grad():
        _, state = causal_network.step(frame, causal_network.init_state(batch_size=1))
        before = [leaf.clone() for leaf in torch.utils._pytree.tree_leaves(state) if isinstance(leaf, torch.Tensor)]
        first, _ = causal_network.step(frame, state)
        second, _ = causal_network.step(frame, state)
    after = [leaf for leaf in torch.utils._pytree.tree_leaves(state) if isinstance(leaf, torch.Tensor)]
    assert torch.equal(first, second)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_what_it_says_of_levels_is_so(network):
    """Published networks that have a level of their own must say so: nobody should learn it from a quiet recording."""
    x = sound(network, 4000)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.01)  # as after training; at first they may all be zero
        loud, quiet = network(x), network(10 ** (-30 / 20) * x) * 10 ** (30 / 20)
    difference = float((loud - quiet).norm() / loud.norm())
    assert difference < 5e-3 if network.follows_level else difference > 1e-3
