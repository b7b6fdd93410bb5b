"""Objectives, the training loop, its checkpoints and its history."""
