"""The operator as an earlier commit of this repository has it: its own image, CRD and manifests."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Final

import yaml

from lab import Lab
from lab.images import operator_image
from lab.install import DEPLOYMENT, NAMESPACE, ROOT, wait_operator

_RECONCILED: Final = re.compile(r'^controller_runtime_reconcile_total\{controller="(\w+)".*\} (\S+)$', re.MULTILINE)
_DEPTH: Final = re.compile(r"^workqueue_depth\{.*\} (\S+)$", re.MULTILINE)


def checkout(commit: str, folder: Path) -> Path:
    """Write the files of a commit into a folder. Fails when this checkout does not have that commit."""
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", commit]
    found = subprocess.run(command, check=False, capture_output=True, timeout=60)
    assert found.returncode == 0, (
        f"commit {commit} of this repository is needed, and git does not give it: {found.stderr.decode().strip()}. "
        "In a shallow clone: git fetch --unshallow"
    )
    with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def provide(lab: Lab, root: Path, image: str) -> None:
    """Build the operator's image of a checkout under a name of its own, and make it known to the lab."""
    lab.import_image(operator_image(root, image))


def install(lab: Lab, root: Path, image: str) -> None:
    """Apply CRD and manifests of a checkout, as a user does, and wait until the operator is ready."""
    documents = list(yaml.safe_load_all(lab.kubectl("kustomize", str(root / "manifests"))))
    (deployment,) = (document for document in documents if document["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = image
    text = yaml.safe_dump_all(documents)
    lab.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text, timeout=120)
    wait_operator(lab)


def has_looked_at(lab: Lab, services: int, workloads: int) -> bool:
    """Whether the operator that runs now has nothing to do, having looked at so many objects of each kind.

    Its own counters tell, which begin at zero with each process.
    """
    url = f"/api/v1/namespaces/{NAMESPACE}/services/grpcbalance-metrics:http/proxy/metrics"
    text = lab.kubectl("get", "--raw", url, check=False)
    seen: dict[str, float] = {}
    for controller, count in _RECONCILED.findall(text):
        seen[controller] = seen.get(controller, 0.0) + float(count)
    wanted = {"service": services, "status": services, "workload": workloads}
    idle = not any(map(float, _DEPTH.findall(text)))
    return idle and all(seen.get(controller, 0.0) >= count for controller, count in wanted.items())


def running_image(lab: Lab) -> str:
    """Image of the operator as it is installed now."""
    return lab.kubectl(
        "get", "deployment", DEPLOYMENT, "-n", NAMESPACE, "-o", "jsonpath={.spec.template.spec.containers[0].image}"
    )
