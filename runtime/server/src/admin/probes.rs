//! What probes are told, as a function of what is true.

use std::fmt::Write;

use wisp_engine::DeploymentHealth;

/// How far the service has come.
pub(super) enum Phase {
    /// Models and guests are being loaded.
    Starting,
    /// Requests are taken; what each deployment can do.
    Serving(Vec<DeploymentHealth>),
    /// No more requests are taken.
    Draining,
}

/// What a probe is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) is_good: bool,
    /// It asked for what does not exist.
    pub(super) is_unknown: bool,
    pub(super) text: String,
}

const STARTING: &str = "models and guests are being loaded\n";
const DRAINING: &str = "the server is shutting down\n";

impl Answer {
    fn good(text: impl Into<String>) -> Self {
        Self { is_good: true, is_unknown: false, text: text.into() }
    }

    fn bad(text: impl Into<String>) -> Self {
        Self { is_good: false, ..Self::good(text) }
    }
}

/// Whether the start is done, whatever became of the service since.
pub(super) fn startup(phase: &Phase) -> Answer {
    match phase {
        Phase::Starting => Answer::bad(STARTING),
        Phase::Serving(_) | Phase::Draining => Answer::good("started\n"),
    }
}

/// Whether one deployment at least can answer: taking the others away as well would help nobody.
pub(super) fn ready(phase: &Phase, is_verbose: bool) -> Answer {
    let deployments = match phase {
        Phase::Starting => return Answer::bad(STARTING),
        Phase::Draining => return Answer::bad(DRAINING),
        Phase::Serving(deployments) => deployments,
    };
    let can_answer = |deployment: &DeploymentHealth| deployment.problem.is_none();
    let is_good = deployments.iter().any(can_answer);
    let text = match is_verbose {
        true => listed(deployments, is_good),
        false if deployments.iter().all(can_answer) && is_good => "ready\n".to_owned(),
        false => deployments.iter().filter_map(problem).collect(),
    };
    Answer { is_good, ..Answer::good(text) }
}

/// Whether one deployment can answer.
pub(super) fn deployment_ready(phase: &Phase, name: &str) -> Answer {
    let deployments = match phase {
        Phase::Starting => return Answer::bad(STARTING),
        Phase::Draining => return Answer::bad(DRAINING),
        Phase::Serving(deployments) => deployments,
    };
    match deployments.iter().find(|deployment| deployment.name == name) {
        None => {
            let names: Vec<_> = deployments.iter().map(|deployment| format!("`{}`", deployment.name)).collect();
            let name: String = name.chars().take(128).collect();
            let text = format!("deployment `{name}` does not exist; there is {}\n", names.join(", "));
            Answer { is_unknown: true, ..Answer::bad(text) }
        }
        Some(deployment) => problem(deployment).map_or_else(|| Answer::good("ready\n"), Answer::bad),
    }
}

fn problem(deployment: &DeploymentHealth) -> Option<String> {
    let problem = deployment.problem.as_ref()?;
    Some(format!("deployment `{}`: {problem}\n", deployment.name))
}

/// One line a deployment, in the form of Kubernetes' own probes.
fn listed(deployments: &[DeploymentHealth], is_good: bool) -> String {
    let mut text = String::new();
    for deployment in deployments {
        // Writing into a string does not fail.
        let _ = match &deployment.problem {
            None => writeln!(text, "[+]{} ok", deployment.name),
            Some(problem) => writeln!(text, "[-]{} failed: {problem}", deployment.name),
        };
    }
    text + if is_good { "readyz check passed\n" } else { "readyz check failed\n" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serving(problems: &[(&str, Option<&str>)]) -> Phase {
        let health = |&(name, problem): &(&str, Option<&str>)| DeploymentHealth {
            name: name.to_owned(),
            problem: problem.map(str::to_owned),
        };
        Phase::Serving(problems.iter().map(health).collect())
    }

    #[test]
    fn one_deployment_that_can_answer_makes_the_service_ready_and_the_others_are_named() {
        let phase = serving(&[("a", None), ("b", Some("model `m`: gone"))]);
        let answer = ready(&phase, false);
        assert!(answer.is_good);
        assert_eq!(answer.text, "deployment `b`: model `m`: gone\n");
        assert_eq!(ready(&phase, true).text, "[+]a ok\n[-]b failed: model `m`: gone\nreadyz check passed\n");
        assert_eq!(deployment_ready(&phase, "a"), Answer::good("ready\n"));
        assert_eq!(deployment_ready(&phase, "b"), Answer::bad("deployment `b`: model `m`: gone\n"));
        let unknown = deployment_ready(&phase, "c");
        assert!(unknown.is_unknown);
        assert_eq!(unknown.text, "deployment `c` does not exist; there is `a`, `b`\n");
    }

    #[test]
    fn nothing_that_can_answer_is_not_ready() {
        let phase = serving(&[("b", Some("model `m`: gone"))]);
        assert!(!ready(&phase, false).is_good && startup(&phase).is_good);
        assert_eq!(ready(&phase, true).text, "[-]b failed: model `m`: gone\nreadyz check failed\n");
        assert!(!ready(&serving(&[]), false).is_good);
    }
}
