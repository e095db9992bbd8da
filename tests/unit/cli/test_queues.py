"""What waits where, and who could take it."""

from __future__ import annotations

from types import SimpleNamespace

from daemons.cli.listing import Cell
from daemons.cli.queues import single_of, tagged_of, units_of

CPU, GPU = "CPU (ONNX)", "GPU (ONNX)"
STATUS = {
    "capability_queues": {CPU: 3, GPU: 1},
    "oldest_waits_s": {CPU: 61.0, "worker-1": 5.0},
    "tagged_queues": [
        {"compute_unit": CPU, "tags": ["lab"], "queue_size": 1, "oldest_wait_s": 3700.0},
        {"compute_unit": CPU, "tags": ["lab", "quiet"], "queue_size": 2, "oldest_wait_s": None},
    ],
    "worker_queues": {
        "worker-1": {"device_name": "mac", "queue_size": 4},
        "worker-2": {"device_name": "pc", "queue_size": 0},
    },
}
ABLE = [SimpleNamespace(capabilities=[CPU], tags=["lab"]), SimpleNamespace(capabilities=[CPU, "NPU"], tags=[])]


def test_each_unit_has_what_waits_for_it_how_long_and_who_could_take_it():
    assert units_of(STATUS, ABLE) == [
        (CPU, 3, "1 min", Cell("2")),
        (GPU, 1, "", Cell("0", "red")),
        ("NPU", 0, "", Cell("1")),
    ]


def test_tags_are_all_wanted():
    assert tagged_of(STATUS, ABLE) == [(CPU, "lab", 1, "1 h", Cell("1")), (CPU, "lab, quiet", 2, "", Cell("0", "red"))]


def test_single_devices_are_named_where_something_waits_for_them():
    assert single_of(STATUS) == [("worker-1", "mac", 4, "5 s")]
