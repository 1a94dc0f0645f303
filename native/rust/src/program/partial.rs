//! Files that appear whole or not at all: a temporary name beside the target, renamed at the end.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use resound::{Code, Error};

/// A file that is being written; one that is not finished is removed.
pub struct Partial {
    temporary: PathBuf,
    target: PathBuf,
    is_finished: bool,
}

impl Partial {
    /// Makes the temporary file, after checking that the target may be written.
    pub fn create(target: &Path, may_overwrite: bool) -> Result<(Partial, File), Error> {
        let wrong = |what: &str| Error::new(Code::File, format!("{}: {what}", target.display()));
        if target.is_dir() {
            return Err(wrong("is a folder; give a file name"));
        }
        if target.exists() && !target.is_file() {
            return Err(wrong("is a device or pipe, not a regular file; give another name"));
        }
        if target.exists() && !may_overwrite {
            return Err(wrong("exists already; use --overwrite to replace it, or give another name"));
        }
        let Some(name) = target.file_name() else { return Err(wrong("is no file name; give one")) };
        let name: String = name.to_string_lossy().chars().take(40).collect();
        let temporary = target.with_file_name(format!(".{name}.{}.partial", std::process::id()));
        let file = File::create_new(&temporary).map_err(|error| write_failure(target, &error))?;
        Ok((Partial { temporary, target: target.to_path_buf(), is_finished: false }, file))
    }

    /// Gives the file its name.
    pub fn finish(mut self) -> Result<(), Error> {
        fs::rename(&self.temporary, &self.target).map_err(|error| write_failure(&self.target, &error))?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = fs::remove_file(&self.temporary); // there may be nothing to remove, and nobody to tell
        }
    }
}

/// Says that the system refuses to write.
pub fn write_failure(target: &Path, error: &io::Error) -> Error {
    Error::new(Code::File, format!("{}: cannot be written ({error}); choose another name or folder", target.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("resound_partial_{name}_{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn nothing_is_left_of_what_was_not_finished() {
        let folder = folder("dropped");
        let (partial, mut file) = Partial::create(&folder.join("a.wav"), false).unwrap();
        file.write_all(b"half").unwrap();
        drop(partial);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir(folder).unwrap();
    }

    #[test]
    fn what_is_finished_has_its_name_and_is_not_replaced_unasked() {
        let folder = folder("finished");
        let target = folder.join("a.wav");
        Partial::create(&target, false).unwrap().0.finish().unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        let Err(error) = Partial::create(&target, false) else { panic!("was replaced") };
        assert!(error.message.contains("exists already"));
        Partial::create(&target, true).unwrap().0.finish().unwrap();
        fs::remove_dir_all(folder).unwrap();
    }
}
