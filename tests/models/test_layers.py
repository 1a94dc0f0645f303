"""What networks share: levels, frames and their sum, the transform and the same one for graphs."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.models import layers  # noqa: E402
from resound.models.layers import istft, level_of, level_until, overlap_add, stft  # noqa: E402


def hiss(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_level_until_each_sample_is_that_of_all_before_it():
    x = torch.randn(2, 1, 50)
    level, energy = level_until(x)
    expected = torch.stack([x[..., : n + 1].square().mean(dim=-1).sqrt() for n in range(50)], dim=-1)
    torch.testing.assert_close(level, expected)
    torch.testing.assert_close(energy[..., 0], x.double().square().sum(dim=-1))
    later, _ = level_until(x[..., 20:], level_until(x[..., :20])[1], 20)
    torch.testing.assert_close(later, level[..., 20:])


def test_the_level_of_one_sample_is_nothing():
    assert level_of(torch.ones(1, 1, 1)) == 0


def test_frames_overlap_and_add_as_a_transposed_convolution_does():
    frames = hiss(2, 6, 7)
    expected = torch.nn.functional.fold(frames.transpose(1, 2), (1, 22), (1, 7), stride=(1, 3))[:, 0, 0]
    torch.testing.assert_close(overlap_add(frames, 3)[..., :22], expected)


@pytest.mark.parametrize("shape", [(500,), (2, 3, 500)])
def test_the_transform_is_torchs(shape):
    x, window = hiss(*shape), torch.hann_window(64)
    theirs = torch.stft(
        x.flatten(0, -2) if len(shape) > 1 else x, 64, 16, window=window, center=False, return_complex=True
    )
    expected = torch.view_as_real(theirs.transpose(-1, -2)).view(*shape[:-1], -1, 33, 2)
    torch.testing.assert_close(stft(x, window, 16), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("hop", [16, 20])
def test_the_inverse_gives_back_what_went_in(hop):
    x, window = hiss(2, 544), torch.hamming_window(64)
    torch.testing.assert_close(istft(stft(x, window, hop), window, hop)[:, :544], x, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("hop", [16, 20])
def test_an_endless_inverse_fades_where_there_is_one_window_and_is_whole_where_there_are_all(hop):
    x, window = hiss(504), torch.hamming_window(64)
    sound = istft(stft(x, window, hop), window, hop, endless=True)
    torch.testing.assert_close(sound[64:440], x[64:440], atol=1e-6, rtol=1e-5)
    assert sound[:hop].abs().sum() < 0.5 * x[:hop].abs().sum()


@pytest.mark.parametrize("endless", [False, True])
def test_in_a_graph_the_transform_is_a_product_with_the_same_numbers(monkeypatch, endless):
    x, window = hiss(2, 504), torch.hamming_window(64)
    spectrum = stft(x, window, 16)
    sound = istft(spectrum, window, 16, endless=endless)
    monkeypatch.setattr(layers, "is_traced", lambda: True)
    torch.testing.assert_close(stft(x, window, 16), spectrum, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(istft(spectrum, window, 16, endless=endless), sound, atol=1e-6, rtol=1e-5)
