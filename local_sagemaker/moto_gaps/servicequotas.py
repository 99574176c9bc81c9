"""Service quotas: moto knows those of VPC only, and cannot list or raise what an account has.

Here an account may have :data:`INSTANCES` of every instance type in every kind of job and endpoint, and
:data:`CONCURRENCY` concurrent calls of all serverless endpoints. A request for more is granted at once. Source: Service
Quotas, "Amazon SageMaker", names as the console shows them.
"""

from __future__ import annotations

import functools
import hashlib
import json
from typing import TYPE_CHECKING, Any

from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.responses import ServiceQuotasResponse

from local_sagemaker.moto_gaps.patching import replace

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

SAGEMAKER = "sagemaker"
INSTANCES = 20.0
CONCURRENCY = 10.0
_SERVERLESS = "Maximum total concurrency that can be allocated across all serverless endpoints"
_PAGE = 100
#: Shape of botocore's model -> what its instance types are used for, in the quota's words.
_USES = {
    "ProductionVariantInstanceType": ("endpoint usage",),
    "TrainingInstanceType": ("training job usage", "spot training job usage"),
    "ProcessingInstanceType": ("processing job usage",),
    "TransformInstanceType": ("transform job usage",),
}


def install(platform: Platform) -> None:
    @replace(ServiceQuotasResponse)
    def list_service_quotas(self: Any) -> str:
        params = json.loads(self.body)
        quotas = [_document(self, name) for name in _names(params.get("ServiceCode"))]
        start, size = int(params.get("NextToken") or 0), int(params.get("MaxResults") or _PAGE)
        answer: dict[str, Any] = {"Quotas": quotas[start : start + size]}
        if start + size < len(quotas):
            answer["NextToken"] = str(start + size)
        return json.dumps(answer)

    @replace(ServiceQuotasResponse)
    def get_service_quota(self: Any) -> str:
        params = json.loads(self.body)
        if params.get("ServiceCode") != SAGEMAKER:
            answer: str = get_service_quota.original(self)  # type: ignore[attr-defined]
            return answer
        return json.dumps({"Quota": _document(self, _name(params))})

    @replace(ServiceQuotasResponse)
    def request_service_quota_increase(self: Any) -> str:
        params = json.loads(self.body)
        name = _name(params)
        _raised(self)[name] = float(params["DesiredValue"])
        asked = {"Id": _code(name), "ServiceCode": SAGEMAKER, "QuotaCode": _code(name), "QuotaName": name}
        return json.dumps({"RequestedQuota": {**asked, "DesiredValue": params["DesiredValue"], "Status": "APPROVED"}})


@functools.cache
def _all() -> tuple[str, ...]:
    import botocore.session

    model: Any = botocore.session.get_session().get_service_model("sagemaker")
    instances = (
        f"{kind} for {use}" for shape, uses in _USES.items() for kind in model.shape_for(shape).enum for use in uses
    )
    return tuple(sorted([*instances, _SERVERLESS]))


def _names(service: object) -> tuple[str, ...]:
    if service != SAGEMAKER:
        raise NoSuchResource
    return _all()


def _name(params: dict[str, Any]) -> str:
    for name in _names(params.get("ServiceCode")):
        if _code(name) == params.get("QuotaCode"):
            return name
    raise NoSuchResource


def _code(name: str) -> str:
    return "L-" + hashlib.sha256(name.encode()).hexdigest()[:8].upper()


def _raised(response: Any) -> dict[str, float]:
    found: dict[str, float] = response.backend.__dict__.setdefault("raised", {})
    return found


def _document(response: Any, name: str) -> dict[str, Any]:
    return {
        "ServiceCode": SAGEMAKER,
        "ServiceName": "Amazon SageMaker",
        "QuotaArn": f"arn:aws:servicequotas:{response.region}:{response.current_account}:{SAGEMAKER}/{_code(name)}",
        "QuotaCode": _code(name),
        "QuotaName": name,
        "Value": _raised(response).get(name, CONCURRENCY if name == _SERVERLESS else INSTANCES),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }
