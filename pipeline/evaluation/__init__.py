"""Likelihoods with their uncertainty, code lengths, and the images behind Figures 1 and 2."""
