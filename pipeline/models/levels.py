"""What 8-bit colours are."""

LEVELS = 256
"""Values of a channel."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in the gray of a colour (ITU-R BT.601): of a grayscale window too (Appendix B)."""
