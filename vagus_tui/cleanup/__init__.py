"""The guarded clean-up: removing v1's kept tables, and old archives, once nobody will want to go back."""
