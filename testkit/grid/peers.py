"""Who plays in the grid: the agents, the clients, the scenarios, and what a peer cannot do at all.

Everything here is data. An entry in `CANNOT` is a fact about a peer's own library or protocol version, with its
reason; such a scenario is counted apart (n/a), is never run, and never turns a cell green by itself.
"""

from dataclasses import dataclass
from fnmatch import fnmatch

SCENARIOS = (
    "card", "send", "message", "stream", "stream_message", "get", "cancel", "list", "subscribe", "push_config",
    "push_delivery", "push_inline", "input_required", "parts", "failed", "unknown_task", "terminal_task",
    "bad_params", "return_immediately",
)


@dataclass(frozen=True)
class Agent:
    name: str
    """Its name in `moongate.toml`, and of its column."""
    environment: str
    script: str
    binding: str
    version: str
    patient: bool = False
    """It answers sends and cancels before they are done. Clients that reach it directly ask again; through the
    gateway they do so after a cancel only (A2A leaves open when a cancel takes effect)."""


@dataclass(frozen=True)
class Client:
    name: str
    environment: str
    script: str
    transport: str
    version: str


AGENTS = (
    Agent("py1-jsonrpc", "py-1.x", "agent_1x.py", "JSONRPC", "1.0"),
    Agent("py1-http", "py-1.x", "agent_1x.py", "HTTP+JSON", "1.0"),
    Agent("py1-grpc", "py-1.x", "agent_1x.py", "GRPC", "1.0"),
    Agent("py03-jsonrpc", "py-0.3", "agent_03.py", "JSONRPC", "0.3"),
    Agent("py03-http", "py-0.3", "agent_03.py", "HTTP+JSON", "0.3"),
    Agent("py03-grpc", "py-0.3", "agent_03.py", "GRPC", "0.3"),
    Agent("fasta2a", "fasta2a", "agent_fasta2a.py", "JSONRPC", "1.0", patient=True),
)


def _each(name: str, environment: str, script: str, version: str) -> tuple[Client, ...]:
    transports = (("jsonrpc", "JSONRPC"), ("http", "HTTP+JSON"), ("grpc", "GRPC"))
    return tuple(Client(f"{name}-{short}", environment, script, full, version) for short, full in transports)


CLIENTS = (
    *_each("py1", "py-1.x", "client_1x.py", "1.0"),
    *_each("py03", "py-0.3", "client_03.py", "0.3"),
    *_each("js1", "js-1", "client_js1.mjs", "1.0"),
    *_each("js03", "js-0.3", "client_js03.mjs", "0.3"),
    *_each("rust", "rust", "grid-client", "1.0"),
)

# (client, agent, scenario, why); shell patterns.
CANNOT = (
    ("*03-*", "*", "list", "A2A 0.3 has no list of tasks"),
    ("*", "fasta2a", "message", "fasta2a answers every message with a task"),
    ("*", "fasta2a", "stream_message", "fasta2a answers every message with a task"),
    ("*", "fasta2a", "input_required", "fasta2a starts a new task for each message, follow-ups too"),
    ("js03-grpc", "py03-grpc", "parts",
     "over gRPC 0.3 the two libraries write file bytes differently; the gateway passes one dialect unchanged"),
)


def cannot(client: Client, agent: Agent, scenario: str) -> str | None:
    """Why this scenario makes no sense here, or None."""
    for clients, agents, name, why in CANNOT:
        if fnmatch(client.name, clients) and fnmatch(agent.name, agents) and name == scenario:
            return why
    return None


def speak_directly(client: Client, agent: Agent) -> bool:
    """Whether the two have a binding and a version in common, so that a baseline without a gateway exists."""
    return client.transport == agent.binding and client.version == agent.version


def needs_lone_agent(client: Client) -> bool:
    """gRPC of A2A 0.3 has neither path nor tenant to name an agent: it reaches the one agent of a gateway of its own."""
    return client.version == "0.3" and client.transport == "GRPC"
