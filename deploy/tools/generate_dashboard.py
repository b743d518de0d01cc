"""Writes deploy/grafana/lws-sched.json from dashboard.yaml beside this file.

`python -m deploy.tools.generate_dashboard` runs it. Where a metric knows namespaces, its panels keep to those that are
chosen at the top of the dashboard.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

SOURCE = Path(__file__).with_name("dashboard.yaml")
OUTPUT = Path(__file__).parents[1] / "grafana" / "lws-sched.json"
WIDTH, HEIGHT, GRID = 8, 8, 24
"""Of a panel, and how wide Grafana's grid is."""
_QUANTILE = re.compile(r"\bp(\d\d)\((\w+)(\{[^}]*\})?(?:, ([\w, ]+))?\)")
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def expanded(expression: str) -> str:
    """With quantiles in PromQL's words."""
    return _QUANTILE.sub(_quantile, expression)


def _quantile(found: re.Match[str]) -> str:
    percent, metric, labels, by = found.groups()
    kept = f"le, {by}" if by else "le"
    return f"histogram_quantile(0.{percent}, sum by ({kept}) (rate({metric}_bucket{labels or ''}[5m])))"


def dashboard(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "title": "lws-sched",
        "uid": "lws-sched",
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [*_variables()]},
        "panels": [*_panels(rows)],
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "type": "datasource", "query": "prometheus"}
    yield {
        "name": "namespace",
        "type": "query",
        "datasource": _DATASOURCE,
        "query": "label_values(lws_sched_groups, namespace)",
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
    }


def _panels(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    number, y = 1, 0
    for row in rows:
        place = {"h": 1, "w": GRID, "x": 0, "y": y}
        yield {"id": number, "type": "row", "title": row["row"], "collapsed": False, "panels": [], "gridPos": place}
        number, y = number + 1, y + 1
        for at, panel in enumerate(row["panels"]):
            line, x = divmod(at * WIDTH, GRID)
            yield _panel(number, panel, {"h": HEIGHT, "w": WIDTH, "x": x, "y": y + line * HEIGHT})
            number += 1
        y += -(-len(row["panels"]) * WIDTH // GRID) * HEIGHT


def _panel(number: int, panel: Mapping[str, Any], place: Mapping[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel["title"],
        "description": panel["says"],
        "datasource": _DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel["unit"], "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + at), "expr": expanded(expression), "legendFormat": legend}
            for at, (legend, expression) in enumerate(panel["queries"].items())
        ],
    }


def rendered() -> str:
    return json.dumps(dashboard(yaml.safe_load(SOURCE.read_text())), indent=1) + "\n"


if __name__ == "__main__":
    OUTPUT.write_text(rendered())
