//! Intents: calls written to a file before they are made, where no budget has to be asked. A line costs a hundredth of a
//! transaction, and it survives the death of the process: whichever process finds the file without an owner writes the
//! rows that are missing.
//!
//! A process appends to one *segment* at a time and holds its lock. Each call holds its segment until its row is
//! committed; a segment that is full, or whose process ends in order, goes when the last of its calls does.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Opening;

/// Ending of the files' names.
const ENDING: &str = "intents";
/// Bytes after which another segment begins.
const FULL: u64 = 4 * 1024 * 1024;
/// Bytes in which most calls fit.
const LINE: usize = 1024;

/// The files of one process.
#[derive(Debug)]
pub(super) struct IntentLog {
    folder: PathBuf,
    current: Mutex<Arc<Segment>>,
}

/// One file, locked while the process lives. Dropping it removes the file: all its calls have rows.
#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    path: PathBuf,
    written: AtomicU64,
}

/// A file whose process is dead, with its calls. It is removed when their rows are committed.
#[derive(Debug)]
pub(super) struct Orphan {
    /// The calls, whether they have rows or not.
    pub(super) calls: Vec<Opening>,
    path: PathBuf,
    /// Holds the lock, so that one process takes it over.
    _file: File,
}

impl IntentLog {
    /// Starts a file in the folder, which is made if it does not exist.
    pub(super) fn start(folder: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let current = Mutex::new(Arc::new(Segment::start(&folder)?));
        Ok(Self { folder, current })
    }

    /// Writes a call. The segment is to be held until its row is committed.
    pub(super) fn write(&self, call: &Opening) -> io::Result<Arc<Segment>> {
        let mut line = Vec::with_capacity(LINE);
        serde_json::to_writer(&mut line, call)?;
        line.push(b'\n');
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let segment = {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            if current.written.fetch_add(length, Ordering::Relaxed) > FULL {
                *current = Arc::new(Segment::start(&self.folder)?);
                current.written.fetch_add(length, Ordering::Relaxed);
            }
            Arc::clone(&current)
        };
        // One write in append mode: lines of several threads do not mix.
        (&segment.file).write_all(&line)?;
        Ok(segment)
    }

    /// Takes over the files of dead processes.
    pub(super) fn orphans(&self) -> io::Result<Vec<Orphan>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == ENDING)
                && let Some(orphan) = Orphan::take(&path)?
            {
                found.push(orphan);
            }
        }
        Ok(found)
    }
}

impl Segment {
    fn start(folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!("{}.{ENDING}", uuid::Uuid::now_v7()));
        let mut options = OpenOptions::new();
        options.create_new(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        file.try_lock().map_err(io::Error::from)?;
        Ok(Self { file, path, written: AtomicU64::new(0) })
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            log::warn!("{} is not removed: {error}", self.path.display());
        }
    }
}

impl Orphan {
    /// Absent where its process lives, or another one takes it over.
    fn take(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut calls = Vec::new();
        for line in BufReader::new(&file).lines() {
            // The last line may be cut: its call was not made.
            match serde_json::from_str(&line?) {
                Ok(call) => calls.push(call),
                Err(error) => log::warn!("a line of {} is no call: {error}", path.display()),
            }
        }
        Ok(Some(Self { calls, path: path.to_owned(), _file: file }))
    }

    /// Removes the file.
    pub(super) fn settled(self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            log::warn!("{} is not removed: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> PathBuf {
        std::env::temp_dir().join(format!("outcrop-intents-{}", uuid::Uuid::now_v7()))
    }

    fn call(id: &str) -> Opening {
        Opening { id: id.to_owned(), ..Opening::default() }
    }

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_file_lives_as_long_as_its_calls() {
        let folder = folder();
        let log = IntentLog::start(folder.clone()).unwrap();
        let held = log.write(&call("a")).unwrap();
        assert!(log.orphans().unwrap().is_empty(), "its process lives");
        drop(log);
        assert_eq!(files(&folder), 1, "a call has no row yet");
        drop(held);
        assert_eq!(files(&folder), 0);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_full_file_is_followed_by_another() {
        let folder = folder();
        let log = IntentLog::start(folder.clone()).unwrap();
        let large = Opening { meta: Some("x".repeat(100_000)), ..call("a") };
        let first = log.write(&large).unwrap();
        for _ in 0..60 {
            log.write(&large).unwrap();
        }
        assert_eq!(files(&folder), 2);
        drop(first);
        assert_eq!(files(&folder), 1);
        drop(log);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_calls_of_a_dead_process_are_found_once() {
        let folder = folder();
        std::fs::create_dir_all(&folder).unwrap();
        let lines = ["a", "b"].map(|id| serde_json::to_string(&call(id)).unwrap()).join("\n");
        std::fs::write(folder.join("dead.intents"), format!("{lines}\n{{\"id\":\"cu")).unwrap();
        let log = IntentLog::start(folder.clone()).unwrap();
        let mut orphans = log.orphans().unwrap();
        let orphan = orphans.pop().unwrap();
        let ids: Vec<&str> = orphan.calls.iter().map(|call| call.id.as_str()).collect();
        assert_eq!((ids, orphans.len()), (vec!["a", "b"], 0));
        assert!(log.orphans().unwrap().is_empty(), "another process has it");
        orphan.settled();
        assert_eq!(files(&folder), 1);
        drop(log);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
