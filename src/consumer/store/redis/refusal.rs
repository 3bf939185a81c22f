//! Errors that Redis answers with: what they mean, and what helps.

use std::fmt;

use crate::error::one_line;

/// An error that Redis answered with.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal(String);

/// The meaning of an error of Redis to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The key is on another node, or the cluster cannot tell on which.
    Cluster,
    /// It accepts no clients from other machines.
    Denied,
    /// It has started, and reads its files.
    Loading,
    /// It cannot answer for a while.
    NotReady,
    /// It wants a login, or another one.
    Login,
    /// The user may not run the command, or not on this key.
    Permission,
    /// It is a replica.
    ReadOnly,
    /// It has no memory, or no disk.
    Resources,
    /// Any other one.
    Other,
}

/// The most characters of an error of Redis that are shown.
const SHOWN_MAX: usize = 300;

impl Refusal {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// All of its text. It may repeat an argument of the command.
    pub fn text(&self) -> &str {
        &self.0
    }

    pub fn code(&self) -> Code {
        let mut words = self.0.split_ascii_whitespace();
        match words.next().and_then(code) {
            Some(code) => code,
            // Redis 6 and older say `ERR`, and quote the error of the script.
            None if self.0.starts_with("ERR ") => {
                words.find_map(|word| code(word.trim_matches(['-', ':']))).unwrap_or(Code::Other)
            }
            None => Code::Other,
        }
    }

    /// Whether it says that there are too many clients.
    pub fn is_crowded(&self) -> bool {
        self.0.starts_with("ERR max number of clients")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.0, SHOWN_MAX))
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn code(word: &str) -> Option<Code> {
    Some(match word {
        "ASK" | "CLUSTERDOWN" | "CROSSSLOT" | "MOVED" => Code::Cluster,
        "DENIED" => Code::Denied,
        "LOADING" => Code::Loading,
        "BUSY" | "MASTERDOWN" | "TRYAGAIN" => Code::NotReady,
        "NOAUTH" | "WRONGPASS" => Code::Login,
        "NOPERM" => Code::Permission,
        "READONLY" => Code::ReadOnly,
        "MISCONF" | "NOREPLICAS" | "OOM" => Code::Resources,
        _ => return None,
    })
}

impl Code {
    /// The remedy if a command of the store is answered with it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Cluster => {
                "this is a node of a cluster: pass a cluster connection of the crate redis to `RedisStore::with` (feature `redis-1`)"
            }
            Self::Denied => "set a password in redis.conf, and write it into the address",
            Self::Loading | Self::NotReady => "wait, or look at the log of Redis",
            Self::Login => "write the user and the password into the address: redis://USER:PASSWORD@HOST",
            Self::Permission => {
                "let the user run EVAL, GET, HGET, HMGET, HSET, HINCRBY and TIME, on keys that begin with the prefix of the store"
            }
            Self::ReadOnly => "this Redis is a replica: write the address of its primary",
            Self::Resources => "look at its log: it has no memory left (maxmemory), no disk, or too few replicas",
            Self::Other => {
                "delete the key if it is of another type, and let the user run EVAL, GET, HGET, HMGET, HSET, HINCRBY and TIME"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_in_each_form() {
        for (text, code) in [
            ("MOVED 3999 127.0.0.1:6381", Code::Cluster),
            ("LOADING Redis is loading the dataset in memory", Code::Loading),
            ("NOAUTH Authentication required.", Code::Login),
            ("READONLY You can't write against a read only replica. script: 3d, on @user_script:1.", Code::ReadOnly),
            (
                "ERR Error running script (call to f_3d): @user_script:1: @user_script: 1: -READONLY You can't write",
                Code::ReadOnly,
            ),
            ("ERR Error running script: @user_script: 1: -OOM command not allowed", Code::Resources),
            ("WRONGTYPE Operation against a key holding OOM ", Code::Other),
            ("ERR unknown command", Code::Other),
            ("", Code::Other),
        ] {
            assert_eq!(Refusal::new(text).code(), code, "{text}");
        }
    }

    #[test]
    fn text_of_redis_is_shown_in_one_short_line() {
        let refusal = Refusal::new(format!("ERR a\r\n\u{1b}[2J{}", "b".repeat(1_000)));
        let shown = format!("{refusal} {refusal:?}");
        assert!(shown.starts_with("ERR a") && !shown.contains(char::is_control) && shown.len() < 700, "{shown}");
    }
}
