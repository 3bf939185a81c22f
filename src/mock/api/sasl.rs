//! SaslHandshake and SaslAuthenticate.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::SaslAuthenticateRequest;
use kafka_protocol::messages::SaslAuthenticateResponse;
use kafka_protocol::messages::SaslHandshakeRequest;
use kafka_protocol::messages::SaslHandshakeResponse;
use kafka_protocol::protocol::StrBytes;

use crate::mock::api::Answer;
use crate::mock::api::Call;
use crate::mock::api::write;
use crate::mock::sasl::SaslAnswer;
use crate::mock::state::State;

pub(super) fn handshake(state: &mut State, call: &Call, ask: SaslHandshakeRequest) -> SaslHandshakeResponse {
    let Some(users) = &state.settings.sasl else {
        return SaslHandshakeResponse::default().with_error_code(ResponseError::IllegalSaslState.code());
    };
    let names: Vec<StrBytes> = users.mechanisms().into_iter().map(StrBytes::from_string).collect();
    if state.sasl.is_too_soon(call.now, users.apart(), call.connection) {
        return SaslHandshakeResponse::default().with_error_code(ResponseError::IllegalSaslState.code());
    }
    let known = names.contains(&ask.mechanism);
    let outcome = call.refused().and(if known { Ok(()) } else { Err(ResponseError::UnsupportedSaslMechanism) });
    let response = SaslHandshakeResponse::default().with_mechanisms(names);
    match outcome {
        Ok(()) => {
            state.sasl.begin(call.now, call.connection, &ask.mechanism);
            response
        }
        Err(error) => {
            state.sasl.fail(call.connection);
            response.with_error_code(error.code())
        }
    }
}

pub(super) fn authenticate(state: &mut State, call: &Call, ask: &SaslAuthenticateRequest) -> Answer {
    let response = SaslAuthenticateResponse::default();
    let Some(users) = &state.settings.sasl else {
        return write::<SaslAuthenticateRequest>(
            call,
            &response.with_error_code(ResponseError::IllegalSaslState.code()),
        );
    };
    let injected = call.refused().err().map(|_| SaslAnswer::Refuse("an error was injected".to_owned()));
    let answer = injected.unwrap_or_else(|| state.sasl.answer(users, call.unix_ms, call.connection, &ask.auth_bytes));
    let response = match answer {
        SaslAnswer::Challenge(bytes) => response.with_auth_bytes(bytes.into()),
        SaslAnswer::Accept { user, message } => {
            let lifetime = users.lifetime();
            let changed = !state.sasl.accept(call.connection, &user, lifetime.map(|lifetime| call.now + lifetime));
            if changed {
                let text = "Cannot change principals during re-authentication";
                refuse(response, text)
            } else {
                // Version 0 has no lifetime, and its sessions do not end.
                let millis = lifetime.filter(|_| call.version >= 1).map_or(0, |lifetime| lifetime.as_millis());
                let millis = i64::try_from(millis).unwrap_or(i64::MAX);
                response.with_auth_bytes(message.into()).with_session_lifetime_ms(millis)
            }
        }
        SaslAnswer::Refuse(text) => {
            state.sasl.fail(call.connection);
            refuse(response, &text)
        }
        SaslAnswer::Silent => return Answer::Silent,
        SaslAnswer::Close => return Answer::Close,
    };
    write::<SaslAuthenticateRequest>(call, &response)
}

fn refuse(response: SaslAuthenticateResponse, text: &str) -> SaslAuthenticateResponse {
    let text = StrBytes::from_string(text.to_owned());
    response.with_error_code(ResponseError::SaslAuthenticationFailed.code()).with_error_message(Some(text))
}
