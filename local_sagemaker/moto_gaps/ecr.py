"""ECR.

- A scan of every image has the same invented finding of severity HIGH, and a repository that scans on push has none.
  Here a scan is complete and found nothing, unless :mod:`local_sagemaker.scans` was told otherwise.
- GetDownloadUrlForLayer is missing, and layers are forgotten. Here small ones are kept, as an image's configuration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.core.utils import iso_8601_datetime_without_milliseconds, utcnow
from moto.ecr.exceptions import ScanNotFoundException
from moto.ecr.models import ECRBackend
from moto.ecr.responses import ECRResponse

from local_sagemaker import scans
from local_sagemaker.moto_gaps.patching import replace

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

#: Layers of up to this many bytes keep their content.
_KEPT_BYTES = 1024**2
#: DescribeImageScanFindings: findings of a page unless the request says another number.
_PAGE = 100


class _LayersNotFound(ServiceException):
    code = "LayersNotFoundException"


class _LayerInaccessible(ServiceException):
    code = "LayerInaccessibleException"


def install(platform: Platform) -> None:
    @replace(ECRBackend)
    def complete_layer_upload(self: Any, repository_name: str, upload_id: str, *args: Any, **kwargs: Any) -> Any:
        repository = self.repositories.get(repository_name)
        upload = repository.uploads.get(upload_id) if repository is not None else None
        answer = complete_layer_upload.original(self, repository_name, upload_id, *args, **kwargs)  # type: ignore[attr-defined]
        if upload is not None and len(upload.layer_parts) <= _KEPT_BYTES:
            scans.layers(repository)[answer["layerDigest"]] = bytes(upload.layer_parts)
        return answer

    @replace(ECRResponse)
    def get_download_url_for_layer(self: Any) -> ActionResult:
        name, digest = self._get_param("repositoryName"), self._get_param("layerDigest")
        repository = self.ecr_backend._get_repository(name, self._get_param("registryId"))
        if digest not in repository.layers:
            raise _LayersNotFound(f"The layer '{digest}' does not exist in the repository with name '{name}'")
        if digest not in scans.layers(repository):
            raise _LayerInaccessible(f"The layer '{digest}' has more than {_KEPT_BYTES} bytes: only its size is kept")
        url = f"{platform.endpoint_url}/_local/layers/{self.region}/{name}/{digest}"
        return ActionResult({"downloadUrl": url, "layerDigest": digest})

    @replace(ECRResponse)
    def describe_image_scan_findings(self: Any) -> ActionResult:
        name, wanted = self._get_param("repositoryName"), self._get_param("imageId")
        repository = self.ecr_backend._get_repository(name, self._get_param("registryId"))
        image = repository._get_image(wanted.get("imageTag"), wanted.get("imageDigest"))
        scan = scans.of(image)
        if scan is None and not image.last_scan and not repository.image_scanning_configuration.get("scanOnPush"):
            named = f"{{imageDigest:'{image.image_digest}', imageTag:'{wanted.get('imageTag') or 'null'}'}}"
            raise ScanNotFoundException(image_id=named, repository_name=name, registry_id=repository.registry_id)
        start = int(self._get_param("nextToken") or 0)
        return ActionResult(
            {
                "registryId": repository.registry_id,
                "repositoryName": name,
                "imageId": {key: value for key, value in image.image_id.items() if value},
                **_document(scan or scans.NOTHING_FOUND, start, int(self._get_param("maxResults") or _PAGE)),
            }
        )


def _document(scan: scans.Scan, start: int, size: int) -> dict[str, Any]:
    document: dict[str, Any] = {"imageScanStatus": {"status": scan.status, "description": scan.description}}
    if scan.status not in scans.WITH_FINDINGS:
        return document
    document["imageScanFindings"] = {
        "imageScanCompletedAt": iso_8601_datetime_without_milliseconds(utcnow()),
        "findings": list(scan.findings[start : start + size]),
        "findingSeverityCounts": scan.counts,
    }
    if start + size < len(scan.findings):
        document["nextToken"] = str(start + size)
    return document
