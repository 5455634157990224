//! How long a server took to refuse: its own histogram, read before and after a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The histogram of the server.
const BUCKET: &str = "wisp_refusal_seconds_bucket{";

/// Refusals of one stage in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefusalFigures {
    /// How far the requests came: `door`, `admission` or `compute`.
    pub stage: String,
    /// How many.
    pub count: u64,
    /// Microseconds that half of them stayed within: the upper end of a bucket. `None` beyond the last one.
    pub p50_us: Option<f64>,
    /// The same of 99 in a hundred.
    pub p99_us: Option<f64>,
}

/// Refusals until now by stage: upper ends of buckets in seconds, and how many stayed within each.
pub(crate) type Buckets = BTreeMap<String, Vec<(f64, u64)>>;

/// Reads the histogram out of the text format of OpenMetrics. What is not understood is left out.
pub(crate) fn read(metrics: &str) -> Buckets {
    let mut buckets = Buckets::new();
    for line in metrics.lines().filter_map(|line| line.strip_prefix(BUCKET)) {
        let Some((labels, count)) = line.split_once("} ") else { continue };
        let (Some(le), Some(stage)) = (label(labels, "le"), label(labels, "stage")) else { continue };
        let end = if le == "+Inf" { Ok(f64::INFINITY) } else { le.parse() };
        if let (Ok(end), Ok(count)) = (end, count.trim().parse()) {
            buckets.entry(stage.to_owned()).or_default().push((end, count));
        }
    }
    buckets
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let value = |part: &'a str| part.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"');
    labels.split(',').find_map(value)
}

/// What was refused between two readings, by stage.
pub(crate) fn between(before: &Buckets, after: &Buckets) -> Vec<RefusalFigures> {
    let figures = after.iter().filter_map(|(stage, after)| {
        let earlier = before.get(stage);
        let until = |index: usize| {
            let earlier = earlier.and_then(|buckets| buckets.get(index)).map_or(0, |(_, count)| *count);
            after[index].1.saturating_sub(earlier)
        };
        let count = until(after.len().checked_sub(1)?);
        let quantile = |share: f64| {
            let wanted = share * count as f64;
            let index = (0..after.len()).find(|&index| until(index) as f64 >= wanted)?;
            Some(after[index].0 * 1e6).filter(|end_us| end_us.is_finite())
        };
        let figures = RefusalFigures { stage: stage.clone(), count, p50_us: quantile(0.5), p99_us: quantile(0.99) };
        (count > 0).then_some(figures)
    });
    figures.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(counts: [u64; 3]) -> String {
        let [a, b, c] = counts;
        format!(
            "# TYPE wisp_refusal_seconds histogram\n\
             wisp_refusal_seconds_sum{{stage=\"door\"}} 1.5\n\
             wisp_refusal_seconds_bucket{{le=\"0.001\",stage=\"door\"}} {a}\n\
             wisp_refusal_seconds_bucket{{le=\"0.005\",stage=\"door\"}} {b}\n\
             wisp_refusal_seconds_bucket{{le=\"+Inf\",stage=\"door\"}} {c}\n\
             wisp_refusal_seconds_bucket{{le=\"+Inf\",stage=\"compute\"}} 0\n"
        )
    }

    #[test]
    fn what_came_between_two_readings_has_its_own_quantiles() {
        let (before, after) = (read(&metrics([1000, 1000, 1000])), read(&metrics([1090, 1099, 1100])));
        let door = RefusalFigures { stage: "door".to_owned(), count: 100, p50_us: Some(1e3), p99_us: Some(5e3) };
        assert_eq!(between(&before, &after), [door]);
    }

    #[test]
    fn beyond_the_last_bucket_there_is_no_figure_and_without_a_reading_none_at_all() {
        let figures = between(&Buckets::new(), &read(&metrics([0, 0, 10])));
        assert_eq!((figures[0].count, figures[0].p50_us), (10, None));
        assert!(between(&read("nonsense"), &read("wisp_refusal_seconds_bucket{x} y")).is_empty());
    }
}
