//! What the control groups (v2) around this process let it have: in a container, less than the machine.

use std::fs;
use std::path::{Path, PathBuf};

use super::text::{Buffer, Text, value_of};

/// Where control groups are found.
const ROOT: &str = "/sys/fs/cgroup";
/// Groups around each other that are looked at.
const DEPTH_MAX: usize = 16;

/// One group.
struct Group {
    cpu_max: Option<Text>,
    memory_max: Option<Text>,
    memory_current: Option<Text>,
    memory_stat: Option<Text>,
}

/// The groups around the process, the innermost first. None where there are no groups of this version.
#[derive(Default)]
pub struct Cgroups(Vec<Group>);

impl Cgroups {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        Self::at(Path::new(ROOT), &fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
    }

    fn at(root: &Path, membership: &str) -> Self {
        let Some(path) = membership.lines().find_map(|line| line.strip_prefix("0::")) else { return Self::default() };
        let innermost = root.join(path.trim_start_matches('/'));
        let around = innermost.ancestors().take_while(|folder| folder.starts_with(root)).take(DEPTH_MAX);
        Self(around.map(PathBuf::from).map(|folder| Group::at(&folder)).collect())
    }

    /// Processors that it may use; none without a limit.
    pub fn processors(&self, buffer: &mut Buffer) -> Option<f64> {
        let limits = self.0.iter().filter_map(|group| {
            let (quota, period) = group.cpu_max.as_ref()?.read(buffer)?.trim().split_once(' ')?;
            Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok().filter(|period| *period > 0.0)?)
        });
        limits.reduce(f64::min)
    }

    /// The largest share of memory that one of them has used up, without what the kernel can take back at once; none
    /// without a limit.
    pub fn memory_share(&self, buffer: &mut Buffer) -> Option<f64> {
        let shares = self.0.iter().filter_map(|group| {
            let max = group.memory_max.as_ref()?.number(buffer).filter(|max| *max > 0)?;
            let current = group.memory_current.as_ref()?.number(buffer)?;
            let stat = group.memory_stat.as_ref().and_then(|stat| stat.read(buffer));
            let cache = stat.and_then(|stat| value_of(stat, "inactive_file")).unwrap_or(0);
            Some(current.saturating_sub(cache) as f64 / max as f64)
        });
        shares.reduce(f64::max)
    }
}

impl Group {
    fn at(folder: &Path) -> Self {
        let open = |name| Text::open(&folder.join(name));
        Self {
            cpu_max: open("cpu.max"),
            memory_max: open("memory.max"),
            memory_current: open("memory.current"),
            memory_stat: open("memory.stat"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_of_all_groups_around_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |group: &str, files: &[(&str, &str)]| {
            let folder = root.path().join(group);
            fs::create_dir_all(&folder).unwrap();
            files.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
        };
        write("pod", &[("cpu.max", "150000 100000\n"), ("memory.max", "1000\n"), ("memory.current", "700\n")]);
        let stat = "anon 5\nfile 300\ninactive_file 150\n";
        let memory = [("memory.max", "400\n"), ("memory.current", "350\n"), ("memory.stat", stat)];
        write("pod/node", &[&[("cpu.max", "max 100000\n")][..], &memory].concat());
        let buffer = &mut Buffer::default();
        let groups = Cgroups::at(root.path(), "12:cpuset:/x\n0::/pod/node\n");
        assert_eq!(groups.processors(buffer), Some(1.5));
        assert_eq!(groups.memory_share(buffer), Some(0.7), "half of the inner one is in use");
        write("pod/node", &[("memory.max", "max\n"), ("cpu.max", "20000 100000\n")]);
        let groups = Cgroups::at(root.path(), "0::/pod/node\n");
        assert_eq!((groups.processors(buffer), groups.memory_share(buffer)), (Some(0.2), Some(0.7)));
    }

    #[test]
    fn without_groups_or_with_rubbish_in_them_there_is_no_limit() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cpu.max"), "many 0\n").unwrap();
        fs::write(root.path().join("memory.max"), "0\n").unwrap();
        let buffer = &mut Buffer::default();
        for membership in ["0::/\n", "0::/nowhere\n", "4:memory:/x\n", ""] {
            let groups = Cgroups::at(root.path(), membership);
            assert_eq!((groups.processors(buffer), groups.memory_share(buffer)), (None, None), "{membership:?}");
        }
    }
}
