"""The rendered objects: what the API takes, and what one says about another."""

import json
import re

import helm_python as helm
import kubernetes_validate
import pytest
from support import (
    CHART,
    RELEASE,
    VALUE_SETS,
    env,
    name_of,
    of_kind,
    pods,
    rendered,
    services,
    values,
)

# Kinds that the Kubernetes API has no schema for: the keys of their spec, and of a list in it.
CUSTOM = {
    "ServiceMonitor": ("monitoring.coreos.com/v1", {"selector", "endpoints"}),
    "PrometheusRule": ("monitoring.coreos.com/v1", {"groups"}),
    "HTTPRoute": ("gateway.networking.k8s.io/v1", {"parentRefs", "hostnames", "rules"}),
}
ITEMS = {
    "endpoints": {"port", "path", "interval"},
    "groups": {"name", "rules"},
    "rules": {"matches", "sessionPersistence", "timeouts", "backendRefs"},
}
# The chart's kubeVersion, and the newest.
VERSIONS = ["1.30", "1.37"]


@pytest.mark.parametrize("name", VALUE_SETS)
def test_helm_finds_nothing_to_warn_of(name):
    report = helm.lint(CHART, values(name), strict=True)
    assert report["errors"] == []
    assert [m for m in report["messages"] if m["severity"] > 1] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_the_kubernetes_api_takes_every_object(found, version):
    for one in found:
        if one["kind"] in CUSTOM:
            api, known = CUSTOM[one["kind"]]
            assert one["apiVersion"] == api
            assert all(one["spec"].values()) and set(one["spec"]) <= known, name_of(one)
            for name in ITEMS.keys() & one["spec"].keys():
                assert all(set(item) <= ITEMS[name] for item in one["spec"][name]), name_of(one)
        else:
            kubernetes_validate.validate(one, version, strict=True)


def test_the_validation_notices_what_does_not_belong():
    broken = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"port": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


def test_no_two_objects_share_a_name(found):
    names = [name_of(one) for one in found]
    assert len(names) == len(set(names))


def matches(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


def selected(found, selector):
    return [(name, spec) for name, meta, spec in pods(found) if matches(selector, meta["labels"])]


def test_every_selector_finds_the_pods_that_it_is_for(found):
    for one in of_kind(found, "Deployment", "StatefulSet"):
        selector = one["spec"]["selector"]["matchLabels"]
        assert [name for name, _ in selected(found, selector)] == [name_of(one)]
        spread = one["spec"]["template"]["spec"].get("topologySpreadConstraints", [])
        assert all(s["labelSelector"]["matchLabels"] == selector for s in spread)
    for one in of_kind(found, "PodDisruptionBudget"):
        assert len(selected(found, one["spec"]["selector"]["matchLabels"])) == 1
    for one in of_kind(found, "NetworkPolicy"):
        others = [
            peer["podSelector"]["matchLabels"]
            for rule in one["spec"].get("ingress", []) + one["spec"]["egress"]
            for peer in rule.get("from", []) + rule.get("to", [])
            if "app.kubernetes.io/component" in peer.get("podSelector", {}).get("matchLabels", {})
        ]
        absent = {"migrate"} - {c for o in of_kind(found, "Job") for c in ["migrate"]}
        for selector in [one["spec"]["podSelector"]["matchLabels"], *others]:
            component = selector["app.kubernetes.io/component"]
            assert selected(found, selector) or component in absent, (name_of(one), component)


def test_a_hooks_pods_are_let_out_by_a_policy_that_is_there_before_them(found):
    policies = of_kind(found, "NetworkPolicy")
    hook = lambda one: one["metadata"].get("annotations", {})
    for job in of_kind(found, "Job") if policies else []:
        labels = job["spec"]["template"]["metadata"]["labels"]
        [policy] = [p for p in policies if matches(p["spec"]["podSelector"]["matchLabels"], labels)]
        assert hook(policy)["helm.sh/hook"] == hook(job)["helm.sh/hook"]
        weight = lambda one: int(hook(one)["helm.sh/hook-weight"])
        assert weight(policy) < weight(job)
        ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        assert {53, 5353, 3306} <= ports


def test_a_drain_evicts_no_gateway_for_being_unready(found):
    for one in of_kind(found, "PodDisruptionBudget"):
        is_gateway = one["metadata"]["labels"]["app.kubernetes.io/component"] == "gateway"
        asked = one["spec"]["unhealthyPodEvictionPolicy"]
        assert asked == ("IfHealthyBudget" if is_gateway else "AlwaysAllow")


def test_only_message_api_reaches_the_clouds_metadata():
    open_to = [
        one["metadata"]["name"]
        for one in of_kind(rendered("production"), "NetworkPolicy")
        for rule in one["spec"]["egress"]
        if rule.get("to") == [{"ipBlock": {"cidr": "169.254.170.23/32"}}]
        and rule["ports"] == [{"port": 80}]
    ]
    assert open_to == ["demo-switchboard-message-api"]


def port_names(spec):
    return {port["name"]: port["containerPort"] for c in spec["containers"] for port in c["ports"]}


def test_every_port_that_is_named_is_a_containers(found):
    for one in of_kind(found, "Service"):
        [(_, spec)] = selected(found, one["spec"]["selector"])
        for port in one["spec"]["ports"]:
            number = port_names(spec)[port["targetPort"]]
            # Nothing translates the ports of a headless Service.
            assert one["spec"].get("clusterIP") != "None" or number == port["port"]
    for one in of_kind(found, "NetworkPolicy"):
        targets = selected(found, one["spec"]["podSelector"]["matchLabels"])
        for rule in one["spec"].get("ingress", []):
            assert all(
                port["port"] in port_names(spec) for port in rule["ports"] for _, spec in targets
            )
    for name, _, spec in pods(found):
        for container in spec["containers"]:
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = container.get(kind)
                if probe:
                    asked = probe.get("httpGet") or probe["tcpSocket"]
                    assert asked["port"] in port_names(spec), (name, kind)


def test_the_programs_listen_on_the_ports_that_are_declared(found):
    for _, _, spec, container in services(found):
        ports = port_names(spec)
        told = {key: value for key, value in env(container).items() if key.endswith("_ADDR")}
        assert {key: int(value.rsplit(":", 1)[1]) for key, value in told.items()} == {
            f"{name.upper()}_ADDR": number for name, number in ports.items()
        }


def test_liveness_does_not_ask_what_readiness_asks(found):
    for _, _, _, container in services(found):
        paths = {
            kind: container[f"{kind}Probe"]["httpGet"]["path"]
            for kind in ("startup", "readiness", "liveness")
        }
        assert paths == {"startup": "/healthz", "readiness": "/readyz", "liveness": "/healthz"}


@pytest.mark.parametrize("name", VALUE_SETS)
def test_the_grace_fits_the_drain(name):
    with helm.Chart.load(CHART) as chart:
        merged = chart.merge_values(values(name))
    for component, _, spec, container in services(rendered(name)):
        settings = merged["gateway" if component == "gateway" else "messageApi"]["settings"]
        sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        told = env(container)
        needed = sleep + int(told["DRAIN_DELAY"]) + int(told["SHUTDOWN_GRACE"])
        assert sleep + int(told["DRAIN_DELAY"]) == settings["DRAIN_DELAY"]
        assert spec["terminationGracePeriodSeconds"] >= needed + 5


def test_what_scales_exists_and_is_slow_to_shrink(found):
    deployments = {o["metadata"]["name"]: o for o in of_kind(found, "Deployment")}
    scaled = of_kind(found, "HorizontalPodAutoscaler")
    for one in scaled:
        target = deployments[one["spec"]["scaleTargetRef"]["name"]]
        assert "replicas" not in target["spec"], "the autoscaler's number would be undone"
        container = target["spec"]["template"]["spec"]["containers"][0]
        assert container["resources"]["requests"]["cpu"]
        down = one["spec"]["behavior"]["scaleDown"]
        assert down["stabilizationWindowSeconds"] >= 300
    for name, one in deployments.items():
        has_scaler = any(o["spec"]["scaleTargetRef"]["name"] == name for o in scaled)
        assert has_scaler != ("replicas" in one["spec"])


def test_the_gateways_ask_the_headless_service_of_message_api(found):
    [container] = [c for component, _, _, c in services(found) if component == "gateway"]
    scheme, host = env(container)["MESSAGE_API_GRPC_URL"].split("://")
    name, namespace, _ = host.split(".")
    assert namespace == "chat"
    [service] = [o for o in of_kind(found, "Service") if o["metadata"]["name"] == name]
    assert service["spec"]["clusterIP"] == "None"
    assert int(host.rsplit(":", 1)[1]) in [port["port"] for port in service["spec"]["ports"]]
    assert (scheme == "https") == ("MESSAGE_API_CA_FILE" in env(container))


def test_a_volume_of_one_pod_is_not_asked_for_by_two():
    of = {component: one for component, one, _, _ in services(rendered("try-out"))}
    assert of["message-api"]["spec"]["strategy"] == {"type": "Recreate"}
    for _, one, _, _ in services(rendered("gateway-api")):
        assert one["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


@pytest.mark.parametrize("name", VALUE_SETS)
def test_the_notes_name_the_next_commands_and_what_there_is(name):
    with helm.Chart.load(CHART) as chart:
        notes = chart.render(values(name), **RELEASE)["switchboard/templates/NOTES.txt"]
    commands = [line for line in notes.splitlines() if line.startswith("  ")]
    assert len(commands) == 3 and "helm test demo -n chat" in commands[1]
    named = set(re.findall(r"(?:deployment|service)/([\w-]+)", notes))
    assert named and named <= {one["metadata"]["name"] for one in rendered(name)}


def test_helm_test_asks_through_services_that_there_are(found):
    [pod] = of_kind(found, "Pod")
    ports = {
        o["metadata"]["name"]: [p["port"] for p in o["spec"]["ports"]]
        for o in of_kind(found, "Service")
    }
    for container in pod["spec"]["containers"]:
        program, flag, url = container["command"]
        host, port = re.match(r"http://([\w-]+)(?::(\d+))?/", url).groups()
        assert flag == "--health" and int(port or 80) in ports[host]
    asked = {container["name"] for container in pod["spec"]["containers"]}
    assert {"rest", "gateway-ready", "message-api-ready"} <= asked


def test_clients_are_held_by_address_only_where_the_service_sees_it():
    """Behind a proxy all would seem to be one."""
    front = lambda name: [
        o["spec"]
        for o in of_kind(rendered(name), "Service")
        if o["metadata"]["name"].endswith("-gateway")
    ][0]
    assert "sessionAffinity" not in front("production")
    held = front("small")
    assert (held["sessionAffinity"], held["externalTrafficPolicy"]) == ("ClientIP", "Local")


def test_requests_go_where_haproxy_cfg_sends_them(found):
    backends = {}
    for one in of_kind(found, "Ingress"):
        for path in one["spec"]["rules"][0]["http"]["paths"]:
            exact = path["path"] == "/socket.io/socket.io.js"
            assert path["pathType"] == ("Exact" if exact else "Prefix")
            backends[path["path"]] = path["backend"]["service"]["name"]
    for one in of_kind(found, "HTTPRoute"):
        for rule in one["spec"]["rules"]:
            for match in rule["matches"]:
                exact = match["path"]["value"] == "/socket.io/socket.io.js"
                assert match["path"]["type"] == ("Exact" if exact else "PathPrefix")
                backends[match["path"]["value"]] = rule["backendRefs"][0]["name"]
    known = {o["metadata"]["name"] for o in of_kind(found, "Service")}
    assert set(backends.values()) <= known
    if backends:
        component = {path: name.rsplit("-", 1)[-1] for path, name in backends.items()}
        assert component == {
            "/socket.io/socket.io.js": "api",
            "/socket.io": "gateway",
            "/ws": "gateway",
            "/": "api",
        }


def test_every_file_that_a_setting_names_is_mounted(found):
    for _, _, spec, container in services(found):
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for name, path in env(container).items():
            if name.endswith("_FILE"):
                folder, file = path.rsplit("/", 1)
                volume = volumes[mounts[folder]]
                sources = volume.get("projected", {}).get("sources") or [volume]
                files = [
                    item["path"]
                    for source in sources
                    for kind in ("secret", "configMap")
                    for item in source.get(kind, {}).get("items", [])
                ]
                assert file in files or (not files and file in ("tls.crt", "tls.key", "ca.crt")), (
                    name
                )


def test_message_api_reads_the_issuers_that_are_listed_and_may_reach_them():
    found, given = rendered("every-setting"), values("every-setting")["issuers"]
    [told] = of_kind(found, "ConfigMap")
    assert json.loads(told["data"]["issuers.json"]) == given
    [(spec, container)] = [(s, c) for of, _, s, c in services(found) if of == "message-api"]
    folder, file = env(container)["ISSUERS_FILE"].rsplit("/", 1)
    [name] = [m["name"] for m in container["volumeMounts"] if m["mountPath"] == folder]
    [volume] = [volume for volume in spec["volumes"] if volume["name"] == name]
    [source] = [s["configMap"] for s in volume["projected"]["sources"] if "configMap" in s]
    assert name_of(told) == "ConfigMap/chat-issuers"
    assert source == {"name": "chat-issuers", "items": [{"key": "issuers.json", "path": file}]}
    for policy in of_kind(found, "NetworkPolicy"):
        ports = [p["port"] for rule in policy["spec"]["egress"] for p in rule.get("ports", [])]
        assert (8443 in ports) == (name_of(policy) == "NetworkPolicy/chat-message-api")
    without = rendered("minimal")
    assert not of_kind(without, "ConfigMap")
    assert all("ISSUERS_FILE" not in env(c) for _, _, _, c in services(without))


def test_every_pod_meets_the_restricted_standard(found):
    for name, _, spec in pods(found):
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), name
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True and pod["runAsUser"] > 0, name
        assert pod["seccompProfile"]["type"] == "RuntimeDefault", name
        assert spec["automountServiceAccountToken"] is False, name
        allowed = {"projected", "secret", "emptyDir", "persistentVolumeClaim", "configMap"}
        assert all(set(volume) - {"name"} <= allowed for volume in spec.get("volumes", [])), name
        for container in spec["containers"] + spec.get("initContainers", []):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert context["readOnlyRootFilesystem"] is True, name
            assert not any("hostPort" in port for port in container.get("ports", [])), name
            assert container["resources"]["requests"], name
