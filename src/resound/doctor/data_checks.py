"""The checks of data, in the order of their codes; each a pure function of `DataEvidence`."""

from __future__ import annotations

from resound.doctor import file_checks, pair_checks, set_checks

CHECKS = tuple(sorted((*pair_checks.CHECKS, *file_checks.CHECKS, *set_checks.CHECKS), key=lambda check: check.code))
