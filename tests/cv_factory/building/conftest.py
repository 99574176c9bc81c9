"""Settings, and a session whose calls are recorded: those of the base's tests."""

from tests.cv_factory.base.conftest import other_settings, session, settings

__all__ = ["other_settings", "session", "settings"]
