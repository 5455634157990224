//! The time that is measured.

use std::time::{Duration, Instant};

/// The time that is measured, cut into windows of one length.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// When warming up is over.
    pub start: Instant,
    /// How long is measured.
    pub duration: Duration,
    /// How many windows there are; at least 1.
    pub windows: usize,
}

impl Span {
    /// When measuring ends.
    #[must_use]
    pub fn end(&self) -> Instant {
        self.start + self.duration
    }

    /// The window of a point in time, if it lies in the span.
    #[must_use]
    pub fn window(&self, at: Instant) -> Option<usize> {
        let since = at.checked_duration_since(self.start)?;
        let window = since.as_secs_f64() / self.duration.as_secs_f64() * self.windows as f64;
        (since < self.duration).then(|| (window as usize).min(self.windows - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_one_another_and_end_with_the_span() {
        let span = Span { start: Instant::now(), duration: Duration::from_secs(12), windows: 12 };
        let window = |ms| span.window(span.start + Duration::from_millis(ms));
        assert_eq!((window(0), window(999), window(1000), window(11_999)), (Some(0), Some(0), Some(1), Some(11)));
        assert_eq!(window(12_000), None);
        assert_eq!(span.window(span.start - Duration::from_millis(1)), None);
    }
}
