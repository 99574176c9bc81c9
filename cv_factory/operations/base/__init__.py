"""Parts of the base that :mod:`cv_factory.operations.local_base` makes with boto3, as Terraform makes it elsewhere."""
