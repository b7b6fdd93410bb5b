"""What a stage takes of the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from conftest import ROOT

from stages.machine import resolve_bfloat16

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


@pytest.mark.parametrize("has_it", [True, False])
def test_auto_is_bfloat16_only_where_the_gpu_has_it(has_it, monkeypatch):
    def supported(including_emulation=True):
        return has_it or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert resolve_bfloat16("auto", torch.device("cuda")) == has_it
    assert resolve_bfloat16("bfloat16", torch.device("cuda"))
    assert not resolve_bfloat16("float32", torch.device("cuda"))
