//! AlterClientQuotas: changes the quotas of users, clients and addresses (KIP-546).

use super::declare::api;
use super::declare::messages;
use super::texts::Pairs;
use super::texts::Texts;
use crate::error::Code;

api! {
    AlterClientQuotas = 49, versions 0..=1, flexible 1.., writes;
    AlterClientQuotasRequest => AlterClientQuotasResponse
}

messages! {
    AlterClientQuotasRequest:

    /// `AlterClientQuotasRequest.json`.
    request AlterClientQuotasRequest {
        entries: Vec<QuotaChange>,
        validate_only: bool,
    }

    struct QuotaChange {
        /// The type and the name of each part. The name of a default is null.
        entity: Texts as Pairs,
        operations: Vec<QuotaOperation>,
    }

    struct QuotaOperation {
        key: String,
        /// The bits of a `float64`; ignored if the value is removed.
        value: i64,
        remove: bool,
    }

    /// `AlterClientQuotasResponse.json`.
    response AlterClientQuotasResponse {
        throttle_time_ms: i32,
        entries: Vec<ChangedQuota>,
    }

    struct ChangedQuota {
        error: Option<Code>,
        error_message: Option<Box<str>>,
        entity: Texts as Pairs,
    }
}
