//! Files that an operator names: only regular files of a bounded size are read, and each has a stamp
//! that shows changes. A pipe could block for ever, and a device could be endless.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

pub(crate) use bedrock::files::{read, read_text};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Time after which the log names the operation that is still waiting.
const SLOW: Duration = Duration::from_secs(10);

/// The state of a file. Different content has a different stamp even if length and modification time
/// are equal, because every write and every rename changes the inode or its change time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileStamp {
    inode: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
    /// The stamp of a file; `None` if it does not exist.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::from)
    }
}

impl From<&Metadata> for FileStamp {
    fn from(of: &Metadata) -> Self {
        Self {
            inode: (of.dev(), of.ino()),
            length: of.len(),
            modified: (of.mtime(), of.mtime_nsec()),
            changed: (of.ctime(), of.ctime_nsec()),
        }
    }
}

/// Work on files ended without a result.
#[derive(Debug, thiserror::Error)]
#[error("{0} ended in a panic; the log has it")]
pub(crate) struct ReadPanicked(&'static str);

/// Runs work on files without blocking the thread that waits for signals. The thread is not one of tokio's
/// pool: a runtime waits for those when it ends, and a mount that hangs may never answer.
///
/// # Errors
/// The work panicked, or there is no thread for it.
pub(crate) async fn apart<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReadPanicked> {
    let (sender, mut receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name(what.to_owned());
    let run = move || {
        // An error means that the result is not wanted any more.
        let _ = sender.send(work());
    };
    thread.spawn(run).map_err(|_| ReadPanicked(what))?;
    if let Ok(done) = timeout(SLOW, &mut receiver).await {
        return done.map_err(|_| ReadPanicked(what));
    }
    log::error!("{what} takes more than {} s: a file or its mount hangs", SLOW.as_secs());
    receiver.await.map_err(|_| ReadPanicked(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("outcrop-files-{}", uuid::Uuid::now_v7()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_changed_file_of_equal_length_and_time_has_another_stamp() {
        let folder = folder();
        let (old, new) = (folder.join("old"), folder.join("new"));
        fs::write(&old, "a").unwrap();
        let before = FileStamp::of(&old);
        let time = fs::metadata(&old).unwrap().modified().unwrap();
        fs::write(&new, "b").unwrap();
        fs::File::options().write(true).open(&new).unwrap().set_modified(time).unwrap();
        fs::rename(&new, &old).unwrap();
        assert!(before.is_some() && FileStamp::of(&old) != before);
        assert_eq!(FileStamp::of(&old), FileStamp::of(&old));
        assert_eq!(FileStamp::of(&new), None);
        fs::remove_dir_all(folder).unwrap();
    }

    #[actix_rt::test]
    async fn a_panic_on_another_thread_is_an_error() {
        assert_eq!(apart("arithmetic", || 1 + 1).await.unwrap(), 2);
        let ended = apart("a test", || -> () { panic!("on purpose") }).await;
        assert_eq!(ended.unwrap_err().to_string(), "a test ended in a panic; the log has it");
    }
}
