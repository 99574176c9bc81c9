"""User modules: ``code/inference.py`` of a bundle, written for the SageMaker inference toolkit, runs here unchanged.

``requirements`` (its packages) → ``module`` (finding, loading, who takes the context) → ``service`` (a request through
its functions). ``codecs`` are the toolkit's default decoders and encoders without pickle, ``context`` is what the
functions get, ``names`` is what they may import as ``sagemaker_inference``, ``differences`` is where we differ from the
toolkit, and why.
"""
