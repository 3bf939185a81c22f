//! One JSON line for each event, so that a history can be stored and checked again.
//!
//! The fields are those of Jepsen's histories: `i` index, `t` nanoseconds since the run began, `p` process, `f` function, `type`
//! phase (`invoke`, `accept`, `ok`, `fail`, `info` where the outcome is unknown), `v` value.

use std::io;
use std::io::BufRead;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use ottla::types::TopicPartition;
use serde_json::Value as Json;
use serde_json::json;

use super::Body;
use super::Change;
use super::CommitOutcome;
use super::Event;
use super::History;
use super::Outcome;
use super::Role;
use super::Seen;

impl History {
    /// Writes one line for each event.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for event in self.events() {
            writeln!(out, "{}", event.to_json())?;
        }
        Ok(())
    }

    /// Parses the lines of [`History::write`]. An error names the line.
    pub fn read(lines: impl BufRead) -> io::Result<Self> {
        let mut history = Self::default();
        for (number, line) in (1..).zip(lines.lines()) {
            let event = serde_json::from_str(&line?).ok().and_then(|json| Event::from_json(&json));
            let wrong = || io::Error::new(io::ErrorKind::InvalidData, format!("line {number} is no event"));
            history.events.push(event.ok_or_else(wrong)?);
        }
        Ok(history)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn place(partition: &TopicPartition) -> Json {
    json!([&*partition.topic, partition.partition])
}

impl Event {
    /// The event as an object.
    pub fn to_json(&self) -> Json {
        let (f, kind, rest) = self.body.to_json();
        let mut object = json!({
            "i": self.index, "t": nanoseconds(self.at), "p": self.process, "f": f, "type": kind,
        });
        let fields = object.as_object_mut().expect("made as one");
        if let Json::Object(rest) = rest {
            fields.extend(rest);
        }
        object
    }

    /// Parses an object; `None` where it is no event.
    pub fn from_json(json: &Json) -> Option<Self> {
        Some(Self {
            index: json["i"].as_u64()?,
            at: Duration::from_nanos(json["t"].as_u64()?),
            process: json["p"].as_u64()?.try_into().ok()?,
            body: Body::from_json(json)?,
        })
    }
}

impl Body {
    fn to_json(&self) -> (&'static str, &'static str, Json) {
        match self {
            Self::Opened(Role::Producer { idempotent }) => ("open", "ok", json!({ "idempotent": idempotent })),
            Self::Opened(Role::Consumer { group }) => ("open", "ok", json!({ "group": group })),
            Self::Invoked { topic, partition, value, deadline } => {
                let v = json!([&**topic, partition, &**value]);
                ("send", "invoke", json!({ "v": v, "deadline": nanoseconds(*deadline) }))
            }
            Self::Accepted { value, deadline } => {
                ("send", "accept", json!({ "v": &**value, "deadline": nanoseconds(*deadline) }))
            }
            Self::Decided { value, outcome } => {
                let v = &**value;
                match outcome {
                    Outcome::Acknowledged { partition, offset } => {
                        ("send", "ok", json!({ "v": [v, partition, offset] }))
                    }
                    Outcome::NotWritten(error) => ("send", "fail", json!({ "v": v, "err": error })),
                    Outcome::InDoubt(error) => ("send", "info", json!({ "v": v, "err": error })),
                }
            }
            Self::Moved { partition, to } => ("move", "ok", json!({ "v": [place(partition), to] })),
            Self::Subscribed(topics) => {
                ("subscribe", "ok", json!({ "v": topics.iter().map(|topic| &**topic).collect::<Vec<_>>() }))
            }
            Self::Rebalanced { change, generation, partitions } => {
                let v: Vec<Json> = partitions.iter().map(place).collect();
                ("rebalance", "ok", json!({ "v": v, "change": change.name(), "generation": generation }))
            }
            Self::Polled { records, moved, error } => {
                let seen = |seen: &Seen| json!([place(&seen.partition), seen.offset, &*seen.value]);
                let v: Vec<Json> = records.iter().map(seen).collect();
                let moved: Vec<Json> = moved.iter().map(place).collect();
                let kind = if error.is_some() { "info" } else { "ok" };
                ("poll", kind, json!({ "v": v, "moved": moved, "err": error }))
            }
            Self::CommitInvoked(positions) => {
                let v: Vec<Json> = positions.iter().map(|(at, offset)| json!([place(at), offset])).collect();
                ("commit", "invoke", json!({ "v": v }))
            }
            Self::Committed(CommitOutcome::Done) => ("commit", "ok", json!({})),
            Self::Committed(CommitOutcome::Failed(error)) => ("commit", "fail", json!({ "err": error })),
            Self::Committed(CommitOutcome::InDoubt(error)) => ("commit", "info", json!({ "err": error })),
            Self::ReadToEnd { partition, from, to } => ("end", "ok", json!({ "v": [place(partition), from, to] })),
            Self::Crashed => ("crash", "ok", json!({})),
            Self::Forsaken(partition) => ("forsaken", "ok", json!({ "v": place(partition) })),
            Self::Retained { partition, start } => ("retained", "ok", json!({ "v": [place(partition), start] })),
            Self::Fault(what) => ("fault", "ok", json!({ "v": what })),
        }
    }

    fn from_json(json: &Json) -> Option<Self> {
        let v = &json["v"];
        let text = |json: &Json| json.as_str().map(str::to_owned);
        let value = |json: &Json| json.as_str().map(Arc::from);
        let time = || json["deadline"].as_u64().map(Duration::from_nanos);
        let error = || text(&json["err"]);
        Some(match (json["f"].as_str()?, json["type"].as_str()?) {
            ("open", _) => Self::Opened(match json["idempotent"].as_bool() {
                Some(idempotent) => Role::Producer { idempotent },
                None => Role::Consumer { group: text(&json["group"]) },
            }),
            ("send", "invoke") => Self::Invoked {
                topic: v[0].as_str()?.into(),
                partition: index(&v[1]),
                value: value(&v[2])?,
                deadline: time()?,
            },
            ("send", "accept") => Self::Accepted { value: value(v)?, deadline: time()? },
            ("send", "ok") => Self::Decided {
                value: value(&v[0])?,
                outcome: Outcome::Acknowledged { partition: index(&v[1])?, offset: v[2].as_i64() },
            },
            ("send", "fail") => Self::Decided { value: value(v)?, outcome: Outcome::NotWritten(error()?) },
            ("send", "info") => Self::Decided { value: value(v)?, outcome: Outcome::InDoubt(error()?) },
            ("move", _) => Self::Moved { partition: at(&v[0])?, to: v[1].as_i64() },
            ("subscribe", _) => {
                Self::Subscribed(v.as_array()?.iter().map(|name| Some(name.as_str()?.into())).collect::<Option<_>>()?)
            }
            ("rebalance", _) => Self::Rebalanced {
                change: Change::from_name(json["change"].as_str()?)?,
                generation: index(&json["generation"])?,
                partitions: v.as_array()?.iter().map(at).collect::<Option<_>>()?,
            },
            ("poll", _) => Self::Polled {
                records: v.as_array()?.iter().map(seen).collect::<Option<_>>()?,
                moved: json["moved"].as_array()?.iter().map(at).collect::<Option<_>>()?,
                error: error(),
            },
            ("commit", "invoke") => {
                let position = |json: &Json| Some((at(&json[0])?, json[1].as_i64()?));
                Self::CommitInvoked(v.as_array()?.iter().map(position).collect::<Option<_>>()?)
            }
            ("commit", "ok") => Self::Committed(CommitOutcome::Done),
            ("commit", "fail") => Self::Committed(CommitOutcome::Failed(error()?)),
            ("commit", "info") => Self::Committed(CommitOutcome::InDoubt(error()?)),
            ("end", _) => Self::ReadToEnd { partition: at(&v[0])?, from: v[1].as_i64()?, to: v[2].as_i64()? },
            ("crash", _) => Self::Crashed,
            ("forsaken", _) => Self::Forsaken(at(v)?),
            ("retained", _) => Self::Retained { partition: at(&v[0])?, start: v[1].as_i64()? },
            ("fault", _) => Self::Fault(text(v)?),
            _ => return None,
        })
    }
}

impl Change {
    fn name(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Revoked => "revoked",
            Self::Lost => "lost",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Assigned, Self::Revoked, Self::Lost].into_iter().find(|change| change.name() == name)
    }
}

fn index(json: &Json) -> Option<i32> {
    json.as_i64()?.try_into().ok()
}

fn at(json: &Json) -> Option<TopicPartition> {
    Some(TopicPartition::new(json[0].as_str()?, index(&json[1])?))
}

fn seen(json: &Json) -> Option<Seen> {
    Some(Seen { partition: at(&json[0])?, offset: json[1].as_i64()?, value: json[2].as_str()?.into() })
}
