//! `-X list`, `-X dump` and `ottla config explain`: every property, and the values that are in effect.

use std::io;
use std::io::Write;

use ottla::config::Explained;
use ottla::config::Key;
use ottla::config::Properties;
use ottla::config::families;
use ottla::config::keys;
use serde_json::json;

use crate::Outcome;

/// Prints every property that is known, by name.
pub(crate) fn list(as_json: bool) -> Outcome {
    let mut rows: Vec<Row> = keys().flat_map(Row::of_key).collect();
    for family in families() {
        let effect = if family.accepted { "no effect" } else { "refused" };
        rows.extend(family.names.iter().map(|name| Row {
            name,
            effect,
            takes: "-".to_owned(),
            about: family.why.to_owned(),
            key: None,
        }));
    }
    rows.sort_by_key(|row| row.name);
    let mut out = io::BufWriter::new(io::stdout().lock());
    if !as_json {
        writeln!(out, "{:<46}  {:<9}  {:<11}  TAKES: MEANING", "PROPERTY", "EFFECT", "DEFAULT")?;
    }
    for row in &rows {
        if as_json { row.write_json(&mut out)? } else { row.write(&mut out)? }
    }
    Ok(out.flush()?)
}

struct Row {
    name: &'static str,
    effect: &'static str,
    takes: String,
    about: String,
    key: Option<&'static Key>,
}

impl Row {
    /// The rows of a setting: one for its name, and one for each alias.
    fn of_key(key: &'static Key) -> Vec<Self> {
        let named = |name, about: String| Self { name, effect: "yes", takes: key.takes(), about, key: Some(key) };
        let aliases = key.aliases.iter().map(|alias| named(*alias, format!("alias of {}", key.name)));
        std::iter::once(named(key.name, key.about.to_owned())).chain(aliases).collect()
    }

    fn default(&self) -> &'static str {
        self.key.and_then(|key| key.defaults().here).unwrap_or("-")
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { name, effect, takes, about, .. } = self;
        writeln!(out, "{name:<46}  {effect:<9}  {:<11}  {takes}: {about}", self.default())
    }

    fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { name, effect, takes, about, key } = self;
        let defaults = key.map(Key::defaults).unwrap_or_default();
        let object = json!({
            "property": name, "effect": effect, "takes": takes, "default": defaults.here, "default_of_java": defaults.java,
            "default_of_librdkafka": defaults.librdkafka, "meaning": about,
        });
        writeln!(out, "{object}")
    }
}

/// Prints the value of each setting that has one: the one that was set, or the default. Secrets are hidden.
pub(crate) fn dump(properties: &Properties, as_json: bool) -> Outcome {
    if as_json {
        return explain(properties, true);
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    for Explained { name, value, .. } in &properties.explain() {
        if let Some(value) = value {
            writeln!(out, "{name} = {value}")?;
        }
    }
    Ok(out.flush()?)
}

/// Prints the value of each setting as [`dump`], and where it comes from.
pub(crate) fn explain(properties: &Properties, as_json: bool) -> Outcome {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let explained = properties.explain();
    if as_json {
        for Explained { name, value, origin, .. } in &explained {
            let object = json!({ "property": name, "value": value, "set": origin.is_some(), "origin": origin });
            writeln!(out, "{object}")?;
        }
    } else {
        write!(out, "{explained}")?;
    }
    Ok(out.flush()?)
}
