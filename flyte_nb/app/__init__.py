"""Apps and connectors: what is declared, and what the code of a running app can ask."""

from flyte_nb.app import extras
from flyte_nb.environments.app import AppEnvironment
from flyte_nb.environments.app_context import ctx
from flyte_nb.environments.app_links import Link
from flyte_nb.environments.connector import ConnectorEnvironment
from flyte_nb.environments.delayed_values import AppEndpoint, ArtifactValue, RunOutput
from flyte_nb.environments.domains import Domain, Subdomain
from flyte_nb.environments.parameter_transport import get_parameter
from flyte_nb.environments.parameters import Parameter
from flyte_nb.environments.ports import Port
from flyte_nb.environments.scaling import Scaling
from flyte_nb.environments.timeouts import Timeouts

__all__ = [
    "AppEndpoint",
    "AppEnvironment",
    "ArtifactValue",
    "ConnectorEnvironment",
    "Domain",
    "Link",
    "Parameter",
    "Port",
    "RunOutput",
    "Scaling",
    "Subdomain",
    "Timeouts",
    "ctx",
    "extras",
    "get_parameter",
]
