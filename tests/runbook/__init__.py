"""Tests of the runbook: complete, precise, and right about dates."""
