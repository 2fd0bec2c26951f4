"""Asks the API server whose a token is (TokenReview, authentication.k8s.io/v1)."""

from __future__ import annotations

from typing import Any, Final

from grpcbalance.kube_watch import WatchingKube

# What it needs beside listing and watching: (API group, resource) -> verbs. manifests/xds is compared with it.
PERMISSIONS: Final = {("authentication.k8s.io", "tokenreviews"): frozenset({"create"})}
_PATH: Final = "/apis/authentication.k8s.io/v1/tokenreviews"


class ReviewingKube(WatchingKube):
    """A connection that can have tokens reviewed, too."""

    async def review(self, token: str, audience: str) -> dict[str, Any]:
        """The status of a TokenReview for one audience. Raises KubeError."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [audience]},
        }
        answer = await self.ask("create", "tokenreviews", _PATH, body)
        status: dict[str, Any] = answer["status"]
        return status
