"""The past of a stream in pieces: what is read late is what was written, whatever the steps."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.models.kernels.delay import SHORT_FRAMES, delayed, extended  # noqa: E402


@pytest.mark.parametrize("steps", [[1] * 60, [6] * 10, [16] * 5, [40, 1, 3, 20, 16, 1], [200]])
@pytest.mark.parametrize("context", [0, 2, 16, 37])
def test_what_is_read_late_is_what_was_written(steps, context):
    whole = torch.arange(1.0, sum(steps) + 1).view(1, -1, 1)
    before = torch.zeros(1, context, 1)
    pieces, at = (before,), 0
    for n_frames in steps:
        pieces = extended(pieces, whole[:, at : at + n_frames], context + n_frames)
        at += n_frames
        for delay in {0, context // 2, context}:
            expected = torch.cat([before, whole], dim=1)[:, context + at - n_frames - delay : context + at - delay]
            assert torch.equal(delayed(pieces, n_frames, delay), expected)
        n_kept = sum(piece.shape[1] for piece in pieces)
        assert n_kept < context + n_frames + max(context, SHORT_FRAMES + max(steps))


def test_long_pieces_are_not_copied_and_short_ones_are_joined():
    long = [torch.randn(1, SHORT_FRAMES, 2) for _ in range(3)]
    pieces = extended(tuple(long[:2]), long[2], 3 * SHORT_FRAMES)
    assert all(one is other for one, other in zip(pieces, long, strict=True))
    assert delayed(pieces, SHORT_FRAMES, SHORT_FRAMES).data_ptr() == long[1].data_ptr()
    one = torch.randn(1, 1, 2)
    assert [piece.shape[1] for piece in extended((*long, one), one, 3 * SHORT_FRAMES)] == [SHORT_FRAMES] * 3 + [2]
