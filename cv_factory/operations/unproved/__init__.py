"""What only an AWS account can show, tried: ``make test-aws ENV=… MAX_USD=…``.

Every line of docs/unproved.md is a :class:`.check.Check` or says, as :class:`.check.ByHand`, why no program can try it;
the page is written from here. What a check makes is named ``<name>-<env>-unproved-<run>-…``, tagged, and taken away.
"""

from __future__ import annotations

from collections.abc import Iterator

from cv_factory.operations.unproved import account, definition, endpoint, jobs, network, registry, release
from cv_factory.operations.unproved.check import ByHand, Check, Use

#: Title of a section -> its lines, in the order of the page.
SECTIONS: dict[str, tuple[Check | ByHand, ...]] = {
    module.TITLE: module.ROWS for module in (definition, jobs, network, registry, endpoint, release, account)
}
#: Group -> the instances of what its checks share.
SHARED: dict[str, tuple[Use, ...]] = {endpoint.GROUP: endpoint.SHARED}


def checks() -> Iterator[Check]:
    """Every check, in the order of the page."""
    for rows in SECTIONS.values():
        for row in rows:
            if isinstance(row, Check):
                yield row
