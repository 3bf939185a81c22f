//! `-F FILE`: properties from a file, so that secrets stay off the command line.

use std::path::Path;
use std::path::PathBuf;

use ottla::config::Config;
use ottla::config::Properties;

use crate::Failure;
use crate::Outcome;

/// Reads a file of properties, as Java's tools read it. `FILE` may be `default:`, which is `~/.config/ottla.properties`, or `kcat:`, which
/// is kcat's own file: `KEY=VALUE` lines in which a backslash is a backslash. No file is read unless it is named: one that somebody forgot
/// sends no record anywhere.
pub(crate) fn read(file: &str, properties: &mut Properties) -> Outcome {
    let path = path(file)?;
    let text = |error: &ottla::Error| Failure::Usage(format!("-F {file}: {}", crate::describe(error)));
    let config = if file == "kcat:" { Config::from_kcat_file(path) } else { Config::from_file(path) };
    properties.extend(config.map_err(|error| text(&error))?.properties());
    Ok(())
}

fn path(file: &str) -> Result<PathBuf, Failure> {
    let home = |name: &str| {
        let folder = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
        let folder = folder.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".config")));
        let missing = || Failure::Usage(format!("-F {file}: HOME is not set: name the file"));
        folder.map(|folder| folder.join(name)).ok_or_else(missing)
    };
    match file {
        "default:" => home("ottla.properties"),
        "kcat:" => match std::env::var_os("KCAT_CONFIG").filter(|path| !path.is_empty()) {
            Some(path) => Ok(path.into()),
            None => home("kcat.conf"),
        },
        file => Ok(file.into()),
    }
}
