"""The fixtures that all client projects share."""

pytest_plugins = ["client_suite"]
