//! A file of properties, as `java.util.Properties` reads it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Config;
use super::Properties;
use super::dsn::set_once;
use crate::error::Error;

/// The most bytes that a file may have.
pub(super) const BYTES_MAX: u64 = 1 << 20;

impl Config {
    /// Reads a file of properties in the format of Java's property files (`java.util.Properties.load`), which is UTF-8 here: `key=value`,
    /// `key: value` or `key value` on each line, comments after `#` and `!`, lines that go on after a `\` at their end, and the escapes `\n`,
    /// `\t`, `\r`, `\f`, `\uXXXX`; any other character after a `\` stands for itself. Spaces around a value are cut, as Kafka cuts them.
    ///
    /// It blocks while it reads. Nothing else is read: no file that the properties name, and no environment.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](crate::error::Kind::Config): the file cannot be read, is larger than 1 MiB, or has a line that is wrong. The error
    /// names the line and shows no value of a setting that is a secret.
    ///
    /// ```
    /// use ottla::config::Config;
    ///
    /// let path = std::env::temp_dir().join(format!("docs-{}.properties", std::process::id()));
    /// std::fs::write(&path, "bootstrap.servers = localhost:9092\nlinger.ms = 20\n")?;
    ///
    /// let config = Config::from_file(&path)?;
    /// println!("{}", config.explain());
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        read(path.as_ref(), java)
    }

    /// Reads a file in the format of kcat's own configuration (`kcat.conf`): `key=value` on each line, comments after `#`, and no escapes.
    ///
    /// # Errors
    ///
    /// As [`Self::from_file`].
    ///
    /// ```
    /// use ottla::config::Config;
    ///
    /// let path = std::env::temp_dir().join(format!("docs-{}.kcat.conf", std::process::id()));
    /// std::fs::write(&path, "metadata.broker.list=localhost:9092\nclient.id=C:\\me\n")?;
    ///
    /// let config = Config::from_kcat_file(&path)?;
    /// assert_eq!(config.properties().get("client.id"), Some("C:\\me"));
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_kcat_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        read(path.as_ref(), kcat)
    }
}

/// A key and its value, or what is wrong with the line.
type Pair = Result<(String, String), &'static str>;

const NO_PAIR: &str = "write it as KEY=VALUE";

fn read(path: &Path, lines: fn(&str) -> Vec<(usize, Pair)>) -> Result<Config, Error> {
    let shown = path.display();
    let text = text(path).map_err(|error| Error::config(format!("could not read {shown}")).caused_by(error))?;
    collect(lines(&text), &shown.to_string())
}

/// The settings of the lines of a file.
fn collect(lines: Vec<(usize, Pair)>, file: &str) -> Result<Config, Error> {
    let mut properties = Properties::new();
    for (number, pair) in lines {
        let place = format!("line {number} of {file}");
        let wrong = |what: &str| Error::config(format!("{place}: {what}"));
        let (key, value) = pair.map_err(wrong)?;
        set_once(&mut properties, &key, cut(&value), &place).map_err(|error| wrong(&error.to_string()))?;
    }
    Ok(Config { properties, topic: None })
}

/// Reads the text of a file.
#[cfg(test)]
pub(super) fn from_text(text: &str, is_kcats: bool) -> Result<Config, Error> {
    collect(if is_kcats { kcat(text) } else { java(text) }, "the text")
}

/// A value without spaces around it, as Kafka's clients cut them (`String.trim`): other white space belongs to the value.
pub(super) fn cut(value: &str) -> &str {
    value.trim_matches(|c| c <= ' ')
}

fn kcat(text: &str) -> Vec<(usize, Pair)> {
    let lines = (1..).zip(text.lines().map(cut));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let pair = |line: &str| line.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.to_owned()));
    lines.map(|(number, line)| (number, pair(line).ok_or(NO_PAIR))).collect()
}

fn java(text: &str) -> Vec<(usize, Pair)> {
    let pair = |line: &str| {
        let (key, value) = split(line).ok_or(NO_PAIR)?;
        unescaped(key).zip(unescaped(value)).ok_or("\\u needs four hexadecimal digits after it")
    };
    logical_lines(text).into_iter().map(|(number, line)| (number, pair(&line))).collect()
}

/// Reads a text of limited size.
fn text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > BYTES_MAX {
        return Err(std::io::Error::other("the file is larger than 1 MiB: it is no file of properties"));
    }
    Ok(text)
}

/// The lines that are neither empty nor comments, joined where one goes on in the next, with the number of the first.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_start_matches([' ', '\t', '\x0c']);
        if !goes_on && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        // Two backslashes are one escaped backslash.
        let slashes = line.len() - line.trim_end_matches('\\').len();
        let more = slashes % 2 == 1;
        let part = if more { &line[..line.len() - 1] } else { line };
        match lines.last_mut() {
            Some((_, last)) if goes_on => last.push_str(part),
            _ => lines.push((number, part.to_owned())),
        }
        goes_on = more;
    }
    lines
}

/// The key and the value of a line, with their escapes: the key ends at the first `=`, `:` or space without a backslash before it.
fn split(line: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    let end = line.find(|c: char| {
        let ends = !is_escaped && matches!(c, '=' | ':' | ' ' | '\t' | '\x0c');
        is_escaped = c == '\\' && !is_escaped;
        ends
    })?;
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches([' ', '\t', '\x0c']);
    Some((key, rest.strip_prefix(['=', ':']).unwrap_or(rest)))
}

/// Replaces escapes. `None`: a `\u` without its digits.
fn unescaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    let mut units: Vec<u16> = Vec::new();
    while let Some(c) = rest.next() {
        let escaped = if c == '\\' { rest.next() } else { None };
        if escaped == Some('u') {
            let (digits, after) = rest.as_str().split_at_checked(4)?;
            units.push(u16::from_str_radix(digits, 16).ok()?);
            rest = after.chars();
            continue;
        }
        flush(&mut units, &mut out);
        match (c, escaped) {
            ('\\', None) => {}
            (_, Some('n')) => out.push('\n'),
            (_, Some('t')) => out.push('\t'),
            (_, Some('r')) => out.push('\r'),
            (_, Some('f')) => out.push('\x0c'),
            (_, Some(other)) => out.push(other),
            (plain, None) => out.push(plain),
        }
    }
    flush(&mut units, &mut out);
    Some(out)
}

/// Adds UTF-16 code units, of which two may be one character.
fn flush(units: &mut Vec<u16>, out: &mut String) {
    if !units.is_empty() {
        out.push_str(&String::from_utf16_lossy(units));
        units.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pairs of a text, as they reach the settings.
    fn pairs(text: &str) -> Vec<(String, String)> {
        let trimmed = |(key, value): (String, String)| (key, cut(&value).to_owned());
        java(text).into_iter().map(|(_, pair)| trimmed(pair.expect("a pair"))).collect()
    }

    #[test]
    fn files_are_read_as_java_reads_them() {
        let text = "# a comment\n\n a = 1 \nb=x \\\n   y\\\n z\n! another\nc=#1\nd : 2\ne\t3\nf=C\\:\\\\x\\\\\ng=\\u00e9\\ud83d\\ude00\nh\\ i=1\nj=\n\
                    k=a\\tb\\\"q\\\"\nl= \\u00a0x\u{a0}\t";
        let expected = [
            ("a", "1"),
            ("b", "x yz"),
            ("c", "#1"),
            ("d", "2"),
            ("e", "3"),
            ("f", "C:\\x\\"),
            ("g", "é😀"),
            ("h i", "1"),
            ("j", ""),
            ("k", "a\tb\"q\""),
            ("l", "\u{a0}x\u{a0}"),
        ];
        assert_eq!(pairs(text), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(logical_lines(text)[1].0, 4, "a line that goes on has the number of its beginning");
    }

    #[test]
    fn backslashes_of_a_kcat_file_are_kept() {
        let file = file("# a comment\nclient.id = C:\\temp\\\nlinger.ms=1\n");
        let config = Config::from_kcat_file(&file.0).expect("two settings");
        assert_eq!(config.properties().get("client.id"), Some("C:\\temp\\"));
        assert_eq!(config.properties().get("linger.ms"), Some("1"));
    }

    /// A file that is removed at the end of its test.
    struct Temporary(std::path::PathBuf);

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn file(text: &str) -> Temporary {
        let path = std::env::temp_dir().join(format!("ottla-{}-{}", std::process::id(), fastrand::u64(..)));
        std::fs::write(&path, text).expect("written");
        Temporary(path)
    }

    #[test]
    fn errors_name_the_line_and_no_secret() {
        let cases = [
            ("linger.ms=1\nlinger.sm=2", "line 2 of", "linger.ms"),
            ("\n\nhunter2", "line 3 of", "KEY=VALUE"),
            ("linger.ms=\\u12", "line 1 of", "four hexadecimal digits"),
            ("linger.ms=1\nqueue.buffering.max.ms=1", "line 2 of", "given twice"),
            ("sasl.pasword=hunter2", "line 1 of", "sasl.password"),
        ];
        for (text, line, part) in cases {
            let file = file(text);
            let error = Config::from_file(&file.0).expect_err(text).to_string();
            assert!(error.contains(line) && error.contains(part) && !error.contains("hunter2"), "{error}");
        }
        let missing = Config::from_file("/no/such/file").expect_err("no file");
        assert!(format!("{missing:#}").contains("/no/such/file"), "{missing:#}");
        let endless = Config::from_file("/dev/zero").expect_err("no end");
        assert!(format!("{endless:#}").contains("1 MiB"), "{endless:#}");
    }

    #[test]
    fn settings_of_a_file_know_their_line() {
        let file = file("# brokers\nbootstrap.servers=a.example\nlinger.ms = 7\n");
        let config = Config::from_file(&file.0).expect("a file of properties");
        let explained = config.explain();
        let linger = explained.iter().find(|row| row.name == "linger.ms").expect("a setting");
        assert_eq!(linger.value.as_deref(), Some("7"));
        assert_eq!(linger.origin.as_deref(), Some(&*format!("line 3 of {}", file.0.display())));
    }
}
