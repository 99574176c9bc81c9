# What outlives everything: the data, the artefacts, their logs and their keys.

locals {
  places = {
    account_id = local.names.account_id
    region     = local.names.region
  }

  # Accounts that may read packages; the same list is in the artifact bucket's policy and in the factory's registry.
  readers    = local.settings.release.readers
  key_policy = jsondecode(templatefile("${path.module}/../policies/key.json", local.places))
  key_readers = [for accounts in length(local.readers) == 0 ? [] : [local.readers] : {
    Sid       = "ReadersDecrypt"
    Effect    = "Allow"
    Principal = { AWS = [for account in sort(accounts) : "arn:aws:iam::${account}:root"] }
    Action    = ["kms:Decrypt", "kms:DescribeKey"]
    Resource  = "*"
  }]
}

resource "aws_kms_key" "main" {
  description             = "Data of ${local.names.prefix}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = jsonencode(merge(local.key_policy, { Statement = concat(local.key_policy.Statement, local.key_readers) }))
}

resource "aws_kms_alias" "main" {
  name          = local.names.key_alias
  target_key_id = aws_kms_key.main.key_id
}

resource "aws_kms_key" "signing" {
  description              = "Signatures of images of ${local.names.prefix}"
  customer_master_key_spec = "ECC_NIST_P256"
  key_usage                = "SIGN_VERIFY"
  deletion_window_in_days  = 30
  policy                   = jsonencode(jsondecode(templatefile("${path.module}/../policies/signing-key.json", local.places)))
}

resource "aws_kms_alias" "signing" {
  name          = local.names.signing_key_alias
  target_key_id = aws_kms_key.signing.key_id
}

module "log_bucket" {
  source = "../modules/storage"

  # Logs of accesses keep coming until the bucket that they are about is gone, so nobody could empty it first.
  force_destroy = true

  name            = local.names.log_bucket
  logs_of_account = local.names.account_id
  logs_of_buckets = [local.names.data_bucket, local.names.artifact_bucket]
  expire_days     = { "" = local.settings.operations.log_days }
}

module "data_bucket" {
  source = "../modules/storage"

  name        = local.names.data_bucket
  kms_key_arn = aws_kms_key.main.arn
  logging     = true
  log_bucket  = module.log_bucket.name
}

module "artifact_bucket" {
  source = "../modules/storage"

  name          = local.names.artifact_bucket
  kms_key_arn   = aws_kms_key.main.arn
  logging       = true
  log_bucket    = module.log_bucket.name
  readers       = local.readers
  reader_prefix = "packages/"
  expire_days = {
    "runs/"        = local.settings.operations.runs_days
    "checkpoints/" = local.settings.operations.runs_days
  }
}
