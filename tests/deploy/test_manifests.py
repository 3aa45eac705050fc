"""The overlays of Kustomize and the Helm chart: rendered, validated by the schemas of Kubernetes, and held to what
linters of manifests ask for."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
import yaml

import manifests
from manifests import CHART, DEPLOY, KUBERNETES, OVERLAYS, ROOT, VERSIONS, Manifest, containers, of_kind, pods, tool

# Kinds of operators that the cluster may have; the validator knows no schema of theirs.
FOREIGN_KINDS = {"PodMonitor"}
RENDERED = {
    **{f"kustomize {name}": lambda name=name: manifests.overlay(name) for name in OVERLAYS},
    "helm": lambda: manifests.chart("outcrop"),
    "helm without defaults": lambda: manifests.chart(
        "other",
        "--set=autoscaling.enabled=false,disruptionBudget.enabled=false,networkPolicy.enabled=false,image.tag=1.2.3",
    ),
}


@pytest.fixture(scope="module", params=RENDERED, ids=str)
def rendered(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param, RENDERED[request.param]()


def test_there_is_an_overlay_for_every_shape() -> None:
    assert OVERLAYS == ["deployment", "sidecar", "sidecar-socket", "trial"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_of_kubernetes_accept_it(rendered: tuple[str, str], version: str, tmp_path: Path) -> None:
    name, text = rendered
    kinds = {found["kind"] for found in manifests.read(text)}
    assert kinds and not kinds & FOREIGN_KINDS, name
    file = tmp_path / "rendered.yaml"
    file.write_text(text)
    said = manifests.run(sys.executable, tool("kubernetes-validate"), "--strict", "-k", version, file)
    assert said.count("passed") == len(manifests.read(text)), said


def test_the_validator_refuses_what_it_should(tmp_path: Path) -> None:
    """Guards against a validator that accepts everything."""
    text = manifests.overlay("sidecar").replace("restartPolicy: Always", "restartPolice: Always")
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(AssertionError, match="restartPolice"):
        manifests.run(sys.executable, tool("kubernetes-validate"), "--strict", "-k", VERSIONS[0], file)


def flaws(pod: Manifest) -> list[str]:
    """What kube-linter and the restricted pod security standard would say of a pod."""
    found = []
    shared = pod.get("securityContext", {})
    if pod.get("automountServiceAccountToken") is not False:
        found.append("mounts the token of its service account")
    if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        found.append("shares a namespace of its host")
    if any("hostPath" in volume for volume in pod.get("volumes", [])):
        found.append("mounts a path of its host")
    if pod.get("enableServiceLinks") is not False:
        found.append("gets variables of other services")
    for each in containers(pod):
        own = each.get("securityContext", {})
        both = {**shared, **own}
        tag = each["image"].rpartition("/")[2].partition(":")[2]
        limits = each.get("resources", {})
        wanted = {
            "may run as root": both.get("runAsNonRoot") is True and both.get("runAsUser", 0) > 0,
            "has no seccomp profile": both.get("seccompProfile", {}).get("type") == "RuntimeDefault",
            "may gain privileges": own.get("allowPrivilegeEscalation") is False,
            "keeps capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "writes to its root file system": own.get("readOnlyRootFilesystem") is True,
            "has no fixed tag": bool(tag) and tag != "latest",
            "has no probes": {"readinessProbe", "livenessProbe"} <= each.keys(),
            "requests no memory or CPU": {"cpu", "memory"} <= limits.get("requests", {}).keys(),
            "has no limit of memory": "memory" in limits.get("limits", {}),
            # A limit of CPU throttles streams of all callers.
            "has a limit of CPU": "cpu" not in limits.get("limits", {}),
            "has secrets in its variables": not any(
                re.search(r"secret|password|token|key", entry["name"], re.I) and entry.get("value", "unused") != "unused"
                for entry in each.get("env", [])
                if not entry["name"].endswith("_FILE")
            ),
        }
        found.extend(f"{each['name']} {flaw}" for flaw, is_well in wanted.items() if not is_well)
    return found


def test_pods_are_hardened(rendered: tuple[str, str]) -> None:
    found = {name: flaws(pod) for name, pod in pods(manifests.read(rendered[1]))}
    assert found and not any(found.values()), found


def test_the_checks_of_pods_find_flaws() -> None:
    container = {"name": "outcrop", "image": "outcrop:latest", "env": [{"name": "MASTER_KEY", "value": "sk-1"}]}
    found = flaws({"containers": [container], "hostNetwork": True, "volumes": [{"hostPath": {}}]})
    assert len(found) == 14, found


def test_names_of_other_objects_lead_somewhere(rendered: tuple[str, str]) -> None:
    objects = manifests.read(rendered[1])
    present = {(found["kind"], found["metadata"]["name"]) for found in objects}
    for name, pod in pods(objects):
        for volume in pod.get("volumes", []):
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in present, (name, volume)
        if "serviceAccountName" in pod:
            assert ("ServiceAccount", pod["serviceAccountName"]) in present, name
        mounted = {mount["name"] for each in containers(pod) for mount in each.get("volumeMounts", [])}
        claimed = {"data"} if name == "StatefulSet/postgres" else set()
        assert mounted - claimed == {volume["name"] for volume in pod.get("volumes", [])}, name
        for each in containers(pod):
            ports = {port["name"] for port in each.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                action = each.get(probe, {}).get("httpGet")
                assert action is None or action["port"] in ports, (name, each["name"], probe)
    for scaler in of_kind(objects, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) in present
        assert "replicas" not in of_kind(objects, "Deployment")[0]["spec"], "the autoscaler's number would be reset"


def test_selectors_find_the_gateway_and_nothing_else(rendered: tuple[str, str]) -> None:
    objects = manifests.read(rendered[1])
    labels = {
        f"{found['kind']}/{found['metadata']['name']}": found["spec"]["template"]["metadata"]["labels"]
        for found in objects
        if "template" in found.get("spec", {})
    }
    for found in objects:
        spec = found.get("spec", {})
        selector = {
            "Service": lambda: spec["selector"],
            "PodDisruptionBudget": lambda: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda: spec["podSelector"]["matchLabels"],
            "Deployment": lambda: spec["selector"]["matchLabels"],
            "StatefulSet": lambda: spec["selector"]["matchLabels"],
        }.get(found["kind"])
        if selector:
            wanted = selector().items()
            matched = [name for name, given in labels.items() if wanted <= given.items()]
            assert len(matched) == 1, (found["kind"], found["metadata"]["name"], matched)


def test_the_time_to_drain_fits_into_the_grace_period(rendered: tuple[str, str]) -> None:
    objects = manifests.read(rendered[1])
    pod, _ = manifests.gateway(objects)
    configuration = yaml.safe_load(written(objects))
    drain = configuration["shutdown"]
    # The last calls are told and settled after both.
    assert drain.get("delay", 0) + drain["timeout"] + 10 <= pod["terminationGracePeriodSeconds"]


def written(objects: list[Manifest]) -> str:
    """The gateway's configuration file."""
    (found,) = of_kind(objects, "ConfigMap")
    return found["data"]["outcrop.yaml"]


def test_ports_are_those_of_the_configuration(rendered: tuple[str, str]) -> None:
    objects = manifests.read(rendered[1])
    _, container = manifests.gateway(objects)
    configuration = yaml.safe_load(written(objects))
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["telemetry"] == int(configuration["telemetry"]["listen"].rpartition(":")[2])
    if "http" in ports:
        assert ports["http"] == int(configuration["listen"].rpartition(":")[2])
    else:
        is_socket = configuration.get("socket", {}).get("only")
        assert is_socket or configuration["listen"].startswith("127.0.0.1:")


def test_the_sidecar_starts_before_the_application_and_ends_after_it() -> None:
    for name in ("sidecar", "sidecar-socket"):
        pod, container = manifests.gateway(manifests.read(manifests.overlay(name)))
        assert [each["name"] for each in pod["initContainers"]] == ["outcrop"]
        assert container["restartPolicy"] == "Always"
        assert container["startupProbe"]["httpGet"]["path"] == "/readyz"


def test_application_and_sidecar_share_the_socket() -> None:
    objects = manifests.read(manifests.overlay("sidecar-socket"))
    pod, container = manifests.gateway(objects)
    socket = yaml.safe_load(written(objects))["socket"]
    folders = [
        mount["mountPath"] for each in containers(pod) for mount in each["volumeMounts"] if mount["name"] == "outcrop-socket"
    ]
    assert folders == [str(Path(socket["path"]).parent)] * 2
    # The permissions of the socket let the group in, which is that of both containers.
    assert socket["mode"] == "0660"
    assert pod["securityContext"]["runAsGroup"] == pod["securityContext"]["fsGroup"] == 65532
    assert container["securityContext"]["runAsGroup"] == 65532


def test_the_components_apply_to_the_overlay(tmp_path: Path) -> None:
    """Identity and monitoring are the operator's choice: each renders on top of the deployment."""
    for component, kind, wanted in [
        ("irsa", "ServiceAccount", "eks.amazonaws.com/role-arn"),
        ("pod-identity", "Deployment", "AWS_REGION"),
        ("pod-monitor", "PodMonitor", "podMetricsEndpoints"),
    ]:
        folder = KUBERNETES / f".test-{component}"
        folder.mkdir()
        try:
            (folder / "kustomization.yaml").write_text(
                f"resources: [../overlays/deployment]\ncomponents: [../components/{component}]\n"
            )
            objects = manifests.read(manifests.run(tool("kubectl"), "kustomize", folder))
        finally:
            (folder / "kustomization.yaml").unlink()
            folder.rmdir()
        assert any(wanted in str(found) for found in of_kind(objects, kind)), component


def essence(objects: list[Manifest]) -> dict[str, object]:
    """Objects without what names and labels differ in between the two ways."""
    _, container = manifests.gateway(objects)
    found = {}
    for each in objects:
        text = yaml.safe_dump(each.get("spec", each.get("automountServiceAccountToken")))
        text = re.sub(r".*app.kubernetes.io/(instance|version|managed-by|part-of):.*\n", "", text)
        text = re.sub(r".*outcrop.dev/config:.*\n|.*imagePullPolicy:.*\n", "", text)
        text = re.sub(r"name: outcrop-[a-z0-9]{10}\n", "name: outcrop\n", text)
        found[each["kind"]] = yaml.safe_load(text)
    found["ConfigMap"] = yaml.safe_load(written(objects))
    return found


def test_chart_and_overlay_are_the_same() -> None:
    assert essence(manifests.read(manifests.chart("outcrop"))) == essence(manifests.read(manifests.overlay("deployment")))


def test_the_chart_is_linted_and_refuses_unknown_values() -> None:
    manifests.run(os.environ["OUTCROP_HELM"], "lint", "--strict", CHART)
    with pytest.raises(AssertionError, match="additional properties|Additional property"):
        manifests.chart("outcrop", "--set=replica=3")


def test_versions_are_the_workspace_s() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == version
    assert f"ARG VERSION={version}" in (DEPLOY / "Dockerfile").read_text()
    for name in OVERLAYS:
        _, container = manifests.gateway(manifests.read(manifests.overlay(name)))
        assert container["image"] == f"outcrop:{version}"
