terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 6.0.0"
    }
  }

  # Bucket, key and region of the state: cv-factory infra fills them in (docs: terraform/README.md says how by hand).
  backend "s3" {}
}

provider "aws" {
  region              = module.settings.names.region
  allowed_account_ids = [module.settings.names.account_id]

  default_tags {
    tags = module.settings.names.tags
  }
}
