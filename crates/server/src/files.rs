//! Files that an operator names: read whole, regular ones of a bounded size only, and told apart from what
//! they were before. A pipe would be waited for without end, and a device read without end.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// Longest file read, in bytes.
const LONGEST: u64 = 16 * 1024 * 1024;
/// After so long the log says what is waited for.
const SLOW: Duration = Duration::from_secs(10);

/// Reads a regular file of at most 16 MiB.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let too_long = || io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 16 MiB");
    if metadata.len() > LONGEST {
        return Err(too_long());
    }
    let mut content = Vec::new();
    // It may have grown since.
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LONGEST { Err(too_long()) } else { Ok(content) }
}

/// The same, of UTF-8.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let invalid = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8");
    String::from_utf8(read(path)?).map_err(invalid)
}

/// The state of a file; another content has another stamp, also where length and modification time are
/// the same: every write and every rename changes the inode or its change time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileStamp {
    inode: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
    /// The stamp of a file; `None` where there is none.
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
    fn only_regular_files_of_a_bounded_size_are_read() {
        let folder = folder();
        let file = folder.join("file");
        fs::write(&file, "granite").unwrap();
        assert_eq!(read_text(&file).unwrap(), "granite");
        fs::write(&file, [0xff, 0xfe]).unwrap();
        assert_eq!(read_text(&file).unwrap_err().to_string(), "it is not UTF-8");
        File::create(&file).unwrap().set_len(LONGEST + 1).unwrap();
        assert_eq!(read(&file).unwrap_err().to_string(), "it is longer than 16 MiB");
        File::create(&file).unwrap().set_len(LONGEST).unwrap();
        assert_eq!(read(&file).unwrap().len() as u64, LONGEST);
        for other in [folder.as_path(), Path::new("/dev/zero")] {
            assert_eq!(read(other).unwrap_err().to_string(), "it is not a regular file");
        }
        assert_eq!(read(&folder.join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_of_the_same_length_and_time_is_another() {
        let folder = folder();
        let (old, new) = (folder.join("old"), folder.join("new"));
        fs::write(&old, "a").unwrap();
        let before = FileStamp::of(&old);
        let time = fs::metadata(&old).unwrap().modified().unwrap();
        fs::write(&new, "b").unwrap();
        File::options().write(true).open(&new).unwrap().set_modified(time).unwrap();
        fs::rename(&new, &old).unwrap();
        assert!(before.is_some() && FileStamp::of(&old) != before);
        assert_eq!(FileStamp::of(&old), FileStamp::of(&old));
        assert_eq!(FileStamp::of(&new), None);
        fs::remove_dir_all(folder).unwrap();
    }

    #[actix_rt::test]
    async fn a_panic_on_another_thread_is_an_error_here() {
        assert_eq!(apart("arithmetic", || 1 + 1).await.unwrap(), 2);
        let ended = apart("a test", || -> () { panic!("on purpose") }).await;
        assert_eq!(ended.unwrap_err().to_string(), "a test ended in a panic; the log has it");
    }
}
