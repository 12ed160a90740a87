//! Panels and how they fill a dashboard.

use super::DATA_SOURCE;
use platform_core::value::Percent;
use serde_json::{Value, json};

/// Width of a dashboard in Grafana's grid.
const COLUMNS: usize = 24;
const WIDTH: usize = 8;
const HEIGHT: usize = 8;

/// What the numbers of a panel are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    Share,
    Bytes,
    BytesPerSecond,
    PerSecond,
    Seconds,
    Count,
    Cores,
}

impl Unit {
    /// Grafana's name of it.
    const fn id(self) -> &'static str {
        match self {
            Self::Share => "percentunit",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "Bps",
            Self::PerSecond => "ops",
            Self::Seconds => "s",
            Self::Count => "short",
            Self::Cores => "none",
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    /// Lines over time.
    Lines,
    /// The newest number.
    Number,
}

/// One panel.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    title: &'static str,
    shape: Shape,
    unit: Unit,
    limit: Option<f64>,
    queries: Vec<(String, &'static str)>,
}

impl Panel {
    /// Lines over time.
    pub(super) fn lines(title: &'static str, unit: Unit) -> Self {
        Self {
            title,
            shape: Shape::Lines,
            unit,
            limit: None,
            queries: Vec::new(),
        }
    }

    /// The newest number, red above 0.
    pub(super) fn faults(title: &'static str) -> Self {
        Self {
            shape: Shape::Number,
            limit: Some(1.0),
            ..Self::lines(title, Unit::Count)
        }
    }

    /// Adds a query; the legend is a template over the labels of its result.
    pub(super) fn query(mut self, legend: &'static str, expr: impl Into<String>) -> Self {
        self.queries.push((expr.into(), legend));
        self
    }

    /// Draws the share at which an alarm is raised.
    pub(super) fn limit(mut self, share: Percent) -> Self {
        self.limit = Some(f64::from(share.get()) / 100.0);
        self
    }

    fn into_value(self, id: usize, x: usize, y: usize) -> Value {
        let source = json!({ "type": "prometheus", "uid": DATA_SOURCE });
        let targets: Vec<Value> = self
            .queries
            .iter()
            .zip('A'..='Z')
            .map(|((expr, legend), letter)| {
                json!({
                    "refId": letter.to_string(),
                    "datasource": source,
                    "expr": expr,
                    "legendFormat": legend,
                    "range": matches!(self.shape, Shape::Lines),
                    "instant": matches!(self.shape, Shape::Number),
                })
            })
            .collect();
        let mut steps = vec![json!({ "color": "green", "value": null })];
        steps.extend(self.limit.map(|limit| json!({ "color": "red", "value": limit })));
        let mut defaults = json!({
            "unit": self.unit.id(),
            "min": 0,
            "thresholds": { "mode": "absolute", "steps": steps },
        });
        let (kind, options) = match self.shape {
            Shape::Lines => {
                let style = if self.limit.is_some() { "line" } else { "off" };
                defaults["custom"] = json!({
                    "drawStyle": "line",
                    "fillOpacity": 10,
                    "lineWidth": 1,
                    "showPoints": "never",
                    "thresholdsStyle": { "mode": style },
                });
                let options = json!({
                    "legend": { "calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": true },
                    "tooltip": { "mode": "multi", "sort": "desc" },
                });
                ("timeseries", options)
            }
            Shape::Number => {
                let options = json!({
                    "colorMode": "value",
                    "graphMode": "none",
                    "justifyMode": "auto",
                    "orientation": "auto",
                    "percentChangeColorMode": "standard",
                    "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
                    "showPercentChange": false,
                    "textMode": "auto",
                    "wideLayout": true,
                });
                ("stat", options)
            }
        };
        json!({
            "id": id,
            "type": kind,
            "title": self.title,
            "datasource": source,
            "gridPos": { "h": HEIGHT, "w": WIDTH, "x": x, "y": y },
            "fieldConfig": { "defaults": defaults, "overrides": [] },
            "options": options,
            "targets": targets,
        })
    }
}

/// One dashboard: sections with panels. A section without panels is left out.
#[derive(Clone, Debug)]
pub(super) struct Dashboard {
    name: &'static str,
    title: &'static str,
    sections: Vec<(&'static str, Vec<Panel>)>,
}

impl Dashboard {
    pub(super) fn new(name: &'static str, title: &'static str) -> Self {
        Self {
            name,
            title,
            sections: Vec::new(),
        }
    }

    pub(super) fn section(mut self, title: &'static str, panels: Vec<Panel>) -> Self {
        if !panels.is_empty() {
            self.sections.push((title, panels));
        }
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    pub(super) fn file(&self) -> String {
        format!("{}.json", self.name)
    }

    /// Rows of three panels under the heading of their section.
    pub(super) fn into_value(self) -> Value {
        let mut panels = Vec::new();
        let mut y = 0;
        for (title, section) in self.sections {
            panels.push(json!({
                "id": panels.len() + 1,
                "type": "row",
                "title": title,
                "collapsed": false,
                "gridPos": { "h": 1, "w": COLUMNS, "x": 0, "y": y },
                "panels": [],
            }));
            y += 1;
            let in_row = COLUMNS / WIDTH;
            let rows = section.len().div_ceil(in_row);
            for (index, panel) in section.into_iter().enumerate() {
                let (x, row) = (index % in_row * WIDTH, index / in_row);
                panels.push(panel.into_value(panels.len() + 1, x, y + row * HEIGHT));
            }
            y += rows * HEIGHT;
        }
        json!({
            "uid": format!("platform-{}", self.name),
            "title": self.title,
            "tags": ["platform"],
            "schemaVersion": 41,
            "editable": false,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": { "from": "now-6h", "to": "now" },
            "timezone": "utc",
            "annotations": { "list": [] },
            "links": [],
            "templating": { "list": [] },
            "panels": panels,
        })
    }
}
