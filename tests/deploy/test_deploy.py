"""The manifests render, are valid for Kubernetes, and fit the program: its ports, its probes, its grace, its memory."""

import json
import os
import re
import shutil
import subprocess

import pytest
import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DEPLOY = os.path.join(ROOT, "deploy")
HEADGATE = os.path.join(ROOT, "build", "headgate")
OVERLAYS = ["base", "overlays/dev", "overlays/prod"]
KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.5.0"
KUBERNETES_VALIDATE = "kubernetes-validate==1.37.0"

# The metrics that users are promised; the dashboard and the rules name no others.
METRICS = """headgate_records_in_total headgate_records_out_total headgate_bytes_out_total headgate_subscribers
  headgate_records_dropped_total headgate_disconnects_total headgate_ring_records headgate_ring_bytes
  headgate_source_paused headgate_source_up headgate_kafka_lag_records headgate_delivery_seconds
  headgate_generation_log_records_total headgate_generation_log_hears headgate_generation_log_readers
  headgate_generation_log_clients headgate_generation_log_reads_total""".split()


def kustomize():
    """The command that renders: kubectl's kustomize is new enough from 1.21 on; else the tool itself, from source."""
    if shutil.which("kubectl"):
        text = subprocess.run(
            ["kubectl", "version", "--client"], capture_output=True, text=True, timeout=60, check=False
        ).stdout
        if "Kustomize Version" in text:
            return ["kubectl", "kustomize"]
    tools = os.path.join(ROOT, "build", "tools")
    built = os.path.join(tools, "kustomize")
    if not os.path.exists(built):
        if not shutil.which("go"):
            pytest.skip("needs kubectl 1.24 or newer, or Go to build kustomize")
        done = subprocess.run(
            ["go", "install", KUSTOMIZE], env={**os.environ, "GOBIN": tools}, capture_output=True, text=True,
            timeout=500, check=False,
        )
        if done.returncode:
            pytest.skip("kustomize cannot be built here: " + done.stderr.strip()[-200:])
    return [built, "build"]


@pytest.fixture(scope="module", params=OVERLAYS)
def objects(request):
    done = subprocess.run(
        [*kustomize(), os.path.join(DEPLOY, "kustomize", request.param)],
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for each in yaml.safe_load_all(done.stdout):
        key = each["kind"], each["metadata"]["name"]
        assert key not in found
        found[key] = each
    return request.param, found


def pod(objects):
    return objects[1]["Deployment", "headgate"]["spec"]["template"]


def container(objects):
    (only,) = pod(objects)["spec"]["containers"]
    return only


def gateway_yaml(objects):
    """The configuration as the pod sees it: through the volume's ConfigMap."""
    (volume,) = pod(objects)["spec"]["volumes"]
    return objects[1]["ConfigMap", volume["configMap"]["name"]]["data"]["gateway.yaml"]


def effective(objects, tmp_path):
    """What the program makes of it, with the pod's environment."""
    path = tmp_path / "gateway.yaml"
    path.write_text(gateway_yaml(objects))
    env = {**os.environ, **{e["name"]: e["value"] for e in container(objects)["env"]}}
    done = subprocess.run(
        [HEADGATE, "config", "print", "-c", path], env=env, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    checked = subprocess.run(
        [HEADGATE, "check", "-c", path], env=env, capture_output=True, text=True, timeout=20, check=False
    )
    assert checked.returncode == 0, checked.stderr
    return yaml.safe_load(done.stdout), checked.stdout


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", str(text)).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def quantity(text):
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", text).groups()
    return int(number) << {"Mi": 20, "Gi": 30}[unit]


def listens(objects, tmp_path):
    """Public and admin address, as the program will open them."""
    config, _ = effective(objects, tmp_path)
    (listen,) = config["listen"]
    return listen["address"], config["admin"]


def test_ports_are_those_that_the_program_opens(objects, tmp_path):
    ports = {p["name"]: p["containerPort"] for p in container(objects)["ports"]}
    public, admin = listens(objects, tmp_path)
    assert public == "0.0.0.0:%d" % ports["http"]
    assert admin == "0.0.0.0:%d" % ports["admin"], "probes come from outside of the pod"


def test_services_lead_to_the_ports_and_admin_is_not_public(objects):
    ports = {p["name"] for p in container(objects)["ports"]}
    labels = pod(objects)["metadata"]["labels"]
    services = {name: s for (kind, name), s in objects[1].items() if kind == "Service"}
    targets = {}
    for name, service in services.items():
        assert service["spec"]["selector"].items() <= labels.items()
        targets[name] = [p["targetPort"] for p in service["spec"]["ports"]]
        assert set(targets[name]) <= ports
    assert targets == {"headgate": ["http"], "headgate-admin": ["admin"]}


def test_probes_ask_the_admin_listener(objects):
    paths = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    for probe, path in paths.items():
        assert container(objects)[probe]["httpGet"] == {"path": path, "port": "admin"}


def test_grace_covers_the_whole_drain(objects, tmp_path):
    drain = effective(objects, tmp_path)[0]["drain"]
    pre_stop = container(objects)["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = pre_stop + seconds(drain["grace"]) + seconds(drain["timeout"])
    assert pod(objects)["spec"]["terminationGracePeriodSeconds"] > needed


def test_memory_limit_covers_the_bound_that_check_prints(objects, tmp_path):
    """Socket buffers are charged to the pod as well."""
    _, report = effective(objects, tmp_path)
    memory = report[: report.index("descriptors")]
    (total,) = re.findall(r"^ +total +([\d.]+) MiB", memory, re.M)
    (kernel,) = re.findall(r"^ +kernel socket buffers +([\d.]+) MiB", memory, re.M)
    limits = container(objects)["resources"]["limits"]
    assert quantity(limits["memory"]) >= (float(total) + float(kernel)) * (1 << 20)
    assert "cpu" not in limits


def test_pod_is_restricted(objects):
    spec, inside = pod(objects)["spec"], container(objects)["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 65532
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert inside == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_rollout_and_disruption_keep_pods(objects):
    deployment = objects[1]["Deployment", "headgate"]["spec"]
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert objects[1]["PodDisruptionBudget", "headgate"]["spec"]["maxUnavailable"] == 1
    if ("HorizontalPodAutoscaler", "headgate") in objects[1]:
        assert "replicas" not in deployment


def test_kubernetes_takes_every_object(objects, tmp_path):
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump_all(objects[1].values()))
    done = subprocess.run(
        [kubernetes_validate(), "--strict", path], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def kubernetes_validate():
    """A validator that carries Kubernetes' schemas, installed once into build/python."""
    home = os.path.join(ROOT, "build", "python")
    tool = os.path.join(home, "bin", "kubernetes-validate")
    if not os.path.exists(tool):
        for command in (["/usr/bin/python3", "-m", "venv", home],
                        [os.path.join(home, "bin", "pip"), "install", "-q", KUBERNETES_VALIDATE]):
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode:
                pytest.skip("kubernetes-validate cannot be installed: " + (done.stdout + done.stderr).strip()[-200:])
    return tool


def test_image_fits_the_pod():
    with open(os.path.join(DEPLOY, "Dockerfile"), encoding="utf-8") as f:
        text = f.read()
    assert re.search(r"^USER 65532:65532$", text, re.M)
    assert re.search(r"^EXPOSE 8080 9901$", text, re.M)
    assert re.search(r"^STOPSIGNAL SIGTERM$", text, re.M)
    assert json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.M)[1]) == ["/usr/local/bin/headgate"]


def test_route_has_no_time_limit_and_leads_to_the_public_service():
    with open(os.path.join(DEPLOY, "gateway-api", "httproute.yaml"), encoding="utf-8") as f:
        (rule,) = yaml.safe_load(f)["spec"]["rules"]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    assert rule["backendRefs"] == [{"name": "headgate", "port": 80}]


def promtool(*arguments):
    if not shutil.which("promtool"):
        pytest.skip("needs promtool")
    done = subprocess.run(
        ["promtool", *arguments], cwd=os.path.join(DEPLOY, "prometheus"), capture_output=True, text=True,
        timeout=60, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_alert_rules_are_valid():
    promtool("check", "rules", "alerts.yaml")


def test_alerts_fire_when_they_should():
    promtool("test", "rules", "alerts.test.yaml")


def names_in(text):
    return {re.sub(r"_bucket$", "", n) for n in re.findall(r"\bheadgate_[a-z_]+", text)}


def dashboard():
    with open(os.path.join(DEPLOY, "grafana", "headgate.json"), encoding="utf-8") as f:
        return json.load(f)


def test_dashboard_shows_every_promised_metric_and_no_other():
    expressions = [t["expr"] for p in dashboard()["panels"] for t in p.get("targets", [])]
    assert names_in("\n".join(expressions)) == set(METRICS)


def test_dashboard_panels_do_not_overlap():
    taken, ids = set(), set()
    for panel in dashboard()["panels"]:
        grid = panel["gridPos"]
        cells = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])}
        assert not cells & taken and max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
        assert panel["id"] not in ids
        ids.add(panel["id"])


def test_alerts_use_promised_metrics():
    with open(os.path.join(DEPLOY, "prometheus", "alerts.yaml"), encoding="utf-8") as f:
        rules = [r["expr"] for g in yaml.safe_load(f)["groups"] for r in g["rules"]]
    assert names_in("\n".join(rules)) <= set(METRICS)


def test_dashboard_queries_are_promql():
    """promtool parses them as rules, Grafana's variables filled in."""
    rules = []
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            expr = target["expr"].replace("$__rate_interval", "5m").replace("$stream", ".*")
            rules.append({"record": "panel:%d:%s" % (panel["id"], target["refId"].lower()), "expr": expr})
    path = os.path.join(ROOT, "build", "dashboard.rules.yaml")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}, f)
    promtool("check", "rules", path)
