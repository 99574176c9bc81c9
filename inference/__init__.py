"""What runs inside the serving image: bytes of images in, predictions out. No torch.

``images`` (checks, decoding, resizing) → ``predictor`` (ONNX Runtime) → ``handler`` (requests and answers, in the form
of the SageMaker inference toolkit) → ``server`` (port 8080). ``training`` evaluates through the same modules.
"""
