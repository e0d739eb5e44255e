"""The only Ray code: settings, the wiring, and one thin file per deployment."""
