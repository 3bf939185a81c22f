//! DescribeAcls, CreateAcls and DeleteAcls.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::CreateAclsRequest;
use kafka_protocol::messages::CreateAclsResponse;
use kafka_protocol::messages::DeleteAclsRequest;
use kafka_protocol::messages::DeleteAclsResponse;
use kafka_protocol::messages::DescribeAclsRequest;
use kafka_protocol::messages::DescribeAclsResponse;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use kafka_protocol::messages::delete_acls_response::DeleteAclsMatchingAcl;
use kafka_protocol::messages::describe_acls_response::AclDescription;
use kafka_protocol::messages::describe_acls_response::DescribeAclsResource;
use kafka_protocol::protocol::StrBytes;

use super::Ask;
use super::Refused;
use super::failed_late;
use super::refused;
use super::verdict;
use super::verdict_or_blank;
use crate::mock::access::Access;
use crate::mock::access::Entry;
use crate::mock::access::Filter;
use crate::mock::api::Call;
use crate::mock::state::State;
use crate::mock::state::text;

/// The entries, unless an error is injected or the cluster has no authorizer.
fn access<'a>(state: &'a mut State, call: &Call) -> Result<&'a mut Access, Refused> {
    refused(call)?;
    state.access.as_mut().ok_or((ResponseError::SecurityDisabled, "no authorizer is configured"))
}

impl Ask for DescribeAclsRequest {
    const HAS_EFFECT: bool = false;

    fn answer(self, state: &mut State, call: &Call) -> DescribeAclsResponse {
        let response = DescribeAclsResponse::default().with_throttle_time_ms(call.throttle_ms);
        let access = match access(state, call) {
            Ok(access) => access,
            Err((error, reason)) => {
                return response.with_error_code(error.code()).with_error_message(Some(text(reason)));
            }
        };
        let filter = Filter {
            resource_type: self.resource_type_filter,
            name: owned(self.resource_name_filter.as_ref()),
            pattern: self.pattern_type_filter,
            principal: owned(self.principal_filter.as_ref()),
            host: owned(self.host_filter.as_ref()),
            operation: self.operation,
            permission: self.permission_type,
        };
        let mut resources: BTreeMap<(i8, &str, i8), Vec<AclDescription>> = BTreeMap::new();
        for entry in access.matching(&filter) {
            let described = AclDescription::default()
                .with_principal(text(&entry.principal))
                .with_host(text(&entry.host))
                .with_operation(entry.operation)
                .with_permission_type(entry.permission);
            resources.entry((entry.resource_type, &entry.name, entry.pattern)).or_default().push(described);
        }
        let resource = |((kind, name, pattern), acls): ((i8, &str, i8), Vec<AclDescription>)| {
            let resource = DescribeAclsResource::default().with_resource_type(kind).with_resource_name(text(name));
            resource.with_pattern_type(pattern).with_acls(acls)
        };
        response.with_resources(resources.into_iter().map(resource).collect())
    }

    /// A filter with the number 0 (`DescribeAclsRequest.normalizeAndValidate`).
    fn is_malformed(&self) -> bool {
        [self.resource_type_filter, self.pattern_type_filter, self.operation, self.permission_type].contains(&0)
    }

    fn names(&self) -> Vec<String> {
        owned(self.resource_name_filter.as_ref()).into_iter().collect()
    }
}

fn owned(text: Option<&StrBytes>) -> Option<String> {
    text.map(ToString::to_string)
}

impl Ask for CreateAclsRequest {
    const HAS_EFFECT: bool = true;

    fn answer(self, state: &mut State, call: &Call) -> CreateAclsResponse {
        let create = |asked: AclCreation| {
            let entry = Entry {
                resource_type: asked.resource_type,
                name: asked.resource_name.to_string(),
                pattern: asked.resource_pattern_type,
                principal: asked.principal.to_string(),
                host: asked.host.to_string(),
                operation: asked.operation,
                permission: asked.permission_type,
            };
            let created = access(state, call).and_then(|access| access.add(entry));
            let (code, message) = verdict_or_blank(created.and_then(|()| failed_late(call)));
            AclCreationResult::default().with_error_code(code).with_error_message(message)
        };
        let results = self.creations.into_iter().map(create).collect();
        CreateAclsResponse::default().with_throttle_time_ms(call.throttle_ms).with_results(results)
    }

    fn is_malformed(&self) -> bool {
        let numbers = |one: &AclCreation| {
            [one.resource_type, one.resource_pattern_type, one.operation, one.permission_type].contains(&0)
        };
        self.creations.iter().any(numbers)
    }

    fn names(&self) -> Vec<String> {
        self.creations.iter().map(|one| one.resource_name.to_string()).collect()
    }
}

impl Ask for DeleteAclsRequest {
    const HAS_EFFECT: bool = true;

    /// All filters match the entries as they were before the request.
    fn answer(self, state: &mut State, call: &Call) -> DeleteAclsResponse {
        let mut gone: Vec<Entry> = Vec::new();
        let mut results = Vec::with_capacity(self.filters.len());
        for asked in &self.filters {
            let filter = Filter {
                resource_type: asked.resource_type_filter,
                name: owned(asked.resource_name_filter.as_ref()),
                pattern: asked.pattern_type_filter,
                principal: owned(asked.principal_filter.as_ref()),
                host: owned(asked.host_filter.as_ref()),
                operation: asked.operation,
                permission: asked.permission_type,
            };
            let unknown = (ResponseError::InvalidRequest, "the filter has an unknown number");
            let matched: Result<Vec<Entry>, Refused> = access(state, call).and_then(|access| {
                if filter.is_unknown() { Err(unknown) } else { Ok(access.matching(&filter).cloned().collect()) }
            });
            let result = DeleteAclsFilterResult::default().with_error_message(None);
            results.push(match matched {
                Ok(matched) => {
                    gone.extend(matched.iter().cloned());
                    let (code, message) = verdict(failed_late(call));
                    let result = result.with_error_code(code).with_error_message(message);
                    result.with_matching_acls(matched.iter().map(deleted).collect())
                }
                Err((error, reason)) => result.with_error_code(error.code()).with_error_message(Some(text(reason))),
            });
        }
        if let Some(access) = &mut state.access {
            access.remove(&gone);
        }
        DeleteAclsResponse::default().with_throttle_time_ms(call.throttle_ms).with_filter_results(results)
    }

    fn is_malformed(&self) -> bool {
        let numbers = |one: &DeleteAclsFilter| {
            [one.resource_type_filter, one.pattern_type_filter, one.operation, one.permission_type].contains(&0)
        };
        self.filters.iter().any(numbers)
    }

    fn names(&self) -> Vec<String> {
        self.filters.iter().filter_map(|one| owned(one.resource_name_filter.as_ref())).collect()
    }
}

fn deleted(entry: &Entry) -> DeleteAclsMatchingAcl {
    DeleteAclsMatchingAcl::default()
        .with_error_message(None)
        .with_resource_type(entry.resource_type)
        .with_resource_name(text(&entry.name))
        .with_pattern_type(entry.pattern)
        .with_principal(text(&entry.principal))
        .with_host(text(&entry.host))
        .with_operation(entry.operation)
        .with_permission_type(entry.permission)
}
