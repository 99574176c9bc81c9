"""What the verbs do, without a screen: each function returns a value and tells its progress to a :class:`Reporter`."""
