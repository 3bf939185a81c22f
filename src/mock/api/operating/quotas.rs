//! DescribeClientQuotas and AlterClientQuotas.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::AlterClientQuotasRequest;
use kafka_protocol::messages::AlterClientQuotasResponse;
use kafka_protocol::messages::DescribeClientQuotasRequest;
use kafka_protocol::messages::DescribeClientQuotasResponse;
use kafka_protocol::messages::alter_client_quotas_request::EntityData;
use kafka_protocol::messages::alter_client_quotas_request::EntryData;
use kafka_protocol::messages::alter_client_quotas_response as altered;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_client_quotas_response as described;

use super::Ask;
use super::Refused;
use super::failed_late;
use super::refused;
use super::verdict;
use crate::mock::api::Call;
use crate::mock::quotas::CLIENT_ID;
use crate::mock::quotas::Entity;
use crate::mock::quotas::IP;
use crate::mock::quotas::Match;
use crate::mock::quotas::USER;
use crate::mock::state::State;
use crate::mock::state::text;

/// `DescribeClientQuotasRequest.MATCH_TYPE_…`.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const SPECIFIED: i8 = 2;

impl Ask for DescribeClientQuotasRequest {
    const HAS_EFFECT: bool = false;

    fn answer(self, state: &mut State, call: &Call) -> DescribeClientQuotasResponse {
        let response = DescribeClientQuotasResponse::default().with_throttle_time_ms(call.throttle_ms);
        let filter = match refused(call).and_then(|()| filter(&self.components)) {
            Ok(filter) => filter,
            Err((error, reason)) => {
                let response = response.with_error_code(error.code()).with_error_message(Some(text(reason)));
                return response.with_entries(None);
            }
        };
        let entry = |(entity, values): (&Entity, &BTreeMap<String, f64>)| {
            let part = |(kind, name): (&String, &Option<String>)| {
                let part = described::EntityData::default().with_entity_type(text(kind));
                part.with_entity_name(name.as_deref().map(text))
            };
            let value =
                |(key, value): (&String, &f64)| described::ValueData::default().with_key(text(key)).with_value(*value);
            described::EntryData::default()
                .with_entity(entity.iter().map(part).collect())
                .with_values(values.iter().map(value).collect())
        };
        let entries = state.quotas.matching(&filter, self.strict).map(entry).collect();
        response.with_entries(Some(entries))
    }
}

/// As `ClientQuotasImage.describe`.
fn filter(components: &[ComponentData]) -> Result<BTreeMap<String, Match>, Refused> {
    let mut filter = BTreeMap::new();
    for component in components {
        let kind = component.entity_type.as_str();
        let invalid = |reason| Err((ResponseError::InvalidRequest, reason));
        if kind.is_empty() || filter.contains_key(kind) {
            return invalid("each kind of entity is named once");
        }
        if ![USER, CLIENT_ID, IP].contains(&kind) {
            return Err((ResponseError::UnsupportedVersion, "there is no such kind of entity"));
        }
        let wanted = match (component.match_type, &component._match) {
            (EXACT, Some(name)) => Match::Exact(Some(name.to_string())),
            (DEFAULT, None) => Match::Exact(None),
            (SPECIFIED, None) => Match::Any,
            _ => return invalid("an exact match has a name, and others have none"),
        };
        filter.insert(kind.to_owned(), wanted);
    }
    if filter.contains_key(IP) && filter.len() > 1 {
        return Err((ResponseError::InvalidRequest, "an address is not combined with a user or a client id"));
    }
    Ok(filter)
}

impl Ask for AlterClientQuotasRequest {
    const HAS_EFFECT: bool = true;

    /// An entity that is there twice has one result, an error; its first change is made, as by Kafka.
    fn answer(self, state: &mut State, call: &Call) -> AlterClientQuotasResponse {
        let mut outcomes: Vec<(Entity, Result<(), Refused>)> = Vec::with_capacity(self.entries.len());
        for asked in &self.entries {
            let name =
                |part: &EntityData| (part.entity_type.to_string(), part.entity_name.as_ref().map(ToString::to_string));
            let entity: Entity = asked.entity.iter().map(name).collect();
            if let Some((_, outcome)) = outcomes.iter_mut().find(|(known, _)| *known == entity) {
                *outcome = Err((ResponseError::InvalidRequest, "the entity is there twice"));
                continue;
            }
            let altered = refused(call)
                .and_then(|()| changes(asked))
                .and_then(|changes| state.quotas.alter(&entity, &changes, self.validate_only))
                .and_then(|()| failed_late(call));
            outcomes.push((entity, altered));
        }
        let entry = |(entity, outcome): (Entity, Result<(), Refused>)| {
            let part = |(kind, name): (String, Option<String>)| {
                let part = altered::EntityData::default().with_entity_type(text(&kind));
                part.with_entity_name(name.as_deref().map(text))
            };
            let (code, message) = verdict(outcome);
            altered::EntryData::default()
                .with_error_code(code)
                .with_error_message(message)
                .with_entity(entity.into_iter().map(part).collect())
        };
        let entries = outcomes.into_iter().map(entry).collect();
        AlterClientQuotasResponse::default().with_throttle_time_ms(call.throttle_ms).with_entries(entries)
    }

    fn names(&self) -> Vec<String> {
        let parts = self.entries.iter().flat_map(|entry| &entry.entity);
        parts.filter_map(|part| part.entity_name.as_ref().map(ToString::to_string)).collect()
    }
}

fn changes(asked: &EntryData) -> Result<BTreeMap<String, Option<f64>>, Refused> {
    let mut changes = BTreeMap::new();
    for change in &asked.ops {
        if changes.insert(change.key.to_string(), Some(change.value).filter(|_| !change.remove)).is_some() {
            return Err((ResponseError::InvalidRequest, "the quota is there twice"));
        }
    }
    Ok(changes)
}
