//! Joules of the processor packages, where the system lets us read them. Source: Linux, `Documentation/power/powercap`.

use std::path::Path;

/// Where the counters are.
const FOLDER: &str = "/sys/class/powercap";

/// Counters of all packages at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Energy {
    /// Microjoules of each package, and after how many its counter starts anew.
    packages: Vec<(u64, u64)>,
}

impl Energy {
    /// The counters now; `None` where there are none, or only root may read them.
    #[must_use]
    pub fn read() -> Option<Self> {
        Self::read_from(Path::new(FOLDER))
    }

    fn read_from(folder: &Path) -> Option<Self> {
        let number = |path: &Path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        let mut packages = Vec::new();
        for entry in std::fs::read_dir(folder).ok()? {
            let path = entry.ok()?.path();
            // `intel-rapl:0` is a package, `intel-rapl:0:1` a part of one.
            let name = path.file_name()?.to_str()?;
            if name.starts_with("intel-rapl:") && name.matches(':').count() == 1 {
                packages.push((number(&path.join("energy_uj"))?, number(&path.join("max_energy_range_uj"))?));
            }
        }
        packages.sort_unstable();
        (!packages.is_empty()).then_some(Self { packages })
    }

    /// Joules since an earlier reading.
    #[must_use]
    pub fn joules_since(&self, earlier: &Self) -> f64 {
        let used =
            self.packages.iter().zip(&earlier.packages).map(|(&(now, range), &(then, _))| {
                if now >= then { now - then } else { now + range.saturating_sub(then) }
            });
        used.sum::<u64>() as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_and_their_parts_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, energy) in [("intel-rapl:0", "1500000"), ("intel-rapl:0:0", "7"), ("dtpm", "1")] {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).expect("a folder");
            std::fs::write(path.join("energy_uj"), energy).expect("written");
            std::fs::write(path.join("max_energy_range_uj"), "2000000").expect("written");
        }
        let energy = Energy::read_from(folder.path()).expect("a package");
        assert_eq!(energy.packages, [(1_500_000, 2_000_000)]);
        assert_eq!(Energy::read_from(&folder.path().join("none")), None);
    }

    #[test]
    fn a_counter_that_starts_anew_loses_nothing() {
        let at = |microjoules| Energy { packages: vec![(microjoules, 2_000_000)] };
        assert!((at(900_000).joules_since(&at(400_000)) - 0.5).abs() < 1e-9);
        assert!((at(100_000).joules_since(&at(1_900_000)) - 0.2).abs() < 1e-9);
    }
}
