"""The bodies of the REST API, validated once at its edge and trusted inside.

Requests of people and scripts refuse unknown keys, so that a misspelt option is found and not ignored. Requests of
workers accept them, so that a newer worker can talk to an older orchestrator.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from daemons.core.lifecycle import SettableStatus
from daemons.core.naming import Labels, ModelUrl, Tags, Title
from daemons.core.unit_names import UnitName

PROTOCOL_VERSION: Final = 1
"""What a worker and an orchestrator must have in common. Raised when an old partner would misunderstand a new one."""

MAX_JOBS: Final = 100_000
MAX_RUNS: Final = 100_000
MAX_BODY_BYTES: Final = 8 * 2**20
MAX_PRIORITY: Final = 100
DEFAULT_TIMEOUT_S: Final = 3600.0

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Identifier = Annotated[str, Meta(min_length=1, max_length=200)]


Size = Annotated[int, Meta(ge=0, le=2**31)]


class InputSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one input of a model is to be fed with; what is not said is chosen as for an input without a word."""

    shape: Annotated[list[Size], Meta(max_length=32)] | None = None
    range: Annotated[list[float], Meta(min_length=2, max_length=2)] | None = None
    """Least and largest value of the random data."""
    value: bool | int | float | str | None = None
    """One value for every element, instead of random data."""


class Extend(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run that is still noisy after its `num_inference_runs` may go on, within these limits."""

    max_runs: Annotated[int, Meta(ge=1, le=MAX_RUNS)]
    """Runs in all."""
    max_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    """Of timed runs in all."""


GraphOptimization = Literal["disabled", "basic", "extended", "all"]
ExecutionMode = Literal["sequential", "parallel"]
PlacementPolicy = Literal["majority", "strict", "any"]
Precision = Literal["full", "reduced"]
EngineVersion = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}==[0-9][0-9A-Za-z.!+]{0,99}(\.\*)?$",
        extra={"allowed": "a package and its version, such as `onnxruntime==1.20.1` or `onnxruntime==1.20.*`"},
    ),
]
Inputs = Annotated[dict[Annotated[str, Meta(max_length=500)], InputSpec], Meta(max_length=100)]
CredentialName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
Devices = Annotated[int, Meta(ge=1, le=MAX_JOBS)] | Literal["any", "every"]


class JobSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One job as a user asks for it. Jobs of a campaign with equal specs share one copy of it in the store."""

    compute_unit: Name | None = None
    """Required unless `worker_id` is given; then the device's first unit is meant."""
    worker_id: Identifier | None = None
    """Only this device may run the job."""
    tags: Tags = []
    """Only a device that has all of them may run the job."""
    devices: Devices = "any"
    """any: one job, for whichever device comes first. every: one for each device that could run it and is not offline
    when the campaign is accepted. A number: one for each of so many of them, those first that are free."""
    model_url: ModelUrl | None = None
    """Another model than the campaign's."""
    num_inference_runs: Annotated[int, Meta(ge=1, le=MAX_RUNS)] = 10
    num_load_runs: Annotated[int, Meta(ge=1, le=1000)] = 5
    warmup_runs: Annotated[int, Meta(ge=0, le=10_000)] | None = None
    """None: until the runs have settled."""
    threads: Annotated[int, Meta(ge=1, le=1024)] | None = None
    """Threads inside one operator. None: the engine's own choice."""
    timeout_seconds: Annotated[float, Meta(gt=0, le=604_800)] = DEFAULT_TIMEOUT_S
    """From the start of the attempt on the device, the model's download included."""
    priority: Annotated[int, Meta(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0
    """Higher goes first."""
    inputs: Inputs = {}
    """Input name → what to feed it with."""
    inputs_url: Annotated[str, Meta(min_length=1, max_length=8192)] | None = None
    """A .npz file of numpy arrays by input name, fetched like a model."""
    batch_size: Annotated[int, Meta(ge=1, le=65_536)] | None = None
    """The size of the inputs' batch dimension, where the model leaves it open."""
    graph_optimization: GraphOptimization | None = None
    execution_mode: ExecutionMode | None = None
    """Whether independent operators may run side by side. None, for both: the engine's own choice."""
    cold_file: bool = False
    """Load the model with its file out of the page cache, where the system allows that."""
    extend: Extend | None = None
    placement: PlacementPolicy = "majority"
    """How much of the graph the unit's own provider must have taken for the figures to count: at least half of the
    nodes, every node, or any number of them."""
    io_binding: bool = False
    """Leave the transfer to and from the device out of the timed run: inputs and outputs lie there."""
    check_outputs: bool = False
    """Compare the outputs with those of the CPU reference, and report the differences."""
    engine_version: EngineVersion | None = None
    """Run with this version of the engine, in an environment of its own, where the worker allows that."""
    precision: Precision | None = None
    """full: compute in the types that the model is written in. reduced: in narrower ones, where the hardware is
    faster in them. None: as the engine is documented to."""


class Matrix(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Every combination of these makes a job: of models, of compute units, of devices and of options."""

    models: Annotated[list[ModelUrl], Meta(min_length=1, max_length=1000)] | None = None
    """None: the campaign's own."""
    compute_units: Annotated[list[Name], Meta(min_length=1, max_length=50)]
    devices: Devices | Annotated[list[Identifier], Meta(min_length=1, max_length=10_000)] = "any"
    """As a job says it; or a list of workers, by their identifiers."""
    tags: Tags = []
    """Only devices that have all of them."""
    options: Annotated[list[JobSpec], Meta(min_length=1, max_length=1000)] = msgspec.field(
        default_factory=lambda: [JobSpec()]
    )
    """What else a job may say: each entry makes jobs of its own."""


class Webhook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told that a campaign has ended."""

    url: Annotated[str, Meta(min_length=1, max_length=2048)]
    """http or https, on a host that the orchestrator's `webhooks.allowed_hosts` names."""


class CampaignRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of `POST /api/campaigns`. It makes the jobs that are listed, and those of its matrix."""

    model_url: ModelUrl | None = None
    """May be left out where each job and the matrix name models of their own."""
    jobs: Annotated[list[JobSpec], Meta(max_length=MAX_JOBS)] = []
    matrix: Matrix | None = None
    name: Title | None = None
    """What people call the campaign. Several may have the same."""
    labels: Labels = {}
    """What to find it by, such as its branch."""
    credentials: CredentialName | None = None
    """The name under which each worker keeps headers for the model's source."""
    webhook: Webhook | None = None
    """Who is told, by a signed message, when the campaign has ended and its results are whole."""


class DeviceInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a device is. The first four keys are the ones that the CSV shows."""

    soc: Name | None = msgspec.field(name="Soc", default=None)
    ram: str | float | int | None = msgspec.field(name="Ram", default=None)
    """GB, as the device's owner would say it."""
    device_os: Name | None = msgspec.field(name="DeviceOs", default=None)
    udid: Annotated[str, Meta(min_length=1, max_length=200)] | None = msgspec.field(name="UDID", default=None)
    """The device's identity: registering with it again is the same worker."""
    device_os_version: Name | None = msgspec.field(name="DeviceOsVersion", default=None)
    hardware_model: Name | None = msgspec.field(name="HardwareModel", default=None)
    architecture: Name | None = msgspec.field(name="Architecture", default=None)
    physical_cores: int | None = msgspec.field(name="PhysicalCores", default=None)
    logical_cores: int | None = msgspec.field(name="LogicalCores", default=None)
    engines: dict[str, str] = msgspec.field(name="Engines", default_factory=dict)
    """Engine name → version."""
    gpus: list[Name] = msgspec.field(name="Gpus", default_factory=list)
    """Name and driver of each GPU that the device tells of."""
    benchfleet: Name | None = msgspec.field(name="Benchfleet", default=None)
    """The worker's own version."""


class RegisterRequest(Struct, frozen=True, kw_only=True):
    """The body of `POST /api/register`."""

    device_name: Name
    ip_address: Annotated[str, Meta(max_length=100)] = ""
    capabilities: Annotated[list[UnitName], Meta(max_length=50)]
    """Compute units, the preferred one first."""
    device_info: DeviceInfo = DeviceInfo()
    instance_id: Identifier | None = None
    """Names the worker's process. A different one means that the old process is gone."""
    boot_id: Identifier | None = None
    """Names the time since the machine was started: another one after each start."""
    tags: Tags = []
    """What jobs may ask a device to have."""
    builtin_models: Annotated[list[Name], Meta(max_length=50)] = []
    """Names of the models that the worker brings along. One that names none is not checked."""
    protocol_version: int = PROTOCOL_VERSION


class Progress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far an attempt is: the phase's name and, where it counts something, how many of how many are done."""

    phase: Annotated[str, Meta(min_length=1, max_length=40)]
    done: Annotated[int, Meta(ge=0)] | None = None
    total: Annotated[int, Meta(ge=0)] | None = None


Undelivered = Annotated[int, Meta(ge=0, le=2**31)]
"""How many results a device keeps because they were refused; None says nothing."""


class HeartbeatRequest(Struct, frozen=True, kw_only=True):
    """The body of a heartbeat; an empty body is a sign of life and nothing more.

    `job_id` null says "I have no job": a job that the store believes to run there goes back to the queue.
    """

    instance_id: Identifier | None = None
    job_id: Identifier | UnsetType | None = UNSET
    attempt: Annotated[int, Meta(ge=1)] | None = None
    progress: Progress | None = None
    undelivered: Undelivered | None = None


class ClaimRequest(Struct, frozen=True, kw_only=True):
    """The body of `POST /api/workers/{id}/claim`. The same `claim_id` sent again gets the same job."""

    instance_id: Identifier | None = None
    claim_id: Identifier | None = None
    undelivered: Undelivered | None = None


class ReleaseRequest(Struct, frozen=True, kw_only=True):
    """The body of `POST /api/jobs/{job_id}/release`: the worker hands the job back unharmed."""

    worker_id: Identifier
    attempt: Annotated[int, Meta(ge=1)]
    reason: Annotated[str, Meta(min_length=1, max_length=1000)] = "handed back by the worker"


class GoodbyeRequest(Struct, frozen=True, kw_only=True):
    """The body of `POST /api/workers/{id}/goodbye`."""

    instance_id: Identifier | None = None


class DrainRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /api/workers/{id}/drain`."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000)] = "drained by hand"


class StatusRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PUT /api/workers/{id}/status`."""

    status: SettableStatus


class ClaimedJob(Struct, frozen=True, kw_only=True):
    """A job as the worker that claimed it sees it."""

    job_id: str
    campaign_id: str
    attempt: int
    model_url: str
    model_sha256: str | None = None
    """What the campaign's other devices have fetched; None on the first."""
    compute_unit: str
    num_inference_runs: int = 10
    num_load_runs: int = 5
    warmup_runs: int | None = None
    threads: int | None = None
    timeout_seconds: float = DEFAULT_TIMEOUT_S
    credentials: str | None = None
    pull_through: bool = False
    """Whether the orchestrator may have the model: `POST /api/campaigns/{id}/model` asks it."""
    inputs: dict[str, InputSpec] = {}
    inputs_url: str | None = None
    batch_size: int | None = None
    graph_optimization: str | None = None
    execution_mode: str | None = None
    cold_file: bool = False
    extend: Extend | None = None
    placement: PlacementPolicy = "majority"
    io_binding: bool = False
    check_outputs: bool = False
    engine_version: str | None = None
    precision: Precision | None = None


class Registered(Struct, frozen=True, kw_only=True):
    """The answer to a registration."""

    worker_id: str
    status: str
    action: str
    """`created`, or `updated` for a device that was known."""
    heartbeat_interval_s: float = 5.0
    protocol_version: int = PROTOCOL_VERSION


class BeatAnswer(Struct, frozen=True, kw_only=True):
    """The answer to a heartbeat. `cancel` names the job whose attempt must be ended now."""

    worker_id: str
    status: str
    action: str = "updated"
    cancel: str | None = None


class BenchRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the measuring child is told: which file, on which unit, how often, within which limits."""

    model_path: str
    file_name: str
    """What the model is called in its row."""
    model_folder: str | None = None
    """A folder all of whose files belong to the model, such as its external data."""
    compute_unit: str
    num_inference_runs: int = 10
    num_load_runs: int = 5
    warmup_runs: int | None = None
    threads: int | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    memory_limit_bytes: int | None = None
    inputs: dict[str, InputSpec] = {}
    inputs_path: str | None = None
    """A .npz file."""
    batch_size: int | None = None
    graph_optimization: str | None = None
    execution_mode: str | None = None
    cold_file: bool = False
    extend: Extend | None = None
    placement: PlacementPolicy = "majority"
    io_binding: bool = False
    check_outputs: bool = False
    precision: Precision | None = None
    engine_version: str | None = None
    """The version of the engine to measure with, in an environment of its own. None: the one that is here."""
    seed: int = 0
    """Same seed, same inputs, byte for byte."""


Row = dict[str, Any]
"""A job's result by column name, as the CSV and the JSON results hold it."""
