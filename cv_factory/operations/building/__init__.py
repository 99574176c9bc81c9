"""Building the two container images, and bringing them into an environment's registry.

- ``context``: the files that a build sees.
- ``engine``: the Docker command line.
- ``recipe``: one image from the sources, with its labels.
- ``sbom``: the list of what is in an image.
- ``publish``: push, read back, sign.
"""
