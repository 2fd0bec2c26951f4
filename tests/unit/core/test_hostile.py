"""What somebody writes to make us slow: work stays in proportion to its size."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from grpcbalance import inject, observe_workload
from grpcbalance.names import ANNOTATION_INJECTED
from grpcbalance.optin import read_opt_in
from tests.unit import factories as make

Raw = dict[str, Any]
# A quadratic one takes minutes; a slow machine is no reason to fail.
SECONDS = 2.0


def many_entries() -> Raw:
    env = [{"name": f"V{number % 10_000}", "value": "x"} for number in range(20_000)]
    return make.deployment(client="orders", containers=[make.container(env=env)])


def long_record() -> Raw:
    text = json.dumps({f"c{number}": {"A": "1"} for number in range(12_000)})
    return make.deployment(client="orders", template_annotations={ANNOTATION_INJECTED: text})


def unknown_keys() -> Raw:
    return make.deployment(annotations={f"grpcbalance.dev/{number}{'x' * 60}": "" for number in range(3_000)})


@pytest.mark.parametrize("make_raw", [many_entries, long_record, unknown_keys])
def test_it_takes_no_longer_than_reading_it(make_raw: Any) -> None:
    raw = make_raw()
    began = time.process_time()
    workload = make.workload(raw)
    read_opt_in(workload)
    wanted = {"app": {"GRPC_ORDERS_TARGET": "x"}}
    inject.duplicates(workload, wanted)
    inject.changes(workload, wanted, remove=True)
    observe_workload.carried_over(workload, workload)
    assert time.process_time() - began < SECONDS


def test_a_record_that_is_too_long_is_no_record() -> None:
    workload = make.workload(long_record())
    assert (workload.record, workload.record_malformed) == ((), True)
