//! The Unix socket of the gateway. It appears at its path in one step, with its permissions, so that no client
//! connects to it before they hold; the file of a gateway that has ended is replaced.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::config::SocketSettings;
use crate::files::FileStamp;

/// A socket that was bound. Dropping it removes the file, unless another process has put its own there.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    stamp: Option<FileStamp>,
}

/// The reason why a socket cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process serves there.
    #[error("another process listens on the socket {}; name another in socket.path", .0.display())]
    InUse(PathBuf),
    /// A file that is no socket has the name.
    #[error("{} is no socket, and is not replaced; name another path in socket.path", .0.display())]
    Taken(PathBuf),
    /// The system refuses.
    #[error("cannot listen on the socket {path}: {1}; name a folder that the gateway may write in socket.path", path = .0.display())]
    System(PathBuf, io::Error),
}

impl Socket {
    /// Binds the socket of the configuration.
    ///
    /// # Errors
    /// [`SocketError`]; no file is left behind.
    pub(crate) fn bind(path: &Path, settings: &SocketSettings) -> Result<Bound, SocketError> {
        let failed = |error| SocketError::System(path.to_owned(), error);
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(SocketError::Taken(path.to_owned()));
            }
            Ok(_) if UnixStream::connect(path).is_ok() => {
                return Err(SocketError::InUse(path.to_owned()));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let beside = beside(path);
        // Left by a process that was killed before it gave the socket its name.
        remove(&beside);
        let listener = Self::listener(&beside, path, settings).inspect_err(|_| remove(&beside));
        let listener = listener.map_err(failed)?;
        let socket = Self { path: path.to_owned(), stamp: FileStamp::of(path) };
        Ok(Bound { socket, listener })
    }

    fn listener(beside: &Path, path: &Path, settings: &SocketSettings) -> io::Result<UnixListener> {
        let listener = UnixListener::bind(beside)?;
        fs::set_permissions(beside, Permissions::from_mode(settings.mode.0))?;
        fs::rename(beside, path)?;
        Ok(listener)
    }
}

/// A socket and its listener.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) socket: Socket,
    pub(crate) listener: UnixListener,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.stamp.is_some() && FileStamp::of(&self.path) == self.stamp {
            remove(&self.path);
        }
    }
}

/// A name in the same folder. Processes in containers may have the same number, but they start one after another.
fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{:x}", std::process::id()))
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => log::warn!("cannot remove the socket {}: {error}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("outcrop-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn bind(path: &Path) -> Result<Bound, SocketError> {
        Socket::bind(path, &SocketSettings::default())
    }

    #[test]
    fn a_socket_has_its_permissions_and_goes_with_the_gateway() {
        let folder = folder("socket-mode");
        let path = folder.join("outcrop.sock");
        let bound = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        UnixStream::connect(&path).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no other file is left");
        drop(bound);
        assert!(!path.exists());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_socket_of_a_process_that_ended_is_replaced_and_no_other() {
        let folder = folder("socket-stale");
        let path = folder.join("s");
        let stale = UnixListener::bind(&path).unwrap();
        assert!(matches!(bind(&path), Err(SocketError::InUse(_))));
        drop(stale);
        let first = bind(&path).unwrap();
        assert!(matches!(bind(&path), Err(SocketError::InUse(_))));
        // A file that another process has put there is not this gateway's to remove.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        drop(first);
        assert!(path.exists());
        assert!(matches!(bind(&path), Err(SocketError::Taken(_))));
        fs::remove_dir_all(folder).unwrap();
        assert!(matches!(bind(&path), Err(SocketError::System(..))));
    }
}
