"""Alerts, dashboard and runbook: expressions that parse, metrics that exist, links that lead on."""

import json
import re

import promql_parser
import pytest
from support import CHART, ROOT, of_kind, render, rendered, values

CODE = "\n".join(path.read_text() for path in (ROOT / "services").rglob("src/**/*.rs"))
METRICS = set(re.findall(r'(?:counter|gauge|histogram)!\(\s*"(\w+)"', CODE))
HISTOGRAMS = set(re.findall(r'histogram!\(\s*"(\w+)"', CODE))
# What Prometheus itself knows of each target.
METRICS.add("up")
LABELS = set(re.findall(r'"(\w+)" =>', CODE)) | {"le", "pod", "namespace", "job"}

[RULE] = of_kind(rendered("production"), "PrometheusRule")
ALERTS = [rule for group in RULE["spec"]["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((CHART / "dashboards/switchboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [
    target["expr"].replace("$__rate_interval", "5m").replace("$namespace", "chat")
    for panel in PANELS
    for target in panel["targets"]
]
EXPRESSIONS = [alert["expr"] for alert in ALERTS] + QUERIES


def selectors(expression):
    """Every selector of a metric in an expression."""
    if isinstance(expression, promql_parser.MatrixSelector):
        expression = expression.vector_selector
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
        return
    for name in ("expr", "lhs", "rhs"):
        inner = getattr(expression, name, None)
        if inner is not None:
            yield from selectors(inner)
    for argument in getattr(expression, "args", None) or []:
        yield from selectors(argument)


def base(metric):
    """The name in the code: a histogram has three in Prometheus."""
    for suffix in ("_bucket", "_sum", "_count"):
        if metric.removesuffix(suffix) in HISTOGRAMS:
            return metric.removesuffix(suffix)
    return metric


@pytest.mark.parametrize("query", EXPRESSIONS)
def test_it_parses_and_asks_for_metrics_and_labels_that_there_are(query):
    found = list(selectors(promql_parser.parse(query)))
    assert found
    for selector in found:
        assert base(selector.name) in METRICS, selector.name
        assert selector.name not in HISTOGRAMS, f"{selector.name} is a histogram"
        asked = {matcher.name for matcher in selector.matchers.matchers}
        assert asked <= LABELS and "namespace" in asked


def test_alerts_select_the_services_that_the_monitors_scrape():
    jobs = {job for alert in ALERTS for job in re.findall(r'job="([^"]+)"', alert["expr"])}
    scraped = {
        service["metadata"]["name"]
        for monitor in of_kind(rendered("production"), "ServiceMonitor")
        for service in of_kind(rendered("production"), "Service")
        if monitor["spec"]["selector"]["matchLabels"].items()
        <= service["metadata"]["labels"].items()
        and any(
            port["name"] == monitor["spec"]["endpoints"][0]["port"]
            for port in service["spec"]["ports"]
        )
    }
    assert jobs == scraped and len(jobs) == 2


def test_the_autoscaler_asks_for_a_metric_that_there_is():
    scalers = of_kind(rendered("production"), "HorizontalPodAutoscaler")
    metrics = [m for scaler in scalers for m in scaler["spec"]["metrics"] if m["type"] == "Pods"]
    assert [m["pods"]["metric"]["name"] for m in metrics] == ["switchboard_connections"]
    assert "switchboard_connections" in METRICS


def headings():
    runbook = (ROOT / "deploy/RUNBOOK.md").read_text()
    return re.findall(r"^### (Switchboard\w+)$", runbook, re.MULTILINE)


def test_the_runbook_has_a_heading_for_each_alert_and_none_too_many():
    names = [alert["alert"] for alert in ALERTS]
    assert sorted(headings()) == sorted(names) and len(set(names)) == len(names)
    for alert in ALERTS:
        link = f"https://wiki.example/switchboard#{alert['alert'].lower()}"
        assert alert["annotations"]["runbook_url"] == link
        assert alert["annotations"]["summary"] and alert["annotations"]["description"]
        assert alert["labels"]["severity"] in ("critical", "warning")


def test_each_alert_says_what_it_means_what_to_look_at_and_what_to_do():
    runbook = (ROOT / "deploy/RUNBOOK.md").read_text()
    sections = re.split(r"^##+ ", runbook, flags=re.MULTILINE)
    for name in headings():
        [section] = [text for text in sections if text.startswith(f"{name}\n")]
        for part in ("**Means**", "**Look at**", "**Do**"):
            assert section.count(part) == 1, (name, part)


def test_thresholds_follow_the_settings():
    given = values("every-setting")
    [rule] = of_kind(render(given), "PrometheusRule")
    of = {r["alert"]: r["expr"] for group in rule["spec"]["groups"] for r in group["rules"]}
    assert of["SwitchboardGatewayNearlyFull"].endswith("> 0.9 * 80000")
    assert ">= 32 and" in of["SwitchboardDatabasePoolUsedUp"]


def test_a_refused_user_is_no_refused_service():
    """message-api counts a user's bad token too, under the name of the service that asked."""
    [expression] = [a["expr"] for a in ALERTS if a["alert"] == "SwitchboardServiceTokenRefused"]
    [asked] = selectors(promql_parser.parse(expression))
    labels = {matcher.name: matcher.value for matcher in asked.matchers.matchers}
    assert (labels["service"], labels["code"]) == ("none", "Unauthenticated")
    gate = (ROOT / "services/message-api/src/grpc/gate.rs").read_text()
    assert 'count("none", &path, Code::Unauthenticated)' in gate


def test_an_alert_on_two_metrics_keeps_the_labels_of_the_first():
    [expression] = [a["expr"] for a in ALERTS if a["alert"] == "SwitchboardPublisherDown"]
    parsed = promql_parser.parse(expression)
    assert str(parsed.op) == "and"
    assert sorted(parsed.modifier.matching.labels) == ["namespace", "pod"]
    assert [s.name for s in selectors(parsed.lhs)] == ["switchboard_publisher_up"]
    assert [s.name for s in selectors(parsed.rhs)] == ["switchboard_publications_lost_total"]


def test_a_counter_that_has_just_begun_counts_as_increased():
    """increase() sees nothing in the first sample, and these are events that may come once."""
    for name in ("SwitchboardGatewayDied", "SwitchboardPublicationsLost"):
        [expression] = [alert["expr"] for alert in ALERTS if alert["alert"] == name]
        parsed = promql_parser.parse(expression)
        assert (str(parsed.op), str(parsed.rhs.op)) == ("or", "unless")
        [now], [before] = list(selectors(parsed.rhs.lhs)), list(selectors(parsed.rhs.rhs))
        assert now.name == before.name and before.offset is not None and now.offset is None


def test_the_dashboard_is_what_grafana_gets():
    [config] = of_kind(rendered("production"), "ConfigMap")
    assert json.loads(config["data"]["switchboard.json"]) == DASHBOARD
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids)) and all(panel["title"] for panel in PANELS)
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in DASHBOARD["panels"]]
    assert len(places) == len(set(places)), "panels lie on each other"
