//! Reads one YAML file, and `SUNROOM_*` variables over it, into a service's typed configuration.
//!
//! Invariant: every error names the file or the variable, and the key by its whole path; a text of the wrong kind is not
//! repeated, since it may be a secret. What may never be here: any particular service's keys.

use figment::{
    Figment, Metadata,
    error::{Actual, Kind},
    providers::{Env, Format, Yaml},
};
use serde::de::DeserializeOwned;
use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Before the name of every variable.
const PREFIX: &str = "SUNROOM_";
/// Between the levels of a variable's key.
const LEVEL: &str = "__";
/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// Jaro-Winkler similarity from which an unknown key is taken for a known one, mistyped.
const ALIKE: f64 = 0.8;
/// Similarity of names that one slip of the finger tells apart.
const ONE_SLIP: f64 = 0.9;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is out of reach.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is too large to be a configuration.
    #[error("{path} is larger than {MAX_FILE} bytes")]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// A key that nobody reads.
    #[error("unknown key '{key}' in {place}: {hint}")]
    UnknownKey {
        /// The key, by its path from the top: `listen.adr`.
        key: String,
        /// Where it stands.
        place: Place,
        /// What was meant, or what there is.
        hint: Hint,
    },
    /// A value that is none of those a key may have.
    #[error("{key} in {place}: unknown value '{value}': {hint}")]
    UnknownValue {
        /// The key, by its path from the top.
        key: String,
        /// Where it stands.
        place: Place,
        /// The value.
        value: String,
        /// What was meant, or what there is.
        hint: Hint,
    },
    /// A key without which the service cannot start.
    #[error("'{key}' is missing in {place}")]
    Missing {
        /// The key, by its path from the top.
        key: String,
        /// Where it should stand.
        place: Place,
    },
    /// A value of the wrong kind.
    #[error("{key} in {place}: {reason}")]
    Invalid {
        /// The key, by its path from the top.
        key: String,
        /// Where it stands.
        place: Place,
        /// What is wrong with it.
        reason: String,
    },
    /// Not YAML at all.
    #[error("{place}: {reason}")]
    Malformed {
        /// Which text.
        place: Place,
        /// What is wrong with it.
        reason: String,
    },
}

/// Where something was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this file.
    File(PathBuf),
    /// In a text that was given as it is.
    Text,
    /// In the environment variable of this name.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Text => f.write_str("the configuration"),
            Self::Variable(name) => write!(f, "the environment ({name})"),
        }
    }
}

/// What to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Something known is much alike.
    Meant(String),
    /// Nothing is; these are known.
    Known(Vec<String>),
}

impl Hint {
    fn of(found: &str, known: &[&str], full: impl Fn(&str) -> String) -> Self {
        let alike = |known: &str| {
            // Short names with two letters exchanged are further apart by Jaro-Winkler than they look.
            let one_slip = strsim::damerau_levenshtein(found, known) <= 1;
            strsim::jaro_winkler(found, known).max(if one_slip { ONE_SLIP } else { 0.0 })
        };
        let nearest = known.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
        match nearest {
            Some(name) if alike(name) >= ALIKE => Self::Meant(full(name)),
            _ => Self::Known(known.iter().map(|name| full(name)).collect()),
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meant(name) => write!(f, "did you mean '{name}'?"),
            Self::Known(names) if names.is_empty() => f.write_str("there is none to be set here"),
            Self::Known(names) => write!(f, "known are {}", names.join(", ")),
        }
    }
}

/// Reads a configuration file, and the `SUNROOM_*` variables over it: `__` goes a level down, so
/// `SUNROOM_LISTEN__ADDR` is `listen.addr`.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let unreadable = |source| Error::Read { path: path.into(), source };
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE {
        return Err(Error::TooLarge { path: path.into() });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let figment = Figment::from(Yaml::string(document(&text))).merge(Env::prefixed(PREFIX).split(LEVEL));
    extract(&figment, Place::File(path.into()))
}

/// Reads a configuration given as YAML text, without the environment.
pub fn from_yaml<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    extract(&Figment::from(Yaml::string(document(text))), Place::Text)
}

/// A file of nothing but comments sets nothing; YAML takes it for a null.
fn document(text: &str) -> &str {
    let empty = text.lines().map(str::trim_start).all(|line| line.is_empty() || line.starts_with('#'));
    if empty { "{}" } else { text }
}

fn extract<T: DeserializeOwned>(figment: &Figment, place: Place) -> Result<T, Error> {
    figment.extract().map_err(|error| explain(&error, place))
}

fn explain(error: &figment::Error, file: Place) -> Error {
    let key = error.path.join(".");
    let parent = match (&error.kind, error.path.as_slice()) {
        // The path of an unknown key ends with itself.
        (Kind::UnknownField(..), [above @ .., _]) => above.join("."),
        _ => key.clone(),
    };
    let below = |name: &str| if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
    let variable = || format!("{PREFIX}{}", key.to_uppercase().replace('.', LEVEL));
    let from_environment = error.metadata.as_ref().is_some_and(is_environment);
    let place = if from_environment { Place::Variable(variable()) } else { file.clone() };
    match &error.kind {
        Kind::UnknownField(found, known) => {
            Error::UnknownKey { key: below(found), place, hint: Hint::of(found, known, below) }
        }
        Kind::UnknownVariant(value, known) => {
            Error::UnknownValue { key, place, value: value.clone(), hint: Hint::of(value, known, str::to_owned) }
        }
        Kind::MissingField(name) => Error::Missing { key: below(name), place: file },
        kind if key.is_empty() => Error::Malformed { place: file, reason: reason(kind) },
        kind => Error::Invalid { key, place, reason: reason(kind) },
    }
}

fn is_environment(metadata: &Metadata) -> bool {
    metadata.name.contains("environment")
}

fn reason(kind: &Kind) -> String {
    match kind {
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            let found = match actual {
                Actual::Str(_) | Actual::Char(_) | Actual::Bytes(_) => "a text".to_owned(),
                other => other.to_string(),
            };
            format!("found {found}, expected {expected}")
        }
        other => other.to_string(),
    }
}
