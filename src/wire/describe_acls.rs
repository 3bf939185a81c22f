//! DescribeAcls: the access control entries that match a filter.

use super::declare::api;
use super::declare::messages;
use crate::error::Code;

api! {
    DescribeAcls = 29, versions 1..=3, flexible 2.., reads;
    DescribeAclsRequest => DescribeAclsResponse
}

messages! {
    DescribeAclsRequest:

    /// `DescribeAclsRequest.json`.
    request DescribeAclsRequest {
        filter: AclFilter as SoleFilter,
    }

    /// `None` matches everything. The numbers are those of Java's enums, in which 1 is any.
    struct AclFilter {
        resource_kind: i8,
        resource_name: Option<String>,
        pattern: i8,
        principal: Option<String>,
        host: Option<String>,
        operation: i8,
        permission: i8,
    }

    part SoleFilter for AclFilter {
        resource_kind: i8,
        resource_name: Option<String>,
        pattern: i8,
        principal: Option<String>,
        host: Option<String>,
        operation: i8,
        permission: i8,
    }

    /// `DescribeAclsResponse.json`.
    response DescribeAclsResponse {
        throttle_time_ms: i32,
        error: Option<Code>,
        error_message: Option<Box<str>>,
        resources: Vec<AclResource>,
    }

    struct AclResource {
        kind: i8,
        name: Box<str>,
        pattern: i8,
        entries: Box<[AclEntry]>,
    }

    struct AclEntry {
        principal: Box<str>,
        host: Box<str>,
        operation: i8,
        permission: i8,
    }
}
