//! Files that an operator names, read with bounds: only regular files of at most 16 MiB. A pipe could block for
//! ever, and a device could be endless.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

/// Longest file read, in bytes.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Reads a regular file of at most 16 MiB.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let too_long = || io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 16 MiB");
    if metadata.len() > LONGEST {
        return Err(too_long());
    }
    let mut content = Vec::new();
    // The file may have grown since.
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LONGEST { Err(too_long()) } else { Ok(content) }
}

/// Reads a regular file of UTF-8 text.
pub fn read_text(path: &Path) -> io::Result<String> {
    let invalid = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8");
    String::from_utf8(read(path)?).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let name = format!("outcrop-files-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
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
}
