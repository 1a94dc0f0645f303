"""Batches are the same for any number of workers, for ranks together, and after a resume."""

import hashlib

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from torch.utils.data import DataLoader  # noqa: E402

from resound.mixing.config import EnhancementConfig  # noqa: E402
from resound.training.dataset import ExampleDataset, ExampleSampler, RunSampler  # noqa: E402


@pytest.fixture
def dataset(speech_corpus) -> ExampleDataset:
    chain = [{"hiss": {"snr_db": [5, 15]}}]
    basis = {"sample_rate": 8000, "segment_seconds": 0.5, "n_examples": 16, "chain": chain}
    return ExampleDataset(EnhancementConfig.model_validate(basis | {"clean": {"corpus": speech_corpus}}))


def batches(dataset, sampler, *, n_workers: int = 0, batch_size: int = 4) -> list[str]:
    loader = DataLoader(dataset, batch_size=batch_size, sampler=sampler, num_workers=n_workers)
    return [hashlib.sha256(batch["degraded"].numpy().tobytes()).hexdigest() for batch in loader]


def test_a_batch_has_the_shapes_of_the_contract(dataset):
    batch = next(iter(DataLoader(dataset, batch_size=4, sampler=ExampleSampler(len(dataset)))))
    assert batch["degraded"].shape == batch["clean"].shape == (4, 1, 4000)
    assert batch["degraded"].dtype == torch.float32
    assert batch["bandwidth_hz"].tolist() == [4000.0] * 4
    assert batch["index"].tolist() == [0, 1, 2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_the_number_of_workers_changes_no_batch(dataset, n_workers):
    sampler = ExampleSampler(len(dataset), epoch=2)
    assert batches(dataset, sampler, n_workers=n_workers) == batches(dataset, sampler)


def test_a_resume_goes_on_with_the_next_batch(dataset):
    whole = batches(dataset, ExampleSampler(16, epoch=1))
    assert batches(dataset, ExampleSampler(16, epoch=1, start=8)) == whole[2:]


def test_ranks_together_have_the_batch_of_one_rank_twice_as_large(dataset):
    alone = [batch["index"].tolist() for batch in DataLoader(dataset, batch_size=8, sampler=ExampleSampler(16))]
    samplers = [ExampleSampler(16, rank=rank, n_ranks=2) for rank in (0, 1)]
    ranks = [
        [batch["index"].tolist() for batch in DataLoader(dataset, batch_size=4, sampler=sampler)]
        for sampler in samplers
    ]
    assert [sorted(one + other) for one, other in zip(*ranks, strict=True)] == alone


def test_epochs_differ(dataset):
    sampler = ExampleSampler(16)
    first = batches(dataset, sampler)
    sampler.set_epoch(1)
    assert not set(first) & set(batches(dataset, sampler))


def test_what_is_no_key_and_no_start_is_refused(dataset):
    with pytest.raises(TypeError, match=r"a key is \(epoch, index\), not 5; take"):
        dataset[5]
    with pytest.raises(ValueError, match="epoch is 0, start -2; both count from 0"):
        ExampleSampler(16, start=-2)


def test_a_run_goes_through_epoch_after_epoch_or_through_the_first_again():
    whole = list(RunSampler(4, 10))
    assert whole == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1)]
    assert list(RunSampler(4, 10, start=6)) == whole[6:]
    ranks = [list(RunSampler(4, 10, rank=rank, n_ranks=2)) for rank in (0, 1)]
    assert [key for pair in zip(*ranks, strict=True) for key in pair] == whole
    assert list(RunSampler(4, 10, same_every_epoch=True)) == [(0, index) for _, index in whole]
    assert len(RunSampler(4, 10, start=6)) == 4
