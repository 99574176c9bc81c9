# What a bucket always has, and what it has on demand.

mock_provider "aws" {
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::widgets" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  name = "widgets-dev-data-123456789012"
}

run "private_versioned_and_encrypted" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/0"
  }
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "Nothing of it may be public."
  }
  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled" && !aws_s3_bucket.this.force_destroy
    error_message = "It keeps versions, and terraform destroy fails while it holds any."
  }
  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).bucket_key_enabled
    error_message = "With a key of one's own, a bucket key saves a KMS call for each object."
  }
  assert {
    condition     = [for one in data.aws_iam_policy_document.this.statement : one.sid] == ["TlsOnly"]
    error_message = "Its policy refuses plain HTTP and gives nobody anything."
  }
  assert {
    condition     = length(aws_s3_bucket_logging.this) == 0
    error_message = "Accesses are logged on demand."
  }
}

run "readers_read_below_their_prefix_only" {
  command = apply

  variables {
    readers       = ["111122223333"]
    reader_prefix = "packages/"
  }
  assert {
    condition = jsonencode([for one in data.aws_iam_policy_document.this.statement : [one.sid, one.actions, one.resources]]) == jsonencode([
      ["TlsOnly", ["s3:*"], ["arn:aws:s3:::widgets", "arn:aws:s3:::widgets/*"]],
      ["ReadersRead", ["s3:GetObject"], ["arn:aws:s3:::widgets/packages/*"]],
    ])
    error_message = "Readers get objects below the prefix, and list nothing."
  }
}

run "logs_come_from_the_buckets_that_are_named" {
  command = apply

  variables {
    logs_of_account = "123456789012"
    logs_of_buckets = ["theirs", "ours"]
  }
  assert {
    condition = {
      for one in one([for one in data.aws_iam_policy_document.this.statement : one if one.sid == "AccessLogs"]).condition :
      one.variable => join(" ", one.values)
      } == {
      "aws:SourceAccount" = "123456789012"
      "aws:SourceArn"     = "arn:aws:s3:::ours arn:aws:s3:::theirs"
    }
    error_message = "S3 writes the logs of these buckets of this account, and of no other."
  }
}

run "expiry_has_a_rule_a_prefix" {
  command = plan

  variables {
    expire_days = { "runs/" = 45, "" = 30 }
  }
  assert {
    condition     = toset([for one in aws_s3_bucket_lifecycle_configuration.this.rule : one.id]) == toset(["leftovers", "expire", "expire-runs"])
    error_message = "One rule a prefix, besides the one for leftovers."
  }
}

run "a_bucket_has_a_bucket_s_name" {
  command = plan

  variables {
    name = "No_Bucket"
  }
  expect_failures = [var.name]
}

run "readers_need_a_prefix" {
  command = plan

  variables {
    readers = ["111122223333"]
  }
  expect_failures = [var.reader_prefix]
}

run "days_are_whole" {
  command = plan

  variables {
    expire_days = { "runs/" = 0.5 }
  }
  expect_failures = [var.expire_days]
}
