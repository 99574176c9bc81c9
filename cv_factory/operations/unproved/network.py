"""A network of the environment's own: a second base would have to be applied for it, so a person tries these."""

from __future__ import annotations

from cv_factory.operations.unproved.check import ByHand, Check

TITLE = "Network"
_WHY = "it takes a base of its own (`network.vpc: create`), which costs by the hour: apply one, run the pipeline in it"
ROWS: tuple[Check | ByHand, ...] = (
    ByHand(
        "`infra apply` with `network.vpc: create`",
        "every interface endpoint is `available` in the first two zones that all their services are in"
        " (`DescribeVpcEndpointServices`), and the instance types of the settings are there too",
        _WHY,
    ),
    ByHand(
        "a run in it, `network.nat: false`",
        "ends well: images are pulled, data is read and written through the gateway, logs and metrics arrive",
        _WHY,
    ),
    ByHand(
        "the same with `network.endpoints: none`",
        "may end well too: AWS's pages ask for S3 alone. Then the endpoints of `platform` in `terraform/endpoints.json`"
        " are not needed",
        _WHY,
    ),
    ByHand(
        "the endpoint policy of S3's gateway",
        "`s3:*` on the environment's buckets for principals of the account is enough; a call to another bucket is"
        " refused",
        _WHY,
    ),
    ByHand(
        "a run with an MLflow server in it",
        "the bundle is logged only where the server's artefacts lie in a bucket that the job's role and the gateway's"
        " policy allow",
        _WHY,
    ),
    ByHand(
        "`infra destroy` after the endpoint is gone",
        "its network interfaces go within minutes, and the subnets with them",
        _WHY,
    ),
)
