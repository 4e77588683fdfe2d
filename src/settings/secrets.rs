//! Secrets in files, as Docker and Kubernetes mount them: which settings have a counterpart that names a file, and what is
//! read from one.
//!
//! A fault here names the file and never shows what is in it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::{AT_HOME, Error, Secret};

/// The settings that hold a secret. Each has a counterpart with [`IN_FILE`] at its end, the file that holds it.
const SETTINGS: [(&str, &str); 5] = [
    ("server", "client_keys"),
    ("server", "dashboard_password"),
    ("server", "metrics_token"),
    ("store", "database"),
    ("telemetry", "headers"),
];

/// What the name of a setting ends in whose value is the file of a secret.
const IN_FILE: &str = "_file";
/// The same for a variable, as the official images of Docker have it.
const VARIABLE_IN_FILE: &str = "_FILE";
/// The largest file of a secret, in bytes.
const LARGEST: u64 = 64 << 10;
const NO_FILE: &str = "is no regular file but a pipe, a device or a socket; write the secret into a file and name that (the \
                       `<(command)` of a shell is a pipe; what a command prints can be given as the secret itself, by \
                       `\"$(command)\"`)";

/// The settings that hold a secret, and their counterparts: section, name, name of the counterpart.
pub(super) fn settings() -> impl Iterator<Item = (&'static str, &'static str, String)> {
    let named = SETTINGS.into_iter();
    named.map(|(section, key)| (section, key, format!("{key}{IN_FILE}")))
}

/// The other setting that gives the same secret, if this one gives any.
pub(super) fn counterpart(section: &str, key: &str) -> Option<String> {
    let is_secret = |key: &str| SETTINGS.contains(&(section, key));
    match key.strip_suffix(IN_FILE) {
        Some(secret) if is_secret(secret) => Some(secret.to_owned()),
        _ => is_secret(key).then(|| format!("{key}{IN_FILE}")),
    }
}

/// Why a secret cannot be had from a file, and the cure.
#[derive(Debug, thiserror::Error)]
#[error("{path} {what}", path = .path.display())]
pub(super) struct Fault {
    path: PathBuf,
    what: String,
}

impl Fault {
    fn new(path: &Path, what: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}

/// Reads one secret, as [`read`] does. A file of several lines is another than was meant, such as a certificate.
pub(super) fn read_one(path: &Path) -> Result<String, Fault> {
    let secret = read(path)?;
    if secret.contains(char::is_control) {
        let what = "has a line end or another control character in its midst; write the secret alone into it";
        return Err(Fault::new(path, what));
    }
    Ok(secret)
}

/// Reads secrets. What is blank around them, such as the newline at the end, is no part of them, as in a variable; nor is
/// the mark by which editors on Windows begin a text (U+FEFF).
pub(super) fn read(path: &Path) -> Result<String, Fault> {
    let fault = |what: String| Fault::new(path, what);
    let mut bytes = Vec::new();
    let opened = open(path)?;
    // One byte more than may be there tells whether more is there, even where no length is known beforehand.
    let read = opened.take(LARGEST + 1).read_to_end(&mut bytes);
    let length = read.map_err(|error| fault(unreadable(&error)))?;
    if length as u64 > LARGEST {
        let what = format!(
            "is larger than {} KB, which no secret is; name the file that holds the secret alone",
            LARGEST >> 10
        );
        return Err(fault(what));
    }
    // The bytes are left out of the fault.
    let text = String::from_utf8(bytes).map_err(|_| {
        fault("is not UTF-8 text; write the secret alone into it, in that encoding".to_owned())
    })?;
    let secret = text.trim_start_matches('\u{feff}').trim();
    if secret.is_empty() {
        return Err(fault("is empty; write the secret into it".to_owned()));
    }
    Ok(secret.to_owned())
}

/// Opens a file, or what a link leads to. A pipe that nobody writes to would be waited for without an end, so what is no
/// file is not even opened; that of a folder is left to the system to say.
fn open(path: &Path) -> Result<File, Fault> {
    if path.starts_with("~") {
        return Err(Fault::new(path, AT_HOME));
    }
    let cannot = |error: std::io::Error| Fault::new(path, unreadable(&error));
    let kind = std::fs::metadata(path).map_err(cannot)?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(Fault::new(path, NO_FILE));
    }
    File::open(path).map_err(cannot)
}

fn unreadable(error: &std::io::Error) -> String {
    let cure = match error.kind() {
        ErrorKind::NotFound => "correct the path, or mount the secret there",
        ErrorKind::IsADirectory => "name the file in it that holds the secret",
        ErrorKind::PermissionDenied => "let the user that runs Dagway read it",
        _ => "look whether it is a file that can be read",
    };
    format!("cannot be read: {error}; {cure}")
}

/// The secret that a variable holds, or the file that the same variable with `_FILE` names.
pub(super) fn of_variable(
    variable: &str,
    environment: &[(String, String)],
) -> Result<Option<Secret>, Error> {
    let value = |wanted: &str| {
        let found = environment.iter().find(|(name, _)| name == wanted);
        let value = found.map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    };
    let in_file = format!("{variable}{VARIABLE_IN_FILE}");
    match (value(variable), value(&in_file)) {
        (None, None) => Ok(None),
        (Some(secret), None) => Ok(Some(Secret::new(secret))),
        (None, Some(path)) => match read_one(Path::new(path)) {
            Ok(secret) => Ok(Some(Secret::new(secret))),
            Err(fault) => Err(Error::Variable {
                variable: in_file,
                message: fault.to_string(),
            }),
        },
        (Some(_), Some(_)) => Err(Error::Variable {
            variable: in_file,
            message: format!("{variable} is set, too; leave one of the two out"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::super::{Settings, read as read_settings};
    use super::*;

    const OPENROUTER: &str = "OPENROUTER_API_KEY_FILE";
    const VARIABLES: [&str; 6] = [
        "DAGWAY_CLIENT_KEYS_FILE",
        "DAGWAY_DASHBOARD_PASSWORD_FILE",
        "DAGWAY_METRICS_TOKEN_FILE",
        "DAGWAY_DATABASE_URL_FILE",
        "OTEL_EXPORTER_OTLP_HEADERS_FILE",
        OPENROUTER,
    ];

    fn file(text: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_ref()).unwrap();
        file
    }

    fn named_pipe(path: &Path) {
        let made = std::process::Command::new("mkfifo").arg(path).status();
        assert!(made.unwrap().success());
    }

    fn with(pairs: &[(&str, &Path)]) -> Result<Settings, Error> {
        let pairs = pairs.iter();
        let environment =
            pairs.map(|(name, path)| ((*name).to_owned(), path.display().to_string()));
        read_settings(None, &environment.collect::<Vec<_>>())
    }

    fn fails(variable: &str, path: &Path) -> String {
        let said = with(&[(variable, path)]).unwrap_err().to_string();
        assert!(
            said.starts_with(&format!("the variable {variable}: ")),
            "{said}"
        );
        said.replace(&path.display().to_string(), "FILE")
    }

    #[test]
    fn every_secret_may_stand_in_a_file() {
        let [password, token, headers] = ["pass word=,\n", "token", "a=b,c=d=\n"].map(file);
        let database = file("postgres://u:p,q@h/d\r\n");
        let (keys, openrouter) = (file("alice = a=b\nbob = k, l\n"), file("sk-or-v1-k\n"));
        let files = [&keys, &password, &token, &database, &headers, &openrouter];
        let pairs = Vec::from_iter(
            VARIABLES
                .into_iter()
                .zip(files.map(tempfile::NamedTempFile::path)),
        );
        let settings = with(&pairs).unwrap();
        let server = &settings.server;
        assert_eq!(server.dashboard_password.expose(), "pass word=,");
        assert_eq!(server.metrics_token.expose(), "token");
        assert_eq!(settings.store.database.expose(), "postgres://u:p,q@h/d");
        assert_eq!(settings.upstreams["openrouter"].key.expose(), "sk-or-v1-k");
        assert_eq!(settings.telemetry.headers.expose(), "a=b,c=d=");
        let keys = server.client_keys.iter();
        let keys = keys.map(|one| (one.name.as_deref(), one.key.expose()));
        let expected = [(Some("alice"), "a=b"), (Some("bob"), "k"), (None, "l")];
        assert_eq!(Vec::from_iter(keys), expected);
        assert!(!format!("{settings:?}").contains("sk-or"));
    }

    #[test]
    fn a_file_without_a_secret_is_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("nowhere");
        let (pipe, socket) = (folder.path().join("pipe"), folder.path().join("socket"));
        named_pipe(&pipe);
        let _listener = UnixListener::bind(&socket).unwrap();
        let [empty, large] = [" \n".to_owned(), "k".repeat((64 << 10) + 1)].map(file);
        let foreign = file(b"caf\xe9");
        for variable in VARIABLES {
            for (path, expected) in [
                (&*nowhere, "correct the path, or mount the secret there"),
                (folder.path(), "name the file in it that holds the secret"),
                (empty.path(), "FILE is empty; write the secret into it"),
                (
                    large.path(),
                    "FILE is larger than 64 KB, which no secret is",
                ),
                (Path::new("/dev/zero"), "FILE is no regular file but a pipe"),
                (&*pipe, "FILE is no regular file but a pipe"),
                (&*socket, "FILE is no regular file but a pipe"),
                (foreign.path(), "FILE is not UTF-8 text"),
            ] {
                let said = fails(variable, path);
                assert!(said.contains(expected), "{said}");
                assert!(!said.contains("kkk") && !said.contains("caf"), "{said}");
            }
        }
        insta::assert_snapshot!(fails("DAGWAY_DATABASE_URL_FILE", &nowhere), @"the variable DAGWAY_DATABASE_URL_FILE: the setting `store.database_file` is wrong: FILE cannot be read: No such file or directory (os error 2); correct the path, or mount the secret there");
        insta::assert_snapshot!(fails(OPENROUTER, folder.path()), @"the variable OPENROUTER_API_KEY_FILE: FILE cannot be read: Is a directory (os error 21); name the file in it that holds the secret");
        let largest = file("k".repeat(64 << 10));
        assert!(with(&[(OPENROUTER, largest.path())]).is_ok());
        let none = fails("DAGWAY_CLIENT_KEYS_FILE", file(" , \n").path());
        assert!(
            none.ends_with("FILE holds no key; write one into it"),
            "{none}"
        );
    }

    #[test]
    fn a_link_to_a_file_is_a_file_and_a_pipe_of_the_shell_is_none() {
        let folder = tempfile::tempdir().unwrap();
        // As Kubernetes mounts them.
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("..2026")).unwrap();
        std::fs::write(at("..2026/key"), "secret\n").unwrap();
        symlink("..2026", at("..data")).unwrap();
        symlink("..data/key", at("key")).unwrap();
        assert_eq!(read_one(&at("key")).unwrap(), "secret");
        named_pipe(&at("pipe"));
        symlink("pipe", at("linked")).unwrap();
        assert!(read_one(&at("linked")).is_err());
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"secret\n").unwrap();
        drop(writer);
        let substituted = format!("/dev/fd/{}", reader.as_raw_fd());
        insta::assert_snapshot!(fails(OPENROUTER, Path::new(&substituted)), @r#"the variable OPENROUTER_API_KEY_FILE: FILE is no regular file but a pipe, a device or a socket; write the secret into a file and name that (the `<(command)` of a shell is a pipe; what a command prints can be given as the secret itself, by `"$(command)"`)"#);
    }

    #[test]
    fn the_mark_that_begins_a_text_is_no_part_of_the_secret() {
        let marked = file("\u{feff}secret\r\n");
        let settings = with(&[
            ("DAGWAY_CLIENT_KEYS_FILE", marked.path()),
            ("DAGWAY_DASHBOARD_PASSWORD_FILE", marked.path()),
            (OPENROUTER, marked.path()),
        ]);
        let settings = settings.unwrap();
        assert_eq!(settings.server.client_keys[0].key.expose(), "secret");
        assert_eq!(settings.server.dashboard_password.expose(), "secret");
        assert_eq!(settings.upstreams["openrouter"].key.expose(), "secret");
        let nothing = fails(OPENROUTER, file("\u{feff}\r\n").path());
        assert!(nothing.ends_with("FILE is empty; write the secret into it"));
    }

    #[test]
    fn a_file_of_several_lines_is_no_secret_but_may_hold_client_keys() {
        for text in ["first\nsecond\n", "first\rsecond", "first\0second"] {
            let several = file(text);
            for variable in VARIABLES {
                if variable == "DAGWAY_CLIENT_KEYS_FILE" {
                    continue;
                }
                let said = fails(variable, several.path());
                assert!(said.contains("FILE has a line end or another"), "{said}");
                assert!(!said.contains("first"), "{said}");
            }
            let path = several.path().display();
            let settings = file(format!(
                "[upstreams.x]\nkind = 'openai'\nbase_url = 'http://x'\nkey_file = '{path}'"
            ));
            let said = read_settings(Some(settings.path()), &[]).unwrap_err();
            let said = said.to_string();
            assert!(
                said.contains("key_file") && said.contains("line end"),
                "{said}"
            );
        }
        let keys = file("one\ntwo");
        let settings = with(&[("DAGWAY_CLIENT_KEYS_FILE", keys.path())]).unwrap();
        assert_eq!(settings.server.client_keys.len(), 2);
    }

    /// The superuser may read everything.
    #[test]
    fn a_file_that_may_not_be_read_says_who_could_let_it() {
        let closed = file("k");
        let nobody = std::fs::Permissions::from_mode(0o000);
        std::fs::set_permissions(closed.path(), nobody).unwrap();
        let said = read(closed.path()).map_err(|fault| fault.to_string());
        if rustix::process::geteuid().is_root() {
            assert_eq!(said.as_deref(), Ok("k"));
        } else {
            let cure = "let the user that runs Dagway read it";
            assert!(said.as_ref().unwrap_err().ends_with(cure), "{said:?}");
        }
    }

    #[test]
    fn what_a_file_holds_is_judged_as_what_a_variable_holds_and_not_shown() {
        let keys = file("k\nsecret words\n");
        let said = fails("DAGWAY_CLIENT_KEYS_FILE", keys.path());
        let place =
            "the variable DAGWAY_CLIENT_KEYS_FILE: the setting `server.client_keys[1]` is wrong: ";
        assert!(
            said.starts_with(place) && !said.contains("secret"),
            "{said}"
        );
        let token = file("secret token");
        let said = fails("DAGWAY_METRICS_TOKEN_FILE", token.path());
        assert!(!said.contains("secret"), "{said}");
    }

    #[test]
    fn one_source_gives_a_secret_in_one_way_and_a_later_one_replaces_it() {
        let secret = file("of-a-file\n");
        let path = secret.path();
        for in_file in VARIABLES {
            let variable = in_file.strip_suffix("_FILE").unwrap();
            let both = [(variable, Path::new("twofold")), (in_file, path)];
            for pairs in [both, [both[1], both[0]]] {
                let said = with(&pairs).unwrap_err().to_string();
                assert!(
                    said.contains(variable) && said.contains("leave one of the two out"),
                    "{said}"
                );
                assert!(
                    !said.contains("twofold") && !said.contains("of-a-file"),
                    "{said}"
                );
            }
            let one = with(&[(variable, Path::new("")), (in_file, path)]);
            let said = one.map_or_else(|error| error.to_string(), |_| String::new());
            assert!(!said.contains("leave one of the two out"), "{said}");
        }
        let written = |line: &str| file(format!("[server]\n{line}\n"));
        let password = |written: &tempfile::NamedTempFile, variable: &str, value: &str| {
            let environment = [(variable.to_owned(), value.to_owned())];
            let settings = read_settings(Some(written.path()), &environment)?;
            Ok::<_, Error>(settings.server.dashboard_password.expose().to_owned())
        };
        let shown = path.display().to_string();
        let in_file = written(&format!("dashboard_password_file = '{shown}'"));
        let itself = written("dashboard_password = 'written'");
        let variable = "DAGWAY_DASHBOARD_PASSWORD";
        assert_eq!(password(&in_file, variable, "").unwrap(), "of-a-file");
        assert_eq!(password(&in_file, variable, "set").unwrap(), "set");
        let variable = "DAGWAY_DASHBOARD_PASSWORD_FILE";
        assert_eq!(password(&itself, variable, &shown).unwrap(), "of-a-file");
        let emptied = format!("dashboard_password = ' '\ndashboard_password_file = ' {shown}\t'");
        let emptied = password(&written(&emptied), variable, "");
        assert_eq!(emptied.unwrap(), "of-a-file");
        let both = written("dashboard_password = 'x'\ndashboard_password_file = '/y'");
        let said = password(&both, variable, "").unwrap_err().to_string();
        let said = said.replace(&both.path().display().to_string(), "SETTINGS");
        insta::assert_snapshot!(said, @"SETTINGS:3: the setting `server.dashboard_password_file` is wrong: `server.dashboard_password` is given, too (SETTINGS:2); leave one of the two out");
        let number = written("dashboard_password_file = 5");
        let said = password(&number, variable, "").unwrap_err().to_string();
        assert!(said.ends_with(":2: the setting `server.dashboard_password_file` is wrong: it is the path of a file, in quotes"), "{said}");
    }
}
