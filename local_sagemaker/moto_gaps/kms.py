"""KMS.

- RotationPeriodInDays gets lost, so that Terraform plans a change each time.
- Verify answers ``SignatureValid: false``; AWS raises KMSInvalidSignatureException.
- moto makes an RSA key pair for each symmetric key too, and never uses it: a quarter of a second each.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import JsonRESTError
from moto.kms import models
from moto.kms.responses import KmsResponse

from local_sagemaker.moto_gaps.patching import put, replace

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

#: KMS's default.
_DAYS = 365


def install(platform: Platform) -> None:
    def key_of(self: Any) -> Any:
        return self.kms_backend.keys[self.kms_backend.get_key_id(self._get_param("KeyId"))]

    def generate_private_key(key_spec: str) -> Any:
        asymmetric = key_spec.startswith(("RSA_", "ECC_"))
        return original_generate(key_spec) if asymmetric else None

    original_generate = put(models, "generate_private_key", generate_private_key)

    @replace(KmsResponse)
    def verify(self: Any) -> Any:
        answer = verify.original(self)  # type: ignore[attr-defined]
        if not json.loads(answer)["SignatureValid"]:
            raise JsonRESTError("KMSInvalidSignatureException", "")
        return answer

    @replace(KmsResponse)
    def enable_key_rotation(self: Any) -> Any:
        answer = enable_key_rotation.original(self)  # type: ignore[attr-defined]
        key_of(self).rotation_period = int(self._get_param("RotationPeriodInDays") or _DAYS)
        return answer

    @replace(KmsResponse)
    def get_key_rotation_status(self: Any) -> Any:
        answer = json.loads(get_key_rotation_status.original(self))  # type: ignore[attr-defined]
        key = key_of(self)
        answer["KeyId"] = key.arn
        if answer["KeyRotationEnabled"]:
            answer["RotationPeriodInDays"] = getattr(key, "rotation_period", _DAYS)
        return json.dumps(answer)
