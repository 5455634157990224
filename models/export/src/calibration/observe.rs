//! What an activation was seen to hold, channel by channel, and the range that leaves it with.

use super::Range;

/// Channels of an activation that are multiplied in f32 where nobody says how many. The figures behind it are in
/// `docs/decisions/0007-static-int8.md`.
pub const DEFAULT_OUTLIERS: usize = 16;

/// The smallest and the largest value of every channel.
#[derive(Clone, Debug)]
pub struct Observed {
    channels: Vec<(f32, f32)>,
    is_finite: bool,
}

impl Observed {
    /// Nothing seen yet of an activation with this many channels.
    #[must_use]
    pub fn new(channels: usize) -> Self {
        // Zero is always within: padding and most of what GELU lets through are zeros.
        Self { channels: vec![(0.0, 0.0); channels], is_finite: true }
    }

    /// Looks at rows, each with a value for every channel.
    pub fn see(&mut self, values: &[f32]) {
        for row in values.chunks(self.channels.len().max(1)) {
            for ((low, high), &value) in self.channels.iter_mut().zip(row) {
                (*low, *high) = (low.min(value), high.max(value));
                self.is_finite &= value.is_finite();
            }
        }
    }

    /// The range of all channels but the `outliers` with the largest values; one channel is always left. `None` where a value
    /// was not finite.
    #[must_use]
    pub fn range(&self, outliers: usize) -> Option<Range> {
        let outliers = self.outliers(outliers.min(self.channels.len().saturating_sub(1)));
        let all = self.channels.iter().enumerate();
        let inner = all.filter(|(channel, _)| outliers.binary_search(channel).is_err()).map(|(_, seen)| seen);
        let (low, high) = hull(inner);
        let (minimum, maximum) = hull(&self.channels);
        self.is_finite.then_some(Range { minimum, maximum, low, high, outliers })
    }

    /// The channels with the largest magnitudes, ascending by index. Of equal ones, the first.
    fn outliers(&self, count: usize) -> Vec<usize> {
        let magnitude = |channel: usize| {
            let (low, high) = self.channels[channel];
            high.max(-low)
        };
        let mut channels: Vec<usize> = (0..self.channels.len()).collect();
        channels.sort_by(|&a, &b| magnitude(b).total_cmp(&magnitude(a)));
        channels.truncate(count);
        channels.sort_unstable();
        channels
    }
}

fn hull<'s>(seen: impl IntoIterator<Item = &'s (f32, f32)>) -> (f32, f32) {
    seen.into_iter().fold((0.0, 0.0), |(low, high), seen| (seen.0.min(low), seen.1.max(high)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(values: &[f32]) -> Observed {
        let mut observed = Observed::new(3);
        observed.see(values);
        observed
    }

    #[test]
    fn channels_of_large_values_are_left_out_of_the_range() {
        let observed = observed(&[0.5, -40.0, 1.0, -0.25, 2.0, 0.0]);
        let range = observed.range(1).expect("finite");
        assert_eq!(range, Range { minimum: -40.0, maximum: 2.0, low: -0.25, high: 1.0, outliers: vec![1] });
        let range = observed.range(0).expect("finite");
        assert_eq!((range.low, range.high), (-40.0, 2.0));
    }

    #[test]
    fn zero_is_within_and_one_channel_is_always_left() {
        let range = observed(&[1.0, 2.0, 3.0]).range(9).expect("finite");
        assert_eq!((range.low, range.high, range.outliers), (0.0, 1.0, vec![1, 2]));
    }

    #[test]
    fn what_is_no_number_has_no_range() {
        assert_eq!(observed(&[1.0, f32::NAN, 0.0]).range(0), None);
        assert_eq!(observed(&[1.0, f32::INFINITY, 0.0]).range(1), None);
    }
}
