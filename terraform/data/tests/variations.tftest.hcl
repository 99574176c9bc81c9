# What outlives everything. No account, no network: the provider is a mock.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000" }
  }
}

variables {
  settings_file = "tests/settings.yaml"
}

run "one_key_for_data_and_one_for_signatures" {
  command = plan

  variables {
    environment = "dev"
  }
  assert {
    condition     = aws_kms_key.main.enable_key_rotation && aws_kms_key.main.deletion_window_in_days == 30
    error_message = "The key of the data rotates, and its deletion can be called back for 30 days."
  }
  assert {
    condition     = aws_kms_key.signing.key_usage == "SIGN_VERIFY" && aws_kms_key.signing.customer_master_key_spec == "ECC_NIST_P256"
    error_message = "The signing key signs, with the curve that the deployer checks."
  }
  assert {
    condition     = [for one in jsondecode(aws_kms_key.main.policy).Statement : one.Sid if one.Sid == "ReadersDecrypt"] == []
    error_message = "Nobody else decrypts unless release.readers names them."
  }
}

run "readers_may_decrypt" {
  command = plan

  variables {
    environment = "prod"
  }
  assert {
    condition = [
      for one in jsondecode(aws_kms_key.main.policy).Statement : one if one.Sid == "ReadersDecrypt"
      ] == [{
        Sid       = "ReadersDecrypt"
        Effect    = "Allow"
        Principal = { AWS = ["arn:aws:iam::111122223333:root", "arn:aws:iam::210987654321:root"] }
        Action    = ["kms:Decrypt", "kms:DescribeKey"]
        Resource  = "*"
    }]
    error_message = "Readers of the packages must decrypt them, and do no more."
  }
}
