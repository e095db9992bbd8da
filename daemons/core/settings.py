"""What can be configured, with every default: one Struct for each program, one for each section of its YAML file.

Nothing here reads a file or the environment (`daemons.runtime.config` does), and no path is resolved: null stands for
"where the platform keeps such things", which `daemons.runtime.folders` knows. Times are in seconds, sizes in GB of
10⁹ bytes, as the unit in the key's name says.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from daemons.core.naming import Tags
from daemons.core.unit_names import UnitName

EMBEDDED: Final = "embedded"
"""The `redis.url` that means a server of our own."""

FilePath = Annotated[str, Meta(min_length=1, max_length=4096)]
HostName = Annotated[str, Meta(min_length=1, max_length=255)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Gigabytes = Annotated[float, Meta(gt=0, le=1_000_000)]

StoreUrl = Annotated[
    str,
    Meta(
        pattern=r"^(embedded|(redis|rediss|unix)://\S+)$",
        extra={"allowed": "`embedded`, or an address that begins with redis://, rediss:// or unix://"},
    ),
]
ServerUrl = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s/?#@]+/?$",
        extra={"allowed": "an address such as http://192.168.1.10:5000, with no path and no password in it"},
    ),
]
KeyPrefix = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_.:-]{1,100}$",
        extra={"allowed": "1 to 100 letters, digits and the signs _ . : -"},
    ),
]


class LogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a program logs, on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe events that are written."""
    format: Literal["auto", "console", "json"] = "auto"
    """auto: for people on a terminal, one JSON document a line otherwise."""


class HttpSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the orchestrator serves the REST API, and to whom."""

    host: HostName = "127.0.0.1"
    """The address to listen on. Any other than loopback needs token files."""
    port: Port = 5000
    """0 takes any free port."""
    allowed_hosts: list[HostName] = field(default_factory=list)
    """Names, besides its own address, under which clients may address the server (the Host header)."""
    worker_token_file: FilePath | None = None
    """A file with the tokens that workers show, one a line; only its owner may read it. null: no tokens."""
    operator_token_file: FilePath | None = None
    """The same for those who may submit, cancel and change."""
    viewer_token_file: FilePath | None = None
    """The same for those who may look."""


class RedisSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the fleet's state is kept."""

    url: StoreUrl = EMBEDDED
    """embedded: a Valkey server of our own, under storage.data_dir. Otherwise the address of a Redis or Valkey."""
    prefix: KeyPrefix = "benchfleet:"
    """Every key begins with this, so that several fleets can share one server."""


class OrchestratorStorage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Folders of the orchestrator. Several orchestrators of one fleet share them."""

    data_dir: FilePath | None = None
    """Uploaded models and the embedded server's data. null: $STATE_DIRECTORY, else the user's own state folder."""
    outputs_dir: FilePath | None = None
    """Where each campaign's CSV file goes. null: `outputs` inside data_dir."""
    retention_days: Annotated[float, Meta(gt=0, le=36_500)] | None = 30.0
    """A campaign leaves the store so long after its end; its CSV file stays. null: never."""


class FleetSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a worker counts as lost, and what becomes of its job."""

    heartbeat_interval_s: Seconds = 5.0
    """How often a worker shows that it lives."""
    heartbeat_timeout_s: Seconds = 30.0
    """A worker that was silent for so long is faulty, and its job goes back to the queue. At least two intervals."""
    retry_delay_s: Annotated[float, Meta(ge=0, le=86_400)] = 10.0
    """A lost job waits so long before it is tried again; each further loss doubles the wait."""
    max_lost_attempts: Annotated[int, Meta(ge=1, le=100)] = 3
    """A job whose attempts were lost so often has failed."""
    max_device_failures: Annotated[int, Meta(ge=1, le=100)] = 5
    """A job that its devices failed so often (disk full, no process to be had) has failed."""
    failures_until_set_aside: Annotated[int, Meta(ge=1, le=100)] = 3
    """A device that could not do its part so often in a row is set aside until it passes a health job."""
    health_interval_s: Annotated[float, Meta(gt=0, le=31_536_000)] | None = 86_400.0
    """How often each device measures a small reference model. One that fails it, or has drifted beyond its own noise,
    is set aside until it passes. null: never, and who is set aside waits for a reset by hand."""
    duty_interval_s: Seconds = 1.0
    """How often the orchestrator looks for silent workers, due retries and finished campaigns."""

    def __post_init__(self) -> None:
        """ValueError where one missed heartbeat would already cost a worker its job."""
        if self.heartbeat_timeout_s < 2 * self.heartbeat_interval_s:
            raise ValueError(
                f"heartbeat_timeout_s must be at least twice heartbeat_interval_s ({self.heartbeat_interval_s:g}), "
                f"and is {self.heartbeat_timeout_s:g}"
            )


class KeptModelSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Models that the orchestrator keeps for its workers, under storage.data_dir."""

    limit_gb: Gigabytes = 8.0
    """A model larger than this is not taken."""
    store_limit_gb: Gigabytes = 50.0
    """All models together. Beyond it, those go that no name points to and no unfinished campaign needs, the least
    recently used first."""
    pull_through: bool = True
    """Fetch a campaign's model from its http or https URL once, for all of its devices. false: each device does."""
    private_addresses: bool = True
    """Whether models may be fetched from private addresses, as labs serve them inside. Link-local ones never are."""

    def __post_init__(self) -> None:
        """ValueError where one model could not be kept at all."""
        if self.store_limit_gb < self.limit_gb:
            raise ValueError(
                f"store_limit_gb must be at least limit_gb ({self.limit_gb:g}), and is {self.store_limit_gb:g}"
            )


class WebhookSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may be told when a campaign has ended."""

    allowed_hosts: list[HostName] = field(default_factory=list)
    """Names or addresses of the hosts that a campaign's webhook may lead to. Empty: there are no webhooks."""
    secret_file: FilePath | None = None
    """A file with the secrets that messages are signed with, one a line; only its owner may read it. Needed with
    allowed_hosts. While there are two, messages are signed with both, so that a receiver can change over."""
    private_addresses: bool = True
    """Whether those hosts may be at private addresses. Link-local ones never are sent to."""
    public_url: ServerUrl | None = None
    """This server's address as receivers know it, for the link to the results. null: the link is a path."""

    def __post_init__(self) -> None:
        """ValueError where messages could be sent that nobody could believe."""
        if self.allowed_hosts and self.secret_file is None:
            raise ValueError("secret_file must name a file with a secret, for allowed_hosts names hosts to send to")


class OrchestratorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that `orchestrator.yaml` can say."""

    http: HttpSettings = HttpSettings()
    redis: RedisSettings = RedisSettings()
    storage: OrchestratorStorage = OrchestratorStorage()
    fleet: FleetSettings = FleetSettings()
    models: KeptModelSettings = KeptModelSettings()
    webhooks: WebhookSettings = WebhookSettings()
    log: LogSettings = LogSettings()


class UplinkSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a worker reaches its orchestrator."""

    url: ServerUrl = "http://127.0.0.1:5000"
    """The server's address, without /api."""
    token_file: FilePath | None = None
    """A file that holds this worker's token; only its owner may read it. null: the server asks for none."""


class DeviceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the device offers to the fleet."""

    name: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """What people call the device. null: its host name."""
    units: Annotated[list[UnitName], Meta(min_length=1, max_length=50)] | None = None
    """The compute units to offer, the preferred one first. null: all that were found to work."""
    tags: Tags = field(default_factory=list)
    """What jobs may ask a device to have, such as [lab-2, quiet]."""


class WorkerStorage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Folders of the worker, and what they may grow to."""

    state_dir: FilePath | None = None
    """The device's identity, results not yet delivered, cached models. null: $STATE_DIRECTORY, else the user's own."""
    cache_limit_gb: Gigabytes = 20.0
    """Cached models beyond this are removed, the least recently used first."""


class LimitSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a job may take."""

    drain_timeout_s: Annotated[float, Meta(ge=0, le=86_400)] = 60.0
    """Told to stop, the worker lets a running job end for so long, then hands it back. Raise the service
    manager's own limit with it (TimeoutStopSec of systemd, ExitTimeOut of launchd)."""
    model_limit_gb: Gigabytes = 8.0
    """A model larger than this, unpacked, is refused."""
    memory_limit_gb: Gigabytes | None = None
    """A measuring process that takes more memory is ended. null: no limit but the machine's."""
    private_addresses: bool = True
    """Whether models may be fetched from private addresses, as labs serve them inside. Link-local ones never are."""


class ModelSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How this device gets at models that are not public."""

    credentials_file: FilePath | None = None
    """A YAML file, readable by its owner alone, of headers by name: what a campaign's `credentials` names.
    null: there are none."""


PackageName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$",
        extra={"allowed": "a package's name such as `onnxruntime`, without a version"},
    ),
]
IndexUrl = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s@]+$",
        extra={"allowed": "the address of a package index, with no password in it"},
    ),
]


class EngineSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which other versions of engines jobs may ask for. Each has an environment of its own, made once with pip."""

    allowed_packages: Annotated[list[PackageName], Meta(max_length=50)] = field(default_factory=list)
    """What a job's `engine_version` may name, such as [onnxruntime, openvino]. Empty: nothing is ever installed."""
    index_url: IndexUrl | None = None
    """The package index to install from. null: the one that pip is configured for."""
    keep: Annotated[int, Meta(ge=1, le=1000)] = 8
    """Environments beyond this number are removed, the least recently used first."""


class MeasuringSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When this device measures."""

    wait_for_calm_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    """Wait so long at most for other programs and the heat to settle before a measurement. 0: don't wait."""
    cool_down_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    """Rest so long between two measurements."""


class WorkerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that `worker.yaml` can say."""

    orchestrator: UplinkSettings = UplinkSettings()
    device: DeviceSettings = DeviceSettings()
    storage: WorkerStorage = WorkerStorage()
    limits: LimitSettings = LimitSettings()
    models: ModelSettings = ModelSettings()
    engines: EngineSettings = EngineSettings()
    measuring: MeasuringSettings = MeasuringSettings()
    log: LogSettings = LogSettings()


def sections(*kinds: type[Struct]) -> frozenset[str]:
    """The names of all sections of these settings."""
    return frozenset(name for kind in kinds for name in kind.__struct_fields__)


def section_keys(*kinds: type[Struct]) -> frozenset[str]:
    """Every key of these settings, spelt ``section.key``."""
    return frozenset(
        f"{section}.{key}"
        for kind in kinds
        for section, held in zip(kind.__struct_fields__, kind.__struct_defaults__, strict=True)
        for key in held.__struct_fields__
    )
