"""What a stage takes of the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from conftest import ROOT

POOLS = """
import json, stages, stages.evaluate, torch, sklearn.linear_model
from threadpoolctl import threadpool_info
print(json.dumps([torch.get_num_threads(), *(pool["num_threads"] for pool in threadpool_info())]))
"""


def test_a_stage_computes_with_one_thread_whatever_the_environment_says():
    environment = os.environ | {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    threads = json.loads(subprocess.check_output([sys.executable, "-c", POOLS], env=environment, cwd=ROOT))
    assert len(threads) > 2  # torch's, and those of BLAS and OpenMP
    assert set(threads) == {1}
