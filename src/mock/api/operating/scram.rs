//! DescribeUserScramCredentials and AlterUserScramCredentials (KIP-554).

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::AlterUserScramCredentialsRequest;
use kafka_protocol::messages::AlterUserScramCredentialsResponse;
use kafka_protocol::messages::DescribeUserScramCredentialsRequest;
use kafka_protocol::messages::DescribeUserScramCredentialsResponse;
use kafka_protocol::messages::alter_user_scram_credentials_request::ScramCredentialUpsertion;
use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_protocol::messages::describe_user_scram_credentials_response::CredentialInfo;
use kafka_protocol::messages::describe_user_scram_credentials_response::DescribeUserScramCredentialsResult;

use super::Ask;
use super::Refused;
use super::failed_late;
use super::refused;
use super::verdict;
use super::verdict_or_blank;
use crate::mock::api::Call;
use crate::mock::state::Credential;
use crate::mock::state::State;
use crate::mock::state::text;

impl Ask for DescribeUserScramCredentialsRequest {
    const HAS_EFFECT: bool = false;

    fn answer(self, state: &mut State, call: &Call) -> DescribeUserScramCredentialsResponse {
        let (code, message) = verdict_or_blank(refused(call));
        let response = DescribeUserScramCredentialsResponse::default()
            .with_throttle_time_ms(call.throttle_ms)
            .with_error_code(code)
            .with_error_message(message);
        if code != 0 {
            return response;
        }
        // The number of times that each user is asked for.
        let mut users: BTreeMap<String, usize> = BTreeMap::new();
        match self.users.filter(|users| !users.is_empty()) {
            Some(asked) => asked.iter().for_each(|user| *users.entry(user.name.to_string()).or_default() += 1),
            None => users.extend(state.credentials.keys().map(|(user, _)| (user.clone(), 1))),
        }
        let described = users.into_iter().map(|(user, times)| {
            let result = DescribeUserScramCredentialsResult::default().with_user(text(&user));
            let of_user = state.credentials.iter().filter(|((known, _), _)| *known == user);
            let info = |((_, mechanism), known): (&(String, i8), &Credential)| {
                CredentialInfo::default().with_mechanism(*mechanism).with_iterations(known.iterations)
            };
            let infos: Vec<CredentialInfo> = of_user.map(info).collect();
            let outcome = match times {
                1 if infos.is_empty() => Err((ResponseError::ResourceNotFound, "the user has no credential")),
                1 => Ok(()),
                _ => Err((ResponseError::DuplicateResource, "the user is there twice")),
            };
            let infos = if outcome.is_ok() { infos } else { Vec::new() };
            let (code, message) = verdict_or_blank(outcome);
            result.with_error_code(code).with_error_message(message).with_credential_infos(infos)
        });
        response.with_results(described.collect())
    }

    fn names(&self) -> Vec<String> {
        self.users.iter().flatten().map(|user| user.name.to_string()).collect()
    }
}

impl Ask for AlterUserScramCredentialsRequest {
    const HAS_EFFECT: bool = true;

    /// A user may be there once (`ScramControlManager.alterCredentials`).
    fn answer(self, state: &mut State, call: &Call) -> AlterUserScramCredentialsResponse {
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        self.names().into_iter().for_each(|user| *times.entry(user).or_default() += 1);
        let mut outcomes: BTreeMap<String, Result<(), Refused>> = BTreeMap::new();
        let once = |user: &str| match times.get(user) {
            Some(1) => refused(call),
            _ => Err((ResponseError::DuplicateResource, "the user is there twice")),
        };
        for asked in &self.deletions {
            let user = asked.name.to_string();
            let deleted = once(&user).and_then(|()| nameable(&user, asked.mechanism)).and_then(|()| {
                let missing = (ResponseError::ResourceNotFound, "the user has no such credential");
                state.credentials.remove(&(user.clone(), asked.mechanism)).map(|_| ()).ok_or(missing)
            });
            outcomes.insert(user, deleted.and_then(|()| failed_late(call)));
        }
        for asked in self.upsertions {
            let user = asked.name.to_string();
            let stored = once(&user).and_then(|()| acceptable(&asked)).map(|()| {
                let key = (user.clone(), asked.mechanism);
                state.credentials.insert(key, Credential { iterations: asked.iterations });
            });
            outcomes.insert(user, stored.and_then(|()| failed_late(call)));
        }
        let result = |(user, outcome): (String, Result<(), Refused>)| {
            let (code, message) = verdict(outcome);
            let result = AlterUserScramCredentialsResult::default().with_user(text(&user));
            result.with_error_code(code).with_error_message(message)
        };
        let results = outcomes.into_iter().map(result).collect();
        AlterUserScramCredentialsResponse::default().with_throttle_time_ms(call.throttle_ms).with_results(results)
    }

    fn names(&self) -> Vec<String> {
        let deleted = self.deletions.iter().map(|asked| asked.name.to_string());
        deleted.chain(self.upsertions.iter().map(|asked| asked.name.to_string())).collect()
    }
}

fn nameable(user: &str, mechanism: i8) -> Result<(), Refused> {
    if user.is_empty() {
        return Err((ResponseError::UnacceptableCredential, "the user's name is empty"));
    }
    if !MECHANISMS.contains(&mechanism) {
        return Err((ResponseError::UnsupportedSaslMechanism, "there is no such mechanism"));
    }
    Ok(())
}

fn acceptable(asked: &ScramCredentialUpsertion) -> Result<(), Refused> {
    nameable(&asked.name, asked.mechanism)?;
    if !ITERATIONS.contains(&asked.iterations) {
        return Err((ResponseError::UnacceptableCredential, "the iterations must be from 4,096 to 16,384"));
    }
    Ok(())
}

/// SCRAM-SHA-256 and SCRAM-SHA-512 (`ScramMechanism`).
const MECHANISMS: [i8; 2] = [1, 2];

/// `ScramMechanism.minIterations` and `ScramControlManager.MAX_ITERATIONS`.
const ITERATIONS: std::ops::RangeInclusive<i32> = 4_096..=16_384;
