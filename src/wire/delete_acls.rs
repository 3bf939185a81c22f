//! DeleteAcls: deletes the access control entries that match filters.

use super::declare::api;
use super::declare::messages;
use super::message::AclBinding;
use super::message::AclFilter;
use crate::error::Code;

api! {
    DeleteAcls = 31, versions 1..=3, flexible 2.., writes;
    DeleteAclsRequest => DeleteAclsResponse
}

messages! {
    DeleteAclsRequest:

    /// `DeleteAclsRequest.json`.
    request DeleteAclsRequest {
        filters: Vec<AclFilter>,
    }

    /// `DeleteAclsResponse.json`. The results have the order of the request.
    response DeleteAclsResponse {
        throttle_time_ms: i32,
        results: Vec<DeletedAcls>,
    }

    struct DeletedAcls {
        error: Option<Code>,
        error_message: Option<Box<str>>,
        matching: Box<[DeletedAcl]>,
    }

    struct DeletedAcl {
        error: Option<Code>,
        error_message: Option<Box<str>>,
        binding: AclBinding as DeletedBinding,
    }

    part DeletedBinding for AclBinding {
        resource_kind: i8,
        resource_name: Box<str>,
        pattern: i8,
        principal: Box<str>,
        host: Box<str>,
        operation: i8,
        permission: i8,
    }
}
