"""
Make kibana.ndjson and opensearch.ndjson from the list PANELS: `python build.py [PATTERN]`, default logs-shop-*.

The tests check that every reference in the two files resolves and that every field is in the template, and run the
query of each panel on a search engine. The files were not imported into a real Kibana or OpenSearch Dashboards.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
DATA_VIEW = "obs-middleware-logs"
DASHBOARD = "obs-middleware-requests"
TITLE = "Requests"
TIME = "@timestamp"
DURATION = "event.duration"
QUERIES = {"Requests": 'event.action : "http-request"', "Tasks": 'event.action : "task"'}
COLUMNS = ["http.route", "url.path", "http.response.status_code", DURATION, "http.request.id", "obs.slow_at"]
COLUMNS_OF_GRID = 48
PERCENTS = (50, 95, 99)


class Panel(NamedTuple):
    """A panel of one of QUERIES. `x`, `y`, `w` and `h` are its place and size in a grid that is 48 wide."""

    id: str
    title: str
    chart: str  # bars or shares over time, bars by field, table of a field, documents
    field: str
    x: int
    y: int
    w: int
    h: int
    counted: str = "Requests"

    @property
    def query(self) -> dict[str, str]:
        """Return the query for the lines that the panel counts."""
        return {"query": QUERIES[self.counted], "language": "kuery"}


PANELS = [
    Panel("rate", "Request rate by outcome", "bars over time", "event.outcome", 0, 0, 24, 12),
    Panel("errors", "Error rate: the share of each outcome", "shares over time", "event.outcome", 24, 0, 24, 12),
    Panel("routes", "p50, p95 and p99 by route", "table", "http.route", 0, 12, 32, 16),
    Panel("statuses", "Requests by status", "bars", "http.response.status_code", 32, 12, 16, 16),
    Panel("slowest", "Slowest requests", "documents", DURATION, 0, 28, 48, 18),
    Panel("repeated", "Repeated queries by place in the code", "table", "obs.db_repeated_at", 0, 46, 16, 14),
    Panel("blocked", "Blocked event loops by place in the code", "table", "obs.blocked_at", 16, 46, 16, 14),
    Panel("caught", "Slow requests by the place where they were caught", "table", "obs.slow_at", 32, 46, 16, 14),
    Panel("task-outcomes", "Tasks by outcome", "bars over time", "obs.outcome", 0, 60, 20, 14, "Tasks"),
    Panel("tasks", "p50, p95 and p99 by task", "table", "obs.task", 20, 60, 28, 14, "Tasks"),
]
NUMBERS = {"http.response.status_code"}


def reference(name: str, kind: str = "index-pattern", target: str = DATA_VIEW) -> dict[str, str]:
    return {"name": name, "type": kind, "id": target}


def saved(kind: str, name: str, attributes: dict[str, Any], references: list[dict[str, str]]) -> dict[str, Any]:
    return {"id": name, "type": kind, "attributes": attributes, "references": references}


def source(**parts: Any) -> dict[str, str]:
    """Return the filter of a saved object. In both products it is JSON inside of JSON."""
    return {"searchSourceJSON": json.dumps({"query": {"query": "", "language": "kuery"}, "filter": [], **parts})}


def data_view(pattern: str) -> dict[str, Any]:
    nanoseconds = {"inputFormat": "nanoseconds", "outputFormat": "asMilliseconds", "outputPrecision": 1}
    formats = {DURATION: {"id": "duration", "params": nanoseconds}}
    attributes = {"title": pattern, "timeFieldName": TIME, "fieldFormatMap": json.dumps(formats), "fields": "[]"}
    return saved("index-pattern", DATA_VIEW, attributes, [])


def documents(panel: Panel) -> dict[str, Any]:
    index = "kibanaSavedObjectMeta.searchSourceJSON.index"
    attributes = {
        "title": panel.title,
        "description": "",
        "columns": COLUMNS,
        "sort": [[panel.field, "desc"]],
        "kibanaSavedObjectMeta": source(query=panel.query, indexRefName=index),
    }
    return saved("search", f"obs-middleware-{panel.id}", attributes, [reference(index)])


def grid(panel: Panel) -> dict[str, Any]:
    return {"x": panel.x, "y": panel.y, "w": panel.w, "h": panel.h, "i": panel.id}


def dashboard(panels: list[dict[str, Any]], references: list[dict[str, str]]) -> dict[str, Any]:
    attributes = {
        "title": TITLE,
        "description": "One line per request: rate, percentiles, errors, the slowest, and their code. Tasks below.",
        "panelsJSON": json.dumps(panels),
        "optionsJSON": json.dumps({"useMargins": True, "hidePanelTitles": False}),
        "timeRestore": True,
        "timeFrom": "now-1h",
        "timeTo": "now",
        "version": 1,
        "kibanaSavedObjectMeta": source(),
    }
    return saved("dashboard", DASHBOARD, attributes, references)


# Kibana: the dashboard contains its panels, made with Lens


def kibana(pattern: str) -> Iterator[dict[str, Any]]:
    yield {**data_view(pattern), "coreMigrationVersion": "8.8.0", "typeMigrationVersion": "8.0.0"}
    panels, references = [], []
    for panel in PANELS:
        placed = {"panelIndex": panel.id, "gridData": grid(panel), "title": panel.title}
        if panel.chart == "documents":
            found = documents(panel)
            yield {**found, "coreMigrationVersion": "8.8.0", "typeMigrationVersion": "8.0.0"}
            name = f"panel_{panel.id}"
            panels.append({**placed, "type": "search", "embeddableConfig": {}, "panelRefName": name})
            references.append(reference(f"{panel.id}:{name}", "search", found["id"]))
        else:
            panels.append({**placed, "type": "lens", "embeddableConfig": {"attributes": lens(panel)}})
            references.append(reference(f"{panel.id}:indexpattern-datasource-layer-requests"))
    found = dashboard(panels, references)
    yield {**found, "coreMigrationVersion": "8.8.0", "typeMigrationVersion": "10.2.0"}


def lens(panel: Panel) -> dict[str, Any]:
    columns = lens_columns(panel)
    if panel.chart == "table":
        kind = "lnsDatatable"
        look: dict[str, Any] = {
            "layerId": "requests",
            "layerType": "data",
            "columns": [{"columnId": name} for name in columns],
        }
    else:
        kind = "lnsXY"
        over_time = panel.chart.endswith("over time")
        layer = {
            "layerId": "requests",
            "layerType": "data",
            "seriesType": "area_percentage_stacked" if panel.chart == "shares over time" else "bar_stacked",
            "xAccessor": "time" if over_time else "field",
            "accessors": ["count"],
            **({"splitAccessor": "field"} if over_time else {}),
        }
        look = {
            "legend": {"isVisible": over_time, "position": "right"},
            "preferredSeriesType": layer["seriesType"],
            "valueLabels": "hide",
            "layers": [layer],
        }
    layers = {"requests": {"columnOrder": list(columns), "columns": columns, "incompleteColumns": {}}}
    return {
        "title": panel.title,
        "description": "",
        "type": "lens",
        "visualizationType": kind,
        "state": {
            "visualization": look,
            "query": panel.query,
            "filters": [],
            "datasourceStates": {"formBased": {"layers": layers}},
            "internalReferences": [],
            "adHocDataViews": {},
        },
        "references": [reference("indexpattern-datasource-layer-requests")],
    }


def lens_columns(panel: Panel) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if panel.chart.endswith("over time"):
        columns["time"] = {
            "label": TIME,
            "dataType": "date",
            "operationType": "date_histogram",
            "sourceField": TIME,
            "isBucketed": True,
            "scale": "interval",
            "params": {"interval": "auto", "includeEmptyRows": True, "dropPartials": False},
        }
    columns["field"] = {
        "label": panel.field,
        "dataType": "number" if panel.field in NUMBERS else "string",
        "operationType": "terms",
        "sourceField": panel.field,
        "isBucketed": True,
        "scale": "ordinal",
        "params": {
            "size": 20,
            "orderBy": {"type": "column", "columnId": "count"},
            "orderDirection": "desc",
            "otherBucket": False,
            "missingBucket": False,
            "parentFormat": {"id": "terms"},
        },
    }
    measured = {"isBucketed": False, "dataType": "number", "scale": "ratio", "customLabel": True}
    columns["count"] = {
        "label": panel.counted,
        "operationType": "count",
        "sourceField": "___records___",
        "params": {"emptyAsNull": True},
        **measured,
    }
    for percent in PERCENTS if panel.chart == "table" else ():
        columns[f"p{percent}"] = {
            "label": f"p{percent}",
            "operationType": "percentile",
            "sourceField": DURATION,
            "params": {"percentile": percent},
            **measured,
        }
    return columns


# OpenSearch Dashboards has no Lens: the dashboard refers to visualizations


def opensearch(pattern: str) -> Iterator[dict[str, Any]]:
    yield {**data_view(pattern), "migrationVersion": {"index-pattern": "7.6.0"}}
    panels, references = [], []
    for number, panel in enumerate(PANELS):
        if panel.chart == "documents":
            found = {**documents(panel), "migrationVersion": {"search": "7.9.3"}}
        else:
            found = {**visualization(panel), "migrationVersion": {"visualization": "7.10.0"}}
        yield found
        name = f"panel_{number}"
        placed = {"panelIndex": panel.id, "gridData": grid(panel), "version": "7.10.0", "embeddableConfig": {}}
        panels.append({**placed, "panelRefName": name})
        references.append(reference(name, found["type"], found["id"]))
    yield {**dashboard(panels, references), "migrationVersion": {"dashboard": "7.9.3"}}


def visualization(panel: Panel) -> dict[str, Any]:
    index = "kibanaSavedObjectMeta.searchSourceJSON.index"
    kind = {"table": "table", "shares over time": "area"}.get(panel.chart, "histogram")
    state = {"title": panel.title, "type": kind, "aggs": aggregations(panel), "params": parameters(panel, kind)}
    attributes = {
        "title": panel.title,
        "description": "",
        "visState": json.dumps(state),
        "uiStateJSON": "{}",
        "version": 1,
        "kibanaSavedObjectMeta": source(query=panel.query, indexRefName=index),
    }
    return saved("visualization", f"obs-middleware-{panel.id}", attributes, [reference(index)])


def aggregations(panel: Panel) -> list[dict[str, Any]]:
    over_time = panel.chart.endswith("over time")
    found: list[tuple[str, str, dict[str, Any]]] = [("count", "metric", {})]
    if panel.chart == "table":
        found.append(("percentiles", "metric", {"field": DURATION, "percents": list(PERCENTS)}))
    if over_time:
        found.append(("date_histogram", "segment", {"field": TIME, "interval": "auto", "min_doc_count": 1}))
    terms = {"field": panel.field, "size": 20, "order": "desc", "orderBy": "1"}
    schema = "group" if over_time else "bucket" if panel.chart == "table" else "segment"
    found.append(("terms", schema, {**terms, "otherBucket": False, "missingBucket": False}))
    return [
        {"id": str(number), "enabled": True, "type": kind, "schema": schema, "params": params}
        for number, (kind, schema, params) in enumerate(found, 1)
    ]


def parameters(panel: Panel, kind: str) -> dict[str, Any]:
    if kind == "table":
        return {"perPage": 20, "showPartialRows": False, "showMetricsAtAllLevels": False, "showTotal": False}
    share = panel.chart == "shares over time"
    category = {"id": "CategoryAxis-1", "type": "category", "position": "bottom", "show": True}
    value = {"id": "ValueAxis-1", "name": "LeftAxis-1", "type": "value", "position": "left", "show": True}
    series = {"show": True, "type": kind, "mode": "stacked", "data": {"id": "1", "label": "Count"}}
    return {
        "type": kind,
        "categoryAxes": [{**category, "scale": {"type": "linear"}, "labels": {"show": True}, "title": {}}],
        "valueAxes": [
            {
                **value,
                "scale": {"type": "linear", "mode": "percentage" if share else "normal"},
                "labels": {"show": True},
                "title": {"text": "Share" if share else panel.counted},
            }
        ],
        "seriesParams": [{**series, "valueAxis": "ValueAxis-1"}],
        "addTooltip": True,
        "addLegend": panel.chart.endswith("over time"),
        "legendPosition": "right",
        "times": [],
        "addTimeMarker": False,
    }


def main(pattern: str = "logs-shop-*") -> None:
    for name, made in (("kibana", kibana(pattern)), ("opensearch", opensearch(pattern))):
        (HERE / f"{name}.ndjson").write_text("".join(json.dumps(one) + "\n" for one in made), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
