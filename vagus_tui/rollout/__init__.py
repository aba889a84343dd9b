"""Bringing the new app out: the commands of its update, run in a checkout of the app with what they say kept."""
