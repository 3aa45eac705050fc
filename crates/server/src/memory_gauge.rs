//! Memory in use beside its limit: that of the cgroup, version 1 or 2, or of this process where the operator gives a
//! limit. The limit of a cgroup holds for all below it, so the lowest on the way up counts.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Mount point of cgroups.
const MOUNT: &str = "/sys/fs/cgroup";
/// The cgroups of this process.
const OWN: &str = "/proc/self/cgroup";
const STATUS: &str = "/proc/self/status";
/// Version 1 states no limit as the largest whole number of pages.
const UNLIMITED: u64 = 1 << 62;

/// Names of the files of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileNames {
    limit: &'static str,
    used: &'static str,
    /// Line of `memory.stat` with the bytes of files that the kernel can drop at once.
    droppable: &'static str,
}

const VERSION_1: FileNames = FileNames {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    droppable: "total_inactive_file",
};
const VERSION_2: FileNames =
    FileNames { limit: "memory.max", used: "memory.current", droppable: "inactive_file" };

/// A limit of memory, and what counts towards it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MemoryGauge {
    /// Of a cgroup.
    Cgroup(CgroupMemory),
    /// Of this process, in bytes.
    Process(u64),
}

/// The memory of one cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CgroupMemory {
    folder: PathBuf,
    names: FileNames,
    limit: u64,
}

impl MemoryGauge {
    /// The gauge of the cgroup that this process is in; none without a limit.
    pub(crate) fn of_cgroup() -> Option<Self> {
        let own = fs::read_to_string(OWN).ok()?;
        lowest(Path::new(MOUNT), &own).map(Self::Cgroup)
    }

    /// Whether more than this part of the limit is in use. A gauge that cannot be read says no.
    pub(crate) fn is_above(&self, percent: u8) -> bool {
        let mark = |limit: u64| u128::from(limit) * u128::from(percent) / 100;
        match self {
            Self::Cgroup(cgroup) => cgroup.is_above(mark(cgroup.limit)),
            Self::Process(limit) => {
                let status = fs::read_to_string(STATUS).unwrap_or_default();
                resident(&status).is_some_and(|used| u128::from(used) > mark(*limit))
            }
        }
    }
}

impl CgroupMemory {
    fn at(folder: &Path, names: FileNames) -> Option<Self> {
        // `max` is no number.
        let limit = number(&folder.join(names.limit)).filter(|limit| *limit < UNLIMITED)?;
        Some(Self { folder: folder.to_owned(), names, limit })
    }

    fn is_above(&self, mark: u128) -> bool {
        let is_above = |used: u64| u128::from(used) > mark;
        let Some(used) = number(&self.folder.join(self.names.used)) else { return false };
        // Adding up the statistics costs the kernel more than the sum, which is below most of the time.
        is_above(used) && is_above(used.saturating_sub(self.droppable()))
    }

    fn droppable(&self) -> u64 {
        let stat = fs::read_to_string(self.folder.join("memory.stat")).unwrap_or_default();
        let lines = stat.lines().filter_map(|line| line.split_once(' '));
        let mut values = lines.filter(|(name, _)| *name == self.names.droppable);
        values.next().and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
    }
}

/// The cgroup with the lowest limit among those that `own` names below `mount`, and those above them.
fn lowest(mount: &Path, own: &str) -> Option<CgroupMemory> {
    let all = own.lines().flat_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next().unwrap_or_default(), fields.next());
        let (base, names) = match controllers {
            "" => (mount.to_owned(), VERSION_2),
            _ => (mount.join("memory"), VERSION_1),
        };
        let is_memory = controllers.is_empty() || controllers.split(',').any(|one| one == "memory");
        let path = path.filter(|_| is_memory).map(below);
        path.into_iter().flat_map(move |path| {
            let folders: Vec<PathBuf> = path.ancestors().map(|one| base.join(one)).collect();
            folders.into_iter().filter_map(move |folder| CgroupMemory::at(&folder, names))
        })
    });
    all.min_by_key(|cgroup| cgroup.limit)
}

/// The path without its root and without steps upwards, which lead out of the namespace.
fn below(path: &str) -> PathBuf {
    let parts = Path::new(path).components();
    parts.filter(|part| matches!(part, Component::Normal(_))).collect()
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The resident memory that `status` tells, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of a mount point, removed at the end.
    struct Mount(PathBuf);

    impl Mount {
        fn new(files: &[(&str, &str)]) -> Self {
            let root =
                std::env::temp_dir().join(format!("outcrop-cgroup-{}", uuid::Uuid::now_v7()));
            let mount = Self(root);
            for (path, text) in files {
                mount.write(path, text);
            }
            mount
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    impl Drop for Mount {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_limit_of_version_2_is_the_lowest_on_the_way_up() {
        let mount = Mount::new(&[
            ("pod/memory.max", "1000\n"),
            ("pod/memory.current", "900\n"),
            ("pod/memory.stat", "anon 5\ninactive_file 40\n"),
            ("pod/one/memory.max", "max\n"),
            ("pod/one/memory.current", "10\n"),
        ]);
        let gauge = lowest(&mount.0, "0::/pod/one\n").unwrap();
        assert_eq!((gauge.limit, gauge.folder.file_name()), (1000, Some("pod".as_ref())));
        let gauge = MemoryGauge::Cgroup(gauge);
        assert!(gauge.is_above(85), "860 of 1000 are not droppable");
        assert!(!gauge.is_above(86));
        mount.write("pod/memory.current", "800\n");
        assert!(!gauge.is_above(85));
        mount.write("pod/one/memory.max", "400\n");
        assert_eq!(lowest(&mount.0, "0::/pod/one\n").unwrap().limit, 400);
    }

    #[test]
    fn a_container_has_its_cgroup_at_the_mount_point() {
        let mount = Mount::new(&[("memory.max", "500"), ("memory.current", "499")]);
        for own in ["0::/\n", "0::/../../elsewhere\n", "0::/kubepods/not-seen-here\n"] {
            let gauge = MemoryGauge::Cgroup(lowest(&mount.0, own).unwrap());
            assert!(gauge.is_above(85), "{own}");
        }
    }

    #[test]
    fn version_1_has_files_of_its_own() {
        let none = "9223372036854771712\n";
        let mount = Mount::new(&[
            ("memory/memory.limit_in_bytes", none),
            ("memory/docker/a/memory.limit_in_bytes", "2000"),
            ("memory/docker/a/memory.usage_in_bytes", "1900"),
            ("memory/docker/a/memory.stat", "inactive_file 1\ntotal_inactive_file 300\n"),
        ]);
        let own = "5:cpu,cpuacct:/docker/a\n4:memory:/docker/a\n0::/\n";
        let gauge = MemoryGauge::Cgroup(lowest(&mount.0, own).unwrap());
        assert!(gauge.is_above(79));
        assert!(!gauge.is_above(80), "1600 of 2000");
        assert_eq!(lowest(&mount.0, "4:memory:/\n"), None, "no limit");
        assert_eq!(lowest(&mount.0, "5:cpu:/docker/a\n"), None);
    }

    #[test]
    fn a_process_has_resident_memory() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    1234 kB\n"), Some(1234 * 1024));
        assert_eq!(resident("Name:\tx\n"), None);
        assert!(MemoryGauge::Process(1024).is_above(100), "a test needs more than a KiB");
        assert!(!MemoryGauge::Process(u64::MAX).is_above(100));
    }
}
