"""What every task shares."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.training.config import load_run_config  # noqa: E402
from resound.training.tasks import Separate, follow  # noqa: E402


def batch_of(clean):
    """Return a batch of mixtures ``(batch, 1, time)`` and their sources."""
    return {"degraded": clean.sum(dim=1, keepdim=True), "clean": clean, "bandwidth_hz": None}


class Voices(torch.nn.Module):
    """Gives what it was told to."""

    sample_rate = 8000

    def __init__(self, voices):
        super().__init__()
        self.voices = torch.nn.Parameter(voices)

    def forward(self, _):
        """Return ``(batch, source, time)``."""
        return self.voices


def test_a_voice_alone_is_wanted_on_one_output_and_nothing_on_the_other(plan):
    """Whichever output that is; and what should be silent is pulled to silence, by as much as any voice to its own."""
    generator = torch.Generator().manual_seed(0)
    clean = 0.1 * torch.randn(2, 2, 8000, generator=generator)
    clean[0, 1] = 0
    config = plan("loss=[{kind: si_sdr_with_level, max_si_sdr_db: 30}]", task="separate")
    right = Separate(Voices(clean.clone()), config).loss_of_each(batch_of(clean))
    torch.testing.assert_close(right, torch.tensor([-25.0, -30.0]), rtol=0, atol=0.01)  # of 30 and 20, of 30 and 30
    turned = Separate(Voices(clean.flip(1)), config).loss_of_each(batch_of(clean))
    torch.testing.assert_close(turned, right)

    leaking = clean.clone()
    leaking[0, 1] = 0.1 * clean[0, 0]
    task = Separate(Voices(leaking), config)
    loss = task.loss_of_each(batch_of(clean))
    assert -25 < float(loss[0].detach()) < -20
    loss.sum().backward()
    gradient = task.network.voices.grad
    assert bool(torch.isfinite(gradient).all())
    assert float((gradient[0, 1] * leaking[0, 1]).sum()) > 0  # less of it is better


def test_the_preset_learns_where_there_are_no_rooms_and_no_noise(corpora, tmp_path):
    lines = [line for line in corpora[0].read_text().splitlines() if '"noise"' not in line]
    speech = tmp_path / "speech.jsonl"
    speech.write_text("\n".join(lines) + "\n")
    data = load_run_config("separate", corpora=[speech]).mixing
    assert (data.alone, [step.name for step in data.chain.steps], data.source_chain) == (0.08, ["resample"], None)
    both = load_run_config("separate", corpora=corpora).mixing
    assert [step.name for step in both.chain.steps] == ["noise", "resample"] and both.source_chain is None  # no rooms


def test_the_mean_of_weights_keeps_the_mean_of_what_norms_measured():
    mean, network = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    with torch.no_grad():
        network.weight.fill_(3.0)
        network.running_mean.fill_(1.0)
        network.num_batches_tracked.fill_(7)
    follow(mean, network, 0.75)
    assert torch.equal(mean.weight, torch.full((2,), 1.5))
    assert torch.equal(mean.running_mean, torch.full((2,), 0.25))
    assert int(mean.num_batches_tracked) == 7
