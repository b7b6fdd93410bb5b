"""What trainings left behind, read and named: for the report, for publishing and for verification."""
