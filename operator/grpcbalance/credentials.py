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


async def load_configuration(kubeconfig: str | None) -> client.Configuration:
    """Configuration for the official client; a service account's token is read anew every minute."""
    configuration = client.Configuration()
    try:
        if kubeconfig:
            await config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        else:
            config.load_incluster_config(client_configuration=configuration)
    except (config.ConfigException, OSError) as error:
        hint = "" if kubeconfig else " (outside of a cluster, pass --kubeconfig)"
        raise CredentialsError(f"{error}{hint}") from error
    return configuration


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
