"""Where the API server is and who we are: the pod's service account, or a kubeconfig. Used by `kube` and kopf's login.

Reads files, talks to nobody (an exec plugin of a kubeconfig may).
"""

from __future__ import annotations

from dataclasses import dataclass

from kubernetes.aio import client, config


class CredentialsError(Exception):
    """There is no service account here and no kubeconfig was named, or what was named cannot be read."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a connection needs; files are paths, `authorization` is the whole header."""

    server: str
    ca_file: str | None
    verify: bool
    cert_file: str | None
    key_file: str | None
    authorization: str | None
    proxy: str | None


async def load_configuration(kubeconfig: str | None, context: str | None = None) -> client.Configuration:
    """Configuration for the official client; a service account's token is read anew every minute.

    `context`: one of the kubeconfig, by default its current one.
    """
    configuration = client.Configuration()
    try:
        if kubeconfig:
            await config.load_kube_config(config_file=kubeconfig, context=context, client_configuration=configuration)
        else:
            config.load_incluster_config(client_configuration=configuration)
    except (config.ConfigException, OSError) as error:
        hint = "" if kubeconfig else " (outside of a cluster, pass --kubeconfig)"
        raise CredentialsError(f"{error}{hint}") from error
    return configuration


def default_namespace(kubeconfig: str, context: str | None) -> str:
    """Namespace that a context of a kubeconfig, by default its current one, chooses. Raises CredentialsError."""
    try:
        contexts, current = config.list_kube_config_contexts(kubeconfig)
    except (config.ConfigException, OSError) as error:
        raise CredentialsError(str(error)) from error
    wanted = current["name"] if context is None else context
    namespaces = (c["context"].get("namespace") for c in contexts if c["name"] == wanted)
    return next(namespaces, None) or "default"


async def load_credentials(kubeconfig: str | None) -> Credentials:
    """The same, read anew, as plain values."""
    configuration = await load_configuration(kubeconfig)
    return Credentials(
        server=configuration.host,
        ca_file=configuration.ssl_ca_cert,
        verify=configuration.verify_ssl,
        cert_file=configuration.cert_file,
        key_file=configuration.key_file,
        authorization=configuration.api_key.get("BearerToken"),
        proxy=configuration.proxy,
    )
