//! Reads the files that the configuration names: keys, passwords, authorities. All are small; a variable that names
//! something without an end (`/dev/urandom`, a pipe) must not fill the memory.
use std::fs::File;
use std::io::{Error, ErrorKind, Read as _, Result};
use std::path::Path;

/// The authorities that a whole system trusts are a quarter of it.
const MOST: u64 = 1024 * 1024;

/// All of a file that the configuration names.
///
/// # Errors
/// When it cannot be read, or is larger than 1 MiB.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path)?;
    // Room for all of it at once: a secret that is moved while it is read would be left behind in the memory.
    let length = file.metadata().map_or(0, |about| about.len()).min(MOST);
    let mut content = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
    file.take(MOST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MOST {
        return Err(Error::new(ErrorKind::FileTooLarge, "it is larger than 1 MiB: name the right file"));
    }
    Ok(content)
}

/// The same of a file that holds text.
///
/// # Errors
/// Those, and when it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    let content = read_file(path)?;
    String::from_utf8(content).map_err(|_| Error::new(ErrorKind::InvalidData, "it is not text in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_refused() {
        for read in [|path| read_file(path).map(drop), |path| read_text(path).map(drop)] {
            let error = read(Path::new("/dev/zero")).unwrap_err();
            assert!(
                error.kind() == ErrorKind::FileTooLarge && error.to_string().contains("1 MiB"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_file_is_read_whole_up_to_the_bound() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for length in [0, 1, 5000, MOST as usize] {
            std::fs::write(file.path(), vec![b'x'; length]).unwrap();
            assert_eq!(read_text(file.path()).unwrap().len(), length);
        }
        std::fs::write(file.path(), vec![b'x'; MOST as usize + 1]).unwrap();
        assert_eq!(read_file(file.path()).unwrap_err().kind(), ErrorKind::FileTooLarge);
        std::fs::write(file.path(), [0xff]).unwrap();
        assert_eq!(read_text(file.path()).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(read_file(Path::new("/nowhere/key")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
