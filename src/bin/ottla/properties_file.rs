//! `-F FILE`: properties from a file, so that secrets stay off the command line.

use std::path::Path;
use std::path::PathBuf;

use ottla::config::Properties;

use crate::Failure;
use crate::Outcome;

/// Reads `KEY=VALUE` lines into `properties`. `FILE` may be `default:`, which is `~/.config/ottla.properties`, or `kcat:`, which is
/// kcat's own file. No file is read unless it is named: one that somebody forgot sends no record anywhere.
pub(crate) fn read(file: &str, properties: &mut Properties) -> Outcome {
    let path = path(file)?;
    let shown = path.display();
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|error| Failure::Usage(format!("-F {file}: could not read {shown}: {error}")))?;
    for (number, line) in lines(&text) {
        // The line is not shown: it may be a secret.
        let wrong = || Failure::Usage(format!("-F {file}: line {number} of {shown} is not KEY=VALUE"));
        let (key, value) = line.split_once('=').ok_or_else(wrong)?;
        let set = properties.set(key.trim(), value.trim());
        set.map_err(|error| {
            Failure::Usage(format!("-F {file}: line {number} of {shown}: {}", crate::describe(&error)))
        })?;
    }
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

/// The lines that are neither empty nor comments, with their numbers. A line that ends with a backslash goes on in the next one, as in
/// Java's property files.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let is_comment = line.is_empty() || line.starts_with(['#', '!']);
        if is_comment && !goes_on {
            continue;
        }
        let (part, more) = line.strip_suffix('\\').map_or((line, false), |part| (part, true));
        match lines.last_mut() {
            Some((_, last)) if goes_on => last.push_str(part),
            _ => lines.push((number, part.to_owned())),
        }
        goes_on = more;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_skipped_and_lines_are_joined() {
        let text = "# a comment\n\n a = 1 \nb=x \\\n   y\\\n z\n! another\nc=#1\n";
        let lines = lines(text);
        let expected = [(3, "a = 1"), (4, "b=x yz"), (8, "c=#1")].map(|(number, line)| (number, line.to_owned()));
        assert_eq!(lines, expected);
    }
}
