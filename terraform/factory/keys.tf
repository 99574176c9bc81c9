# Made by terraform/data; looked up by name, so that neither root reads the other's state.

data "aws_kms_alias" "main" {
  name = local.names.key_alias
}

data "aws_kms_alias" "signing" {
  name = local.names.signing_key_alias
}

locals {
  key_arn         = data.aws_kms_alias.main.target_key_arn
  signing_key_arn = data.aws_kms_alias.signing.target_key_arn
}
