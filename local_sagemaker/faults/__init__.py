"""Faults by name and seed: what AWS does on a bad day, on demand (``PUT /_local/faults``). None is on by default.

``registry`` keeps them and says whether one strikes; ``answers`` are the errors that callers see, in each service's
form; ``roles`` makes new roles not assumable for a while. Where each strikes is in the module that it concerns.
"""

from local_sagemaker.faults.registry import NAMES, BadFault, Fault, Faults

__all__ = ["NAMES", "BadFault", "Fault", "Faults"]
