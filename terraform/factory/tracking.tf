# An MLflow tracking server of one's own (tracking.mlflow: create). It costs by the hour, so it is off by default.

locals {
  # What jobs get: the ARN is known before the server is there, so the definition needs nothing of Terraform's.
  tracking_server_arn = lookup({ none = "", create = local.names.tracking_server_arn }, local.settings.tracking.mlflow, local.settings.tracking.mlflow)
  make_tracking       = local.settings.tracking.mlflow == "create"
}

resource "aws_sagemaker_mlflow_tracking_server" "this" {
  count = local.make_tracking ? 1 : 0

  tracking_server_name = local.names.tracking_server
  artifact_store_uri   = "s3://${local.names.artifact_bucket}/mlflow"
  role_arn             = module.identity.arns["tracking"]
}
