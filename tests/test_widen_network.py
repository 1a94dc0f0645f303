"""A wider network does what the narrower one did, and its copies learn apart."""

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.models import build  # noqa: E402

SCRIPTS = Path(__file__).parent.parent / "scripts"
SIZES = {"sample_rate": 8000, "hop": 80, "n_narrow": 16, "n_bands": 24, "channels": (6, 10), "band_hidden": 5}
SIZES |= {"n_blocks": 2}
WIDER = {"channels": [8, 23], "time_hidden": 14, "band_hidden": 11}


@pytest.fixture
def widen(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import widen_network

    yield widen_network
    sys.modules.pop("widen_network")


def network(**more):
    torch.manual_seed(0)
    made = build("band_rnn", **SIZES, **more)
    for _ in range(3):  # norms that have measured something
        made.train()(0.1 * torch.randn(2, 1, 4000))
    return made


@pytest.mark.parametrize("more", [{}, {"n_sources": 2, "both_ways": True, "time_hidden": 7}])
def test_the_function_stays(widen, more):
    before = network(**more)
    after = widen.widened(before, WIDER, torch.Generator().manual_seed(3))
    assert sum(p.numel() for p in after.parameters()) > 2 * sum(p.numel() for p in before.parameters())
    assert widen.difference(before, after) < 1e-5


@pytest.mark.parametrize("more", [{}, {"both_ways": True, "time_hidden": 7}])
def test_behind_a_denoiser_it_does_with_what_came_in_what_it_did(widen, more):
    before = network(**more).eval()
    after = widen.behind_a_denoiser(before)
    noisy = 0.1 * torch.randn(1, 1, 4000, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        # Of the same loudness: the level that features are divided by is that of both.
        made = after(torch.cat([noisy.flip(-1).roll(2000, -1), noisy], dim=1))
        same = after(noisy.expand(-1, 2, -1))
        expected = before(noisy)
    assert torch.allclose(same, expected, atol=1e-6)
    assert (made - expected).norm() < 0.1 * expected.norm()
    with pytest.raises(ValueError, match="has 2 channels already"):
        widen.behind_a_denoiser(after)


def test_blocks_that_are_added_add_nothing_and_learn(widen):
    before = network()
    after = widen.widened(before, {**WIDER, "n_blocks": 4}, torch.Generator().manual_seed(3))
    assert widen.difference(before, after) < 1e-5
    again = widen.widened(before, {**WIDER, "n_blocks": 4}, torch.Generator().manual_seed(3)).state_dict()
    assert all(torch.equal(weights, again[name]) for name, weights in after.state_dict().items())
    optimiser = torch.optim.SGD(after.parameters(), lr=0.1)
    for _ in range(2):  # the norms first, then what is before them
        optimiser.zero_grad()
        after.train()(0.1 * torch.randn(2, 1, 4000)).square().mean().backward()
        optimiser.step()
    assert all(bool((p.grad != 0).any()) for p in after.blocks[3].parameters())
    with pytest.raises(ValueError, match="n_blocks is 2, 1 is less; give as many or more"):
        widen.widened(before, {"n_blocks": 1}, torch.Generator())


def test_copies_learn_apart(widen):
    after = widen.widened(network(), WIDER, torch.Generator().manual_seed(3))
    after.train()(0.1 * torch.randn(2, 1, 4000, generator=torch.Generator().manual_seed(1))).square().mean().backward()
    for name, weights in after.named_parameters():
        if name.endswith(("enter.0.weight", "linear.weight")):
            rows = weights.grad.flatten(1)
            apart = torch.cdist(rows, rows) + 1e9 * torch.eye(len(rows))
            assert float(apart.min()) > 1e-3 * float(rows.norm(dim=1).mean()), name


def test_it_takes_the_command_line(widen, tmp_path, monkeypatch, capsys):
    from resound.checkpoint import load, save_model

    save_model(tmp_path / "narrow", network())
    words = ["widen", str(tmp_path / "narrow"), str(tmp_path / "wide"), "--band-hidden", "9"]
    monkeypatch.setattr(sys, "argv", words)
    widen.main()
    assert "parameters to" in capsys.readouterr().out
    assert load(tmp_path / "wide").config.band_hidden == 9
    monkeypatch.setattr(sys, "argv", [*words[:2], str(tmp_path / "other"), "--band-hidden", "2"])
    with pytest.raises(SystemExit, match="band_hidden is 5, 2 is less; give as much or more"):
        widen.main()
    assert not (tmp_path / "other").exists()
