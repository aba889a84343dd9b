"""The tests. They run on a real PostgreSQL; see conftest.py."""
