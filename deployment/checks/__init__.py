"""What is looked at before a roll-out and after its traffic has moved.

Nothing here waits, and nothing here decides: a function looks, does the one thing that is due, and says what it found.
Whoever rolls out calls it again while the report is ``pending``, goes on when it is ``ok``, and stops or rolls back
when it has ``failed``.

- :func:`before`: images (ours, for SageMaker's platform, signed, scanned), the bundle in S3, where data and sources
  came from, and, where the settings ask for it, the golden requests on a temporary endpoint of one instance.
- :func:`golden`: the bundle's golden requests on an endpoint that serves it.
- :func:`tidy`: what a temporary endpoint has left; every run ends with it.
- :func:`forget`: a person asks for another try.
"""

from deployment.checks.release import before, golden
from deployment.checks.staging import forget, tidy
from deployment.report import Finding, Report

__all__ = ["Finding", "Report", "before", "forget", "golden", "tidy"]
