"""Publishing a run and verifying what was published. checks: which runs may be; weights: how they are stored;
verification: published numbers beside a fresh evaluation.
"""
