"""The states of a release, as the ledger records them."""

OPENED, STARTED = "opened", "started"
SUCCEEDED, FAILED, SUPERSEDED = "succeeded", "failed", "superseded"
#: The checks refused it, so it was never begun.
REFUSED = "refused"
