"""What runs inside the training image: images in, a sealed model bundle and its evaluation out.

``preprocess`` (decode, resize, shards) → ``train`` (fit, export, calibrate, seal) → ``evaluate`` (score the bundle
through the code that will serve it). ``recipes`` and ``dataset`` are light, so that the command line can import them.
"""
