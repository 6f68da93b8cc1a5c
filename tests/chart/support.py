"""The chart as Helm renders it, and what the programs say about themselves."""

import json
import re
import subprocess
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import helm_python as helm
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/switchboard"
VALUE_SETS = sorted(path.stem for path in (Path(__file__).parent / "values").glob("*.yaml"))
RELEASE = {"name": "demo", "namespace": "chat"}
PROGRAMS = {"gateway": "socket-gateway", "message-api": "message-api"}


def values(name):
    """The value set of that name."""
    return yaml.safe_load((Path(__file__).parent / f"values/{name}.yaml").read_text())


def objects(files):
    """All objects of what Helm rendered, by template."""
    rendered = [text for path, text in files.items() if not path.endswith("NOTES.txt")]
    return [o for text in rendered for o in yaml.safe_load_all(text) if o]


def render(given, **options):
    """The objects that an installation with these values makes."""
    with helm.Chart.load(CHART) as chart:
        return objects(chart.render(given, **RELEASE, **{"is_install": True, **options}))


@cache
def rendered(name):
    """The objects of a value set."""
    return render(values(name))


def of_kind(found, *kinds):
    """Those of these kinds."""
    return [o for o in found if o["kind"] in kinds]


def name_of(found):
    """Kind and name."""
    return f"{found['kind']}/{found['metadata']['name']}"


def pods(found):
    """Name, pod template and spec of everything that makes pods."""
    for one in found:
        if one["kind"] in ("Deployment", "StatefulSet", "Job"):
            template = one["spec"]["template"]
            yield name_of(one), template["metadata"], template["spec"]
        elif one["kind"] == "Pod":
            yield name_of(one), one["metadata"], one["spec"]


def services(found):
    """The two Deployments by component, with their only container."""
    for one in of_kind(found, "Deployment"):
        spec = one["spec"]["template"]["spec"]
        component = one["metadata"]["labels"]["app.kubernetes.io/component"]
        yield component, one, spec, spec["containers"][0]


def env(container):
    """A container's environment, as far as it is given in words."""
    return {entry["name"]: entry.get("value") for entry in container.get("env", [])}


@cache
def settings_of(program):
    """The environment variables that a program knows, from its --help."""
    told = subprocess.run(
        [ROOT / "target/debug" / program, "--help"], capture_output=True, text=True, check=True
    )
    return set(re.findall(r"\[env: (\w+)", told.stdout))


class Cluster:
    """As much of a Kubernetes API as `lookup` asks: Secrets, read only."""

    def __init__(self):
        self.secrets = {}
        cluster = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self):
                status, body = cluster.answer(self.path.split("?")[0])
                body = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path):
        if path == "/version":
            return 200, {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
        if path == "/api":
            return 200, {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": []}
        if path == "/api/v1":
            secrets = {"name": "secrets", "namespaced": True, "kind": "Secret", "verbs": ["get"]}
            kind = {"kind": "APIResourceList", "groupVersion": "v1"}
            return 200, {**kind, "resources": [secrets]}
        secret = self.secrets.get(path.removeprefix("/api/v1/namespaces/chat/secrets/"))
        if secret:
            return 200, secret
        missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
        return 404, {**missing, "reason": "NotFound", "code": 404}

    def apply(self, found):
        """Keeps the Secrets of a rendering, as an installation would."""
        for one in of_kind(found, "Secret"):
            if "helm.sh/hook" not in one["metadata"].get("annotations", {}):
                self.secrets[one["metadata"]["name"]] = one

    def render(self, given, **options):
        """The objects, with `lookup` asking this cluster."""
        url = f"http://127.0.0.1:{self.server.server_port}"
        named = lambda key, what: {"name": "here", key: what}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [named("cluster", {"server": url})],
            "users": [named("user", {})],
            "contexts": [named("context", {"cluster": "here", "user": "here"})],
        }
        with (
            helm.Config(kubeconfig_content=yaml.safe_dump(content), namespace="chat") as config,
            helm.Chart.load(CHART) as chart,
        ):
            return objects(config.render(chart, given, **RELEASE, **options))
