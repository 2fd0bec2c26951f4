"""`grpcbalance diff` foretells exactly what the operator then does, and says what keeps it from looking."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from grpcbalance.__main__ import main
from lab.rest import Object
from tests.kit import objects
from tests.kit.shop import ROLLOUT, Shop, env_of

pytestmark = pytest.mark.cluster


def diff(shop: Shop, *arguments: str, kubeconfig: Path | None = None) -> Result:
    """The command, about the test's namespace."""
    path = str(kubeconfig or shop.cluster.kubeconfig)
    return CliRunner().invoke(main, ["diff", "--kubeconfig", path, "-n", shop.namespace, *arguments])


def foretold(shop: Shop, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit status and report."""
    result = diff(shop, "-o", "json", *arguments)
    assert result.stdout, result.stderr
    return result.exit_code, json.loads(result.stdout)


def added(report: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Workload -> variables that would be set."""
    return {
        workload["name"]: {v["name"]: v["new"] for c in workload["containers"] for v in c["variables"]}
        for workload in report["workloads"]
    }


def write(folder: Path, *made: Object) -> str:
    (folder / "shop.yaml").write_text(yaml.safe_dump_all(made))
    return str(folder)


def test_what_is_foretold_is_what_the_operator_does(shop: Shop, tmp_path: Path) -> None:
    plain = [objects.server(), objects.client()]
    shop.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(plain))
    for name in ("orders", "checkout"):
        shop.wait_rolled_out(name)
    before = {name: shop.env(name) for name in ("orders", "checkout")}
    opted_in = [
        objects.balanced(rollout={"allowUnsafe": True}),
        objects.server(annotations={"grpcbalance.dev/server": "orders"}),
        objects.client(annotations={"grpcbalance.dev/client": "orders"}),
    ]
    folder = write(tmp_path, *opted_in)

    code, report = foretold(shop, "-f", folder)
    assert code == 1
    pods = {w["name"]: set(w["restart"]["names"]) for w in report["workloads"]}
    assert {name: len(names) for name, names in pods.items()} == {"orders": 2, "checkout": 1}
    assert set().union(*pods.values()) <= {p["metadata"]["name"] for p in shop.api.items(shop.url("Pod"))}

    shop.kubectl("apply", "-f", folder)
    shop.wait_configured()
    for name, variables in added(report).items():
        assert shop.env(name) == before[name] | variables
    (service,) = report["services"]
    live = shop.get("Service", service["name"])["spec"]
    wanted = {field["path"].removeprefix("spec."): field["new"] for field in service["fields"]}
    # An API server leaves out what is false.
    assert {key: live.get(key, False) for key in wanted} == wanted
    shop.wait_rolled_out("checkout", within=ROLLOUT)
    running = {
        p["metadata"]["name"] for p in shop.api.items(shop.url("Pod")) if "deletionTimestamp" not in p["metadata"]
    }
    assert running.isdisjoint(set().union(*pods.values()))

    for arguments in ((), ("-f", folder)):
        code, report = foretold(shop, *arguments)
        assert (code, report["services"], report["workloads"]) == (0, [], [])


def test_changes_and_removals_are_foretold_from_manifests_over_live_objects(shop: Shop, tmp_path: Path) -> None:
    opted_in = [
        objects.balanced(rollout={"allowUnsafe": True}),
        objects.server(annotations={"grpcbalance.dev/server": "orders"}),
        objects.client(annotations={"grpcbalance.dev/client": "orders"}),
    ]
    shop.kubectl("apply", "-f", write(tmp_path, *opted_in))
    shop.wait_configured()
    changed = [
        objects.balanced(rollout={"allowUnsafe": True}, server={"maxConnectionAge": "2m"}),
        # As `kubectl apply` sees it: an annotation that it wrote and that is left out now goes.
        objects.client(),
    ]
    folder = write(tmp_path, *changed)
    code, report = foretold(shop, "-f", folder)
    assert code == 1
    changes = {
        w["name"]: {v["name"]: (v["change"], v["old"], v["new"]) for c in w["containers"] for v in c["variables"]}
        for w in report["workloads"]
    }
    assert changes["orders"] == {"GRPC_SERVER_MAX_CONNECTION_AGE_MS": ("Change", "300000", "120000")}
    gone = {name for name, (change, _, _) in changes["checkout"].items() if change == "Remove"}
    assert "GRPC_ORDERS_TARGET" in gone
    before = shop.env("checkout")
    shop.kubectl("apply", "-f", folder)
    after = shop.wait_env("checkout", "GRPC_ORDERS_TARGET", None)
    assert env_of(after) == {name: value for name, value in before.items() if name not in gone}
    shop.wait_env("orders", "GRPC_SERVER_MAX_CONNECTION_AGE_MS", "120000")


def test_what_waits_is_shown_with_its_reason_and_its_change(shop: Shop) -> None:
    shop.create(
        objects.balanced(),
        objects.idle(
            "orders", ports=(5000,), annotations={"grpcbalance.dev/server": "orders", "grpcbalance.dev/paused": "true"}
        ),
    )
    shop.wait_workload("orders", "Paused")
    code, report = foretold(shop)
    assert code == 0
    (server,) = report["workloads"]
    assert (server["action"], server["findings"][0]["reason"]) == ("Wait", "Paused")
    assert added(report)["orders"]["GRPC_SERVER_MAX_CONNECTION_AGE_MS"] == "300000"
    assert "orders" in diff(shop).stdout


def account(shop: Shop, folder: Path, *rules: Object) -> Path:
    """A kubeconfig of an account of the test's namespace that may do these things there."""
    shop.kubectl("create", "serviceaccount", "reader")
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "reader"},
        "rules": rules,
    }
    shop.kubectl("apply", "-f", "-", stdin=yaml.safe_dump({**role, "rules": list(rules)}))
    shop.kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={shop.namespace}:reader")
    config = json.loads(shop.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json"))
    config["users"][0]["user"] = {"token": shop.kubectl("create", "token", "reader").strip()}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


LISTS = [
    {"apiGroups": ["grpcbalance.dev"], "resources": ["grpcbalancedservices"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["services", "pods"], "verbs": ["list"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets", "daemonsets"], "verbs": ["list"]},
    {"apiGroups": ["batch"], "resources": ["cronjobs"], "verbs": ["list"]},
]


def test_listing_one_namespace_is_all_that_is_needed(shop: Shop, tmp_path: Path) -> None:
    kubeconfig = account(shop, tmp_path, *LISTS)
    folder = tmp_path / "manifests"
    folder.mkdir()
    given = write(folder, objects.balanced(), objects.server(annotations={"grpcbalance.dev/server": "orders"}))
    assert diff(shop, "-f", given, kubeconfig=kubeconfig).exit_code == 1
    assert diff(shop, kubeconfig=kubeconfig).exit_code == 0


def test_what_is_forbidden_is_an_error_that_names_verb_and_resource(shop: Shop, tmp_path: Path) -> None:
    result = diff(shop, kubeconfig=account(shop, tmp_path, *LISTS[:-1]))
    assert result.exit_code == 2
    assert 'cannot list resource "cronjobs"' in result.stderr
    assert result.stdout == ""
