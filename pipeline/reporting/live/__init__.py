"""The page on which one draws a digit: published models in the reader's browser. JavaScript beside this file."""
