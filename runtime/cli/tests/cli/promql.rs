//! As much of PromQL and of rule files as is needed to see which metrics and labels they name.

/// Words of the language that stand where a metric could.
const WORDS: [&str; 12] =
    ["by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool", "offset", "inf"];

/// After these come labels in brackets.
const GROUPINGS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// A metric in a query, and the labels that it is chosen by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) metric: String,
    pub(crate) labels: Vec<String>,
}

/// A rule of Prometheus, as far as it matters here.
#[derive(Debug, Default)]
pub(crate) struct Rule {
    pub(crate) alert: String,
    pub(crate) expr: String,
    pub(crate) has_summary: bool,
    pub(crate) has_description: bool,
    pub(crate) has_severity: bool,
}

/// The labels of a line of figures, with their values.
pub(crate) fn labels(line: &str) -> Vec<(String, String)> {
    let Some(inside) = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')) else { return Vec::new() };
    let pairs = inside.0.split("\",").filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (label, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("`{pair}` in `{line}`"));
        (label.to_owned(), value.trim_end_matches('"').to_owned())
    };
    pairs.map(pair).collect()
}

/// The metrics that a query names.
pub(crate) fn selectors(query: &str) -> Vec<Selector> {
    let mut selectors = Vec::new();
    let mut rest = query;
    while let Some((word, after)) = next_word(&mut rest) {
        let follows = after.trim_start();
        let is_aggregation = ["by", "without"].iter().any(|word| {
            let rest = follows.strip_prefix(word);
            rest.is_some_and(|rest| rest.starts_with([' ', '(']))
        });
        if GROUPINGS.contains(&word) && follows.starts_with('(') {
            rest = after.split_once(')').map_or("", |(_, rest)| rest);
        } else if !WORDS.contains(&word) && !follows.starts_with('(') && !is_aggregation {
            let inside = follows.strip_prefix('{').and_then(|inside| inside.split_once('}'));
            let labels = inside.map_or_else(Vec::new, |(inside, _)| labels_of(inside));
            rest = inside.map_or(after, |(_, rest)| rest);
            selectors.push(Selector { metric: word.to_owned(), labels });
        }
    }
    selectors
}

/// The labels that a query groups or joins by.
pub(crate) fn grouped_by(query: &str) -> Vec<String> {
    let mut labels = Vec::new();
    let mut rest = query;
    while let Some((word, after)) = next_word(&mut rest) {
        if GROUPINGS.contains(&word)
            && let Some((inside, _)) = after.trim_start().strip_prefix('(').and_then(|inside| inside.split_once(')'))
        {
            labels.extend(inside.split(',').map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()));
        }
    }
    labels
}

/// The next name in a query, and what comes after it; texts in quotes, ranges and numbers are none.
fn next_word<'q>(rest: &mut &'q str) -> Option<(&'q str, &'q str)> {
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    loop {
        let first = rest.chars().next()?;
        let skipped = match first {
            '"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
            '[' => rest.find(']').map_or(rest.len(), |end| end + 1),
            first if first.is_ascii_digit() => rest.find(|c: char| !is_in_name(c) && c != '.').unwrap_or(rest.len()),
            first if is_in_name(first) => {
                let (word, after) = rest.split_at(rest.find(|c: char| !is_in_name(c)).unwrap_or(rest.len()));
                *rest = after;
                return Some((word, after));
            }
            first => first.len_utf8(),
        };
        *rest = &rest[skipped..];
    }
}

/// The labels of `a="b",c=~"d"`.
fn labels_of(inside: &str) -> Vec<String> {
    let mut labels = Vec::new();
    let mut rest = inside;
    while let Some((word, _)) = next_word(&mut rest) {
        labels.push(word.to_owned());
    }
    labels
}

/// The alerts of a rule file: `key: value` a line, longer values folded under it.
pub(crate) fn rules(yaml: &str) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut is_in_expr = false;
    for line in yaml.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let line = line.trim_start_matches("- ");
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        match (key, rules.last_mut()) {
            ("alert", _) => rules.push(Rule { alert: value.trim().to_owned(), ..Rule::default() }),
            ("expr", Some(rule)) => rule.expr = value.trim().trim_start_matches(">-").to_owned(),
            ("summary", Some(rule)) => rule.has_summary = true,
            ("description", Some(rule)) => rule.has_description = true,
            ("labels", Some(rule)) => rule.has_severity = value.contains("severity:"),
            ("for" | "annotations", _) => {}
            (_, Some(rule)) if is_in_expr => rule.expr = format!("{} {line}", rule.expr),
            _ => {}
        }
        is_in_expr = key == "expr" || is_in_expr && !matches!(key, "for" | "labels" | "annotations" | "alert");
    }
    rules
}

#[test]
fn metrics_and_labels_are_found_in_queries() {
    let query = "histogram_quantile(0.99, sum by (le, job) (rate(a_bucket{x=~\"y|z\",v=\"w\"}[5m]))) / on (k) group_left () b > 2";
    let names = |selectors: Vec<Selector>| selectors.into_iter().map(|s| (s.metric, s.labels)).collect::<Vec<_>>();
    let expected = vec![("a_bucket".to_owned(), vec!["x".to_owned(), "v".to_owned()]), ("b".to_owned(), Vec::new())];
    assert_eq!(names(selectors(query)), expected);
    assert_eq!(grouped_by(query), ["le", "job", "k"]);
    assert_eq!(names(selectors("count(a == 0) or vector(0)")), [("a".to_owned(), Vec::new())]);
}

#[test]
fn the_alerts_of_a_rule_file_are_found() {
    let text = "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: >-\n          a\n          > 1\n        for: 5m\n        \
                labels: { severity: info }\n        annotations:\n          summary: \"s\"\n          description: d\n      - alert: B\n        \
                expr: b > 0\n";
    let rules = rules(text);
    assert_eq!(rules.iter().map(|rule| rule.expr.trim()).collect::<Vec<_>>(), ["a > 1", "b > 0"]);
    assert!(rules[0].has_severity && rules[0].has_summary && rules[0].has_description && !rules[1].has_summary);
}
