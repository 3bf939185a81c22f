//! The promises about authentication, checked on both sides of each connection.
//!
//! A client writes nothing but the authentication before it is let in, while it authenticates, and once its session should be renewed.
//! A broker takes nothing else before or after a session (`SaslServerAuthenticator`, `SocketServer`): it accepts a handshake
//! after the end of the session, and not sooner than some time after the last one that it accepted (`KafkaChannel`). The responses of a connection come in
//! the order in which its requests were submitted, each once, also across a renewal.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bytes::Bytes;
use ottla::internals::wire::Api;
use ottla::internals::wire::Response;
use ottla::mock::SeenRequest;

use super::Context;

/// The order of the requests of one connection.
#[derive(Debug, Default)]
pub(super) struct Order {
    next: u64,
    open: BTreeSet<u64>,
    last: Option<u64>,
}

impl Order {
    /// A request was submitted; returns its number.
    pub(super) fn submit(&mut self) -> u64 {
        self.next += 1;
        self.open.insert(self.next);
        self.next
    }

    /// A request got its response. Returns how that breaks a promise.
    pub(super) fn respond(&mut self, number: u64) -> Result<(), String> {
        let last = self.last.replace(number);
        if last.is_some_and(|last| last >= number) {
            return Err(format!("request {number} was answered after request {last:?}, which was submitted later"));
        }
        self.fail(number)
    }

    /// A request failed.
    pub(super) fn fail(&mut self, number: u64) -> Result<(), String> {
        if self.open.remove(&number) { Ok(()) } else { Err(format!("request {number} has two results")) }
    }

    /// The connection ended, and every request should have a result.
    pub(super) fn end(&self) -> Result<(), String> {
        self.open.first().map_or(Ok(()), |number| Err(format!("request {number} has no result")))
    }
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Outside,
    Asking,
    /// Within a session, for whose requests there is time until then.
    Inside(Option<u64>),
    Refused,
}

/// A client's end.
#[derive(Debug, Default)]
struct Pass {
    stage: Stage,
    /// It is set up, which takes requests with ids of their own.
    is_up: bool,
    ids: BTreeSet<i32>,
}

/// A request that a broker took.
#[derive(Debug)]
struct Taken {
    api: i16,
    version: i16,
    at: u64,
    may: bool,
}

/// A broker's end.
#[derive(Debug, Default)]
struct Post {
    stage: Stage,
    /// Messages of the authentication that were answered.
    rounds: usize,
    renewed: Option<u64>,
    taken: BTreeMap<i32, Taken>,
}

/// The observer of authentication.
#[derive(Debug, Default)]
pub(super) struct Gate {
    passes: BTreeMap<u64, Pass>,
    posts: BTreeMap<u64, Post>,
}

impl Gate {
    /// A client was let in, with a lifetime that counts from when it sent its last message.
    pub(super) fn let_in(&mut self, link: u64, session: Option<(u64, u64)>) {
        // A renewal is due after 95 % of the lifetime at the latest.
        let until = session.map(|(sent, lifetime)| sent + lifetime * 95 / 100 + 1);
        let pass = self.passes.entry(link).or_default();
        pass.stage = Stage::Inside(until);
        pass.is_up = true;
    }

    pub(super) fn let_go(&mut self, link: u64) {
        self.passes.remove(&link);
    }

    /// The broker has closed its end.
    pub(super) fn closed(&mut self, link: u64) {
        self.posts.remove(&link);
    }

    /// A client writes a request. Returns how that breaks a promise.
    pub(super) fn writes(&mut self, now: u64, link: u64, api: i16, id: i32) -> Result<(), String> {
        let pass = self.passes.entry(link).or_default();
        let before = pass.stage;
        let may = match (kind(api), before) {
            (Kind::Versions, Stage::Outside) | (Kind::Message, Stage::Asking) => true,
            (Kind::Handshake, Stage::Outside | Stage::Inside(_)) => {
                pass.stage = Stage::Asking;
                true
            }
            (Kind::Other, Stage::Inside(until)) => until.is_none_or(|until| now <= until),
            _ => false,
        };
        if !may {
            let name = super::net::api_name(api);
            return Err(format!("{name} is written on link {link} at {now}, whose authentication is {before:?}"));
        }
        if pass.is_up && !pass.ids.insert(id) {
            return Err(format!("id {id} is used twice on link {link}"));
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Handshake,
    Message,
    Other,
    Versions,
}

fn kind(api: i16) -> Kind {
    match api {
        api if api == Api::ApiVersions.key() => Kind::Versions,
        api if api == Api::SaslAuthenticate.key() => Kind::Message,
        api if api == Api::SaslHandshake.key() => Kind::Handshake,
        _ => Kind::Other,
    }
}

impl Post {
    /// A broker takes a request. Returns whether it may process it; an error is a fault of the client.
    fn takes(&mut self, at: u64, api: i16, apart: u64) -> Result<bool, String> {
        match (kind(api), self.stage) {
            (Kind::Versions | Kind::Handshake, Stage::Outside) | (Kind::Message, Stage::Asking) => Ok(true),
            (Kind::Handshake, Stage::Inside(_)) => {
                if let Some(before) = self.renewed.filter(|before| at < before + apart) {
                    return Err(format!("a renewal began at {before}, and another one at {at}"));
                }
                Ok(true)
            }
            (Kind::Other, Stage::Inside(until)) => Ok(until.is_none_or(|until| at <= until)),
            (_, stage) => Err(format!("{} arrives at {at} in {stage:?}", super::net::api_name(api))),
        }
    }

    /// A broker answers an authentication.
    fn answers(&mut self, taken: &Taken, response: Response, rounds: usize) {
        match response {
            Response::SaslHandshake(response) if response.error.is_none() => {
                if matches!(self.stage, Stage::Inside(_)) {
                    self.renewed = Some(taken.at);
                }
                self.stage = Stage::Asking;
                self.rounds = 0;
            }
            Response::SaslAuthenticate(response) if response.error.is_none() => {
                self.rounds += 1;
                if self.rounds == rounds {
                    let lifetime = u64::try_from(response.session_lifetime_ms).ok().filter(|millis| *millis > 0);
                    self.stage = Stage::Inside(lifetime.map(|millis| taken.at + millis * 1_000));
                }
            }
            Response::SaslHandshake(_) | Response::SaslAuthenticate(_) => self.stage = Stage::Refused,
            _ => {}
        }
    }
}

impl Context {
    /// The brokers took requests.
    pub(super) fn watch_gate(&mut self) {
        if self.setting.logins == 0 {
            return;
        }
        let apart = super::peer::micros(self.setting.renewals_apart());
        for SeenRequest { at, connection, api_key, version, correlation_id, .. } in self.mock.take_requests() {
            let at = self.micros(at);
            let post = self.gate.posts.entry(connection).or_default();
            match post.takes(at, api_key, apart) {
                Ok(may) => {
                    if !may {
                        self.trace.count("session ended at the broker");
                    }
                    post.taken.insert(correlation_id, Taken { api: api_key, version, at, may });
                }
                Err(what) => self.ghost.fail(|| format!("on link {connection}: {what}")),
            }
        }
    }

    /// A broker answers a request.
    pub(super) fn watch_answer(&mut self, link: u64, reply: &Bytes) {
        let Some(post) = self.gate.posts.get_mut(&link) else { return };
        let id = reply.get(4..8).map_or(0, |id| i32::from_be_bytes([id[0], id[1], id[2], id[3]]));
        let Some(taken) = post.taken.remove(&id) else { return };
        if !taken.may {
            let (name, at) = (super::net::api_name(taken.api), taken.at);
            return self.ghost.fail(|| format!("{name} was processed on link {link} at {at}, after its session"));
        }
        let api = [Api::SaslHandshake, Api::SaslAuthenticate].into_iter().find(|api| api.key() == taken.api);
        let Some(api) = api else { return };
        match Response::decode(api, taken.version, reply.slice(4..)) {
            Ok(response) => post.answers(&taken, response, self.setting.logins),
            Err(error) => self.ghost.fail(|| format!("the broker's response cannot be read: {error}")),
        }
    }
}
