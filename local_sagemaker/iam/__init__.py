"""IAM enforced: who asks, for which action on which resource, and whether their policies allow it.

- :mod:`~local_sagemaker.iam.requests` reads an HTTP request: service, operation, parameters, access key.
- :mod:`~local_sagemaker.iam.authorisations` says which actions on which resources an API call needs, from AWS's own
  Service Authorization Reference (``actions.json``) and what that page leaves open.
- :mod:`~local_sagemaker.iam.principals` finds the caller's role with its policies and boundary.
- :mod:`~local_sagemaker.iam.on_behalf` holds what SageMaker does with a job's role, each row with its AWS page.
- :mod:`~local_sagemaker.iam.access` decides, refuses in AWS's words, and records what was asked.
"""
