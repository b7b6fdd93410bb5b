"""Runs and data as tables, figures and a report."""
