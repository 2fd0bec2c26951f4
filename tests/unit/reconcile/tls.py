"""The look-aside balancer as TLS connections find it."""

from __future__ import annotations


class Handshakes:
    """`against`: what TLS says to who trusts these certificates; nothing of others, who are content."""

    def __init__(self) -> None:
        self.against: dict[str, str] = {}
        self.unreachable = False

    async def refused(self, authorities: str, host: str) -> str:
        """As `lookaside.handshake.refused`."""
        assert host == "grpcbalance-xds.grpcbalance-system.svc.cluster.local"
        if self.unreachable:
            raise TimeoutError
        return self.against.get(authorities, "")
