//! The workflow files of the user's folder: which they are, what they say, and whether they have changed.
//!
//! A change is looked for, not listened to: looking works alike on every file system, in containers, and where a whole
//! folder is swapped by a symlink, as Kubernetes does. This file must not know what a workflow is.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// No workflow is longer; what is has come into the folder by mistake.
const LONGEST: u64 = 1 << 20;

/// Why the files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be read.
    #[error("cannot read {path}: {source}; check workflows.folder, and who may read it")]
    Folder {
        /// The folder.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing in a folder that was named.
    #[error(
        "there is no workflow in {path}: no file in it has a name that ends in .toml; put one there, or name another folder"
    )]
    Empty {
        /// The folder.
        path: String,
    },
    /// A file is no text.
    #[error("{path} is not UTF-8 text; save it in that encoding")]
    Encoding {
        /// The file.
        path: String,
    },
    /// What has the name of a workflow file cannot be one.
    #[error(
        "{path} is no workflow: {what}; take it out of the folder, or give it a name that does not end in .toml"
    )]
    Stranger {
        /// What has the name.
        path: String,
        /// Why it cannot be one.
        what: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {source}; check the path, and who may read it")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

/// A file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    /// Where it is, as it is shown.
    pub(super) path: String,
    /// What it says.
    pub(super) text: String,
}

impl File {
    /// Reads the file at `path`, whatever it is.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|source| unreadable(path, source))?;
        let path = path.display().to_string();
        Ok(Self { path, text })
    }
}

/// The workflow files in the folder, in the order of their names; none where no folder is named.
pub(super) fn read_all(folder: &Path) -> Result<Vec<File>, Error> {
    if folder.as_os_str().is_empty() {
        return Ok(Vec::new());
    }
    let paths = paths_in(folder).map_err(|source| Error::Folder {
        path: folder.display().to_string(),
        source,
    })?;
    paths.iter().map(|path| read_member(path)).collect()
}

/// Reads a file of the folder. A pipe would be waited for without end.
fn read_member(path: &Path) -> Result<File, Error> {
    let wrong = |what: &'static str| {
        let path = path.display().to_string();
        Err(Error::Stranger { path, what })
    };
    match fs::metadata(path) {
        Err(source) => Err(unreadable(path, source)),
        Ok(found) if !found.is_file() => wrong("it is no file"),
        Ok(found) if found.len() > LONGEST => wrong("it is larger than 1 MB, as no workflow is"),
        Ok(_) => File::read(path),
    }
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    let path = path.display().to_string();
    match source.kind() {
        ErrorKind::InvalidData => Error::Encoding { path },
        _ => Error::File { path, source },
    }
}

/// Files as a user names them: a folder stands for those in it.
pub(super) fn named(paths: &[PathBuf]) -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(File::read(path)?);
            continue;
        }
        let inside = paths_in(path).map_err(|source| unreadable(path, source))?;
        if inside.is_empty() {
            let path = path.display().to_string();
            return Err(Error::Empty { path });
        }
        for path in inside {
            files.push(read_member(&path)?);
        }
    }
    Ok(files)
}

/// Hidden files are none of the user's: editors keep what is not yet saved in them.
fn paths_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        let is_toml = path.extension().is_some_and(|kind| kind == "toml");
        if is_toml && !is_hidden {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Looks at a folder again and again.
#[derive(Debug)]
pub(super) struct Watch {
    folder: PathBuf,
    last: Option<Look>,
    /// Whether the files were read as the last look showed them.
    is_read: bool,
}

impl Watch {
    /// Begins with a folder that was not looked at yet.
    pub(super) const fn new(folder: PathBuf) -> Self {
        let last = None;
        let is_read = false;
        Self {
            folder,
            last,
            is_read,
        }
    }

    /// Looks again. When the folder has changed and come to rest, which two looks alike tell, its files are read.
    ///
    /// So what an editor or a copy is still at, a file half written or moved away for a moment, is left alone.
    pub(super) fn look_again(&mut self) -> Option<Result<Vec<File>, Error>> {
        if !self.is_at_rest() || self.is_read {
            return None;
        }
        let files = read_all(&self.folder);
        self.is_read = self.is_at_rest();
        self.is_read.then_some(files)
    }

    fn is_at_rest(&mut self) -> bool {
        let now = Look::at(&self.folder);
        let is_same = self.last.as_ref() == Some(&now);
        self.is_read &= is_same;
        self.last = Some(now);
        is_same
    }
}

/// What can be seen of a folder without opening its files.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Files(Vec<(PathBuf, Result<Mark, ErrorKind>)>),
    Unreadable(ErrorKind),
}

impl Look {
    fn at(folder: &Path) -> Self {
        match paths_in(folder) {
            Err(error) => Self::Unreadable(error.kind()),
            Ok(paths) => Self::Files(paths.into_iter().map(marked).collect()),
        }
    }
}

fn marked(path: PathBuf) -> (PathBuf, Result<Mark, ErrorKind>) {
    // Of the file that a symlink leads to.
    let found = fs::metadata(&path);
    let mark = found.map(|found| Mark::of(&found));
    (path, mark.map_err(|error| error.kind()))
}

/// What differs when a file was written or another took its place, even one of the same size and time.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Mark {
    fn of(found: &Metadata) -> Self {
        Self {
            file: (found.dev(), found.ino()),
            size: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn watched() -> (tempfile::TempDir, Watch) {
        let folder = tempfile::tempdir().unwrap();
        let watch = Watch::new(folder.path().to_owned());
        (folder, watch)
    }

    /// The names and texts of what is read at the next looks, if anything is.
    fn next(watch: &mut Watch) -> Option<Vec<(String, String)>> {
        let files = (0..3).find_map(|_| watch.look_again())?.unwrap();
        let name = |path: &str| path.rsplit('/').next().unwrap().to_owned();
        Some(
            files
                .into_iter()
                .map(|file| (name(&file.path), file.text))
                .collect(),
        )
    }

    fn pairs(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let pair = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        files.iter().map(pair).collect()
    }

    #[test]
    fn files_are_read_when_they_have_changed_and_only_then() {
        let (folder, mut watch) = watched();
        let at = |name: &str| folder.path().join(name);
        assert_eq!(next(&mut watch), Some(pairs(&[])));
        assert_eq!(next(&mut watch), None);
        fs::write(at("b.toml"), "1").unwrap();
        fs::write(at("a.toml"), "22").unwrap();
        let both = pairs(&[("a.toml", "22"), ("b.toml", "1")]);
        assert_eq!(next(&mut watch), Some(both), "added");
        assert_eq!(next(&mut watch), None);
        fs::write(at("a.toml"), "333").unwrap();
        let written = pairs(&[("a.toml", "333"), ("b.toml", "1")]);
        assert_eq!(next(&mut watch), Some(written), "written");
        fs::remove_file(at("b.toml")).unwrap();
        assert_eq!(
            next(&mut watch),
            Some(pairs(&[("a.toml", "333")])),
            "removed"
        );
        assert_eq!(next(&mut watch), None);
    }

    #[test]
    fn a_file_of_the_same_size_and_time_that_takes_the_place_of_another_is_a_change() {
        let (folder, mut watch) = watched();
        let (place, other) = (folder.path().join("a.toml"), folder.path().join("a.new"));
        fs::write(&place, "one").unwrap();
        assert_eq!(next(&mut watch), Some(pairs(&[("a.toml", "one")])));
        fs::write(&other, "two").unwrap();
        let then = fs::metadata(&place).unwrap().modified().unwrap();
        let file = fs::File::options().write(true).open(&other).unwrap();
        file.set_modified(then).unwrap();
        assert_eq!(next(&mut watch), None, "no workflow file yet");
        fs::rename(&other, &place).unwrap();
        assert_eq!(next(&mut watch), Some(pairs(&[("a.toml", "two")])));
    }

    #[test]
    fn what_is_still_being_written_is_left_alone() {
        let (folder, mut watch) = watched();
        let place = folder.path().join("a.toml");
        for length in 1..5 {
            fs::write(&place, "x".repeat(length)).unwrap();
            assert!(
                watch.look_again().is_none(),
                "it changes from look to look: {length}"
            );
        }
        fs::remove_file(&place).unwrap();
        assert!(watch.look_again().is_none(), "gone for a moment");
        fs::write(&place, "done").unwrap();
        assert!(watch.look_again().is_none());
        assert_eq!(next(&mut watch), Some(pairs(&[("a.toml", "done")])));
    }

    #[test]
    fn a_folder_that_is_swapped_by_a_symlink_is_read_anew() {
        let (folder, mut watch) = watched();
        let at = |name: &str| folder.path().join(name);
        for (version, text) in [("..v1", "one"), ("..v2", "two")] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("a.toml"), text).unwrap();
        }
        symlink("..v1", at("..data")).unwrap();
        symlink("..data/a.toml", at("a.toml")).unwrap();
        assert_eq!(next(&mut watch), Some(pairs(&[("a.toml", "one")])));
        symlink("..v2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_eq!(next(&mut watch), Some(pairs(&[("a.toml", "two")])));
    }

    #[test]
    fn a_folder_that_goes_and_comes_back_is_told_each_time() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("workflows");
        let mut watch = Watch::new(folder.clone());
        let told = |watch: &mut Watch| (0..3).find_map(|_| watch.look_again());
        let said = told(&mut watch).unwrap().unwrap_err().to_string();
        assert!(said.contains("check workflows.folder"), "{said}");
        assert!(told(&mut watch).is_none(), "once");
        fs::create_dir(&folder).unwrap();
        assert_eq!(told(&mut watch).unwrap().unwrap(), []);
        fs::remove_dir(&folder).unwrap();
        assert!(told(&mut watch).unwrap().is_err());
    }

    #[test]
    fn what_is_no_workflow_file_is_not_looked_at_and_what_cannot_be_one_is_a_sentence() {
        let (folder, mut watch) = watched();
        let at = |name: &str| folder.path().join(name);
        symlink("nowhere", at(".#a.toml")).unwrap();
        fs::write(at(".a.toml"), "hidden").unwrap();
        fs::write(at("a.toml~"), "a copy").unwrap();
        assert_eq!(next(&mut watch), Some(pairs(&[])));
        fs::create_dir(at("a.toml")).unwrap();
        let said = read_all(folder.path()).unwrap_err().to_string();
        let expected = "a.toml is no workflow: it is no file; take it out of the folder";
        assert!(said.contains(expected), "{said}");
        let again = named(&[folder.path().to_owned()]).unwrap_err();
        assert_eq!(again.to_string(), said, "by whatever way it is named");
        fs::remove_dir(at("a.toml")).unwrap();
        fs::write(at("a.toml"), vec![b'#'; 1 + LONGEST as usize]).unwrap();
        let said = read_all(folder.path()).unwrap_err().to_string();
        assert!(said.contains("larger than 1 MB"), "{said}");
        for text in [&b"\xff\xfen\0a\0m\0e\0"[..], b"# caf\xe9"] {
            fs::write(at("a.toml"), text).unwrap();
            let said = read_all(folder.path()).unwrap_err().to_string();
            let expected = "a.toml is not UTF-8 text; save it in that encoding";
            assert!(said.ends_with(expected), "{said}");
        }
        fs::remove_file(at("a.toml")).unwrap();
        let said = named(&[folder.path().to_owned()]).unwrap_err().to_string();
        assert!(
            said.contains("no file in it has a name that ends in .toml; put one"),
            "{said}"
        );
    }
}
