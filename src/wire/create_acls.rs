//! CreateAcls: adds access control entries.

use super::declare::api;
use super::declare::messages;
use crate::error::Code;

api! {
    CreateAcls = 30, versions 1..=3, flexible 2.., writes;
    CreateAclsRequest => CreateAclsResponse
}

messages! {
    CreateAclsRequest:

    /// `CreateAclsRequest.json`.
    request CreateAclsRequest {
        bindings: Vec<AclBinding>,
    }

    struct AclBinding {
        resource_kind: i8,
        resource_name: Box<str>,
        pattern: i8,
        principal: Box<str>,
        host: Box<str>,
        operation: i8,
        permission: i8,
    }

    /// `CreateAclsResponse.json`. The results have the order of the request.
    response CreateAclsResponse {
        throttle_time_ms: i32,
        results: Vec<CreatedAcl>,
    }

    struct CreatedAcl {
        error: Option<Code>,
        error_message: Option<Box<str>>,
    }
}
