//! Which processor each session of a model gets to itself, where there is one for each.

/// One processor a session, where sessions have one thread each and this process may divide its processors; none elsewhere.
///
/// Sessions of several threads are not pinned: the pools of the libraries inherit the processors of the thread that happens to
/// start them, and would be squeezed onto those of one session.
pub(super) fn of_sessions(sessions: usize, threads_each: usize) -> Vec<usize> {
    if sessions < 2 || threads_each > 1 {
        return Vec::new();
    }
    divided(&allowed(), super::threads(), sessions)
}

/// The first `sessions` of `allowed`. None where a quota grants less than the mask shows: then others run on the same processors,
/// and to wait for one of them while another is free would be a loss.
fn divided(allowed: &[usize], granted: usize, sessions: usize) -> Vec<usize> {
    let is_ours = allowed.len() == granted && sessions <= granted;
    allowed.iter().copied().take(if is_ours { sessions } else { 0 }).collect()
}

/// The processors in the mask of this thread.
#[cfg(target_os = "linux")]
fn allowed() -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let Ok(mask) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|&processor| mask.is_set(processor)).collect()
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> Vec<usize> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_divided_only_where_all_of_them_are_ours() {
        assert_eq!(divided(&[3, 5, 7, 9], 4, 2), [3, 5]);
        assert!(divided(&[0, 1, 2, 3], 2, 2).is_empty(), "a quota of two on four processors");
        assert!(divided(&[0, 1], 2, 3).is_empty(), "more sessions than processors");
    }

    #[test]
    fn one_session_and_sessions_of_several_threads_run_where_they_like() {
        assert!(of_sessions(1, 1).is_empty() && of_sessions(2, 2).is_empty());
    }
}
