//! What an alarm compares: a metric, or a formula of several.

use aws_sdk_cloudwatch::operation::put_metric_alarm::builders::PutMetricAlarmFluentBuilder;
use aws_sdk_cloudwatch::types::{self, Dimension, MetricAlarm, MetricDataQuery, MetricStat, Statistic};
use platform_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Statistics that have a name; all others are percentiles and the like.
const STATISTICS: &[&str] = &["Average", "Maximum", "Minimum", "SampleCount", "Sum"];

/// A metric and what is made of its values within a period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metric {
    /// `AWS/RDS`.
    namespace: String,
    name: String,
    #[serde(default)]
    dimensions: BTreeMap<String, String>,
    /// `Average`, `Maximum`, `Minimum`, `SampleCount`, `Sum`, `p99`.
    stat: String,
    /// Seconds.
    #[serde(default = "minute")]
    period: i32,
}

fn minute() -> i32 {
    60
}

impl Metric {
    pub(super) fn check(&self) -> Result<()> {
        let period = self.period;
        if [10, 20, 30].contains(&period) || (period > 0 && period % 60 == 0) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Invalid, format!("a period of {period} seconds"))
            .with_help("choose 10, 20, 30 or a multiple of 60"))
    }

    pub(super) fn put(&self, call: PutMetricAlarmFluentBuilder) -> PutMetricAlarmFluentBuilder {
        let call = call
            .namespace(&self.namespace)
            .metric_name(&self.name)
            .set_dimensions(Some(self.to_dimensions()))
            .period(self.period);
        if STATISTICS.contains(&self.stat.as_str()) {
            call.statistic(Statistic::from(self.stat.as_str()))
        } else {
            call.extended_statistic(&self.stat)
        }
    }

    pub(super) fn of_alarm(alarm: &MetricAlarm) -> Option<Self> {
        let name = alarm.metric_name().filter(|name| !name.is_empty())?;
        let stat = match alarm.extended_statistic() {
            Some(extended) => extended,
            None => alarm.statistic().map(Statistic::as_str).unwrap_or_default(),
        };
        Some(Self {
            namespace: alarm.namespace().unwrap_or_default().to_owned(),
            name: name.to_owned(),
            dimensions: from_dimensions(alarm.dimensions()),
            stat: stat.to_owned(),
            period: alarm.period().unwrap_or_default(),
        })
    }

    fn to_dimensions(&self) -> Vec<Dimension> {
        self.dimensions
            .iter()
            .map(|(name, value)| Dimension::builder().name(name).value(value).build())
            .collect()
    }
}

fn from_dimensions(dimensions: &[Dimension]) -> BTreeMap<String, String> {
    dimensions
        .iter()
        .map(|one| {
            (
                one.name().unwrap_or_default().to_owned(),
                one.value().unwrap_or_default().to_owned(),
            )
        })
        .collect()
}

/// A metric or a formula.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metric: Option<Metric>,
    /// Of other queries' ids: `100 * errors / requests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expression: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// Whether this one is compared.
    #[serde(default)]
    compared: bool,
}

impl Query {
    pub(super) fn to_sdk(&self, id: &str) -> MetricDataQuery {
        let metric = self.metric.as_ref().map(|metric| {
            let of = types::Metric::builder()
                .namespace(&metric.namespace)
                .metric_name(&metric.name)
                .set_dimensions(Some(metric.to_dimensions()))
                .build();
            MetricStat::builder()
                .metric(of)
                .period(metric.period)
                .stat(&metric.stat)
                .build()
        });
        MetricDataQuery::builder()
            .id(id)
            .set_metric_stat(metric)
            .set_expression(self.expression.clone())
            .set_label(self.label.clone())
            .return_data(self.compared)
            .build()
    }

    pub(super) fn from_sdk(query: &MetricDataQuery) -> Self {
        let metric = query.metric_stat().and_then(|stat| {
            let metric = stat.metric()?;
            Some(Metric {
                namespace: metric.namespace().unwrap_or_default().to_owned(),
                name: metric.metric_name().unwrap_or_default().to_owned(),
                dimensions: from_dimensions(metric.dimensions()),
                stat: stat.stat().unwrap_or_default().to_owned(),
                period: stat.period().unwrap_or_default(),
            })
        });
        let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        Self {
            metric,
            expression: text(query.expression()),
            label: text(query.label()),
            // CloudWatch's own default.
            compared: query.return_data().unwrap_or(true),
        }
    }
}

pub(super) fn check(queries: &BTreeMap<String, Query>) -> Result<()> {
    let invalid = |what: String, help: &str| Err(Error::new(ErrorKind::Invalid, what).with_help(help));
    for (id, query) in queries {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !id.starts_with(|c: char| c.is_ascii_lowercase()) || !id.chars().all(legal) {
            return invalid(
                format!("{id:?} under queries is no id of a query"),
                "a lower case letter, then letters, digits and _",
            );
        }
        match (&query.metric, &query.expression) {
            (Some(metric), None) => metric.check()?,
            (None, Some(_)) => {}
            _ => {
                return invalid(format!("query {id} needs `metric` or `expression`"), "give one of them");
            }
        }
    }
    let compared = queries.values().filter(|query| query.compared).count();
    if !queries.is_empty() && compared != 1 {
        return invalid(
            format!("{compared} queries are compared"),
            "set `compared` of exactly one",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Metric, Query, check};
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn a_query_reads_back_as_it_was_written() {
        let queries: BTreeMap<String, Query> = serde_json::from_value(json!({
            "failed": {"metric": {"namespace": "AWS/Backup", "name": "NumberOfBackupJobsFailed", "stat": "Sum", "period": 3600,
                "dimensions": {"BackupVaultName": "v"}}},
            "all": {"expression": "FILL(failed, 0)", "label": "bad", "compared": true},
        }))
        .unwrap();
        check(&queries).unwrap();
        for (id, query) in &queries {
            assert_eq!(&Query::from_sdk(&query.to_sdk(id)), query);
        }
    }

    #[test]
    fn what_cloudwatch_would_refuse_is_refused_before() {
        let metric = |period: i32| json!({"namespace": "n", "name": "m", "stat": "Sum", "period": period});
        for (period, legal) in [(10, true), (60, true), (300, true), (45, false), (0, false)] {
            let metric: Metric = serde_json::from_value(metric(period)).unwrap();
            assert_eq!(metric.check().is_ok(), legal, "{period}");
        }
        for bad in [
            json!({"A": {"metric": metric(60), "compared": true}}),
            json!({"a-b": {"metric": metric(60), "compared": true}}),
            json!({"a": {"compared": true}}),
            json!({"a": {"metric": metric(60), "expression": "b", "compared": true}}),
            json!({"a": {"metric": metric(60)}}),
            json!({"a": {"metric": metric(60), "compared": true}, "b": {"expression": "a", "compared": true}}),
        ] {
            let queries: BTreeMap<String, Query> = serde_json::from_value(bad.clone()).unwrap();
            assert!(check(&queries).is_err(), "{bad}");
        }
    }
}
