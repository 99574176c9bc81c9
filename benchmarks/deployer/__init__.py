"""What the deployer's Lambda costs beside boto3; see ``__main__``."""
