//! A connection of the crate `redis` that the program made: to a cluster, or by a sentinel.

use ::redis::RedisError;
use ::redis::RedisResult;
use ::redis::Value as Theirs;
use ::redis::aio::ConnectionLike;

use super::link::Answers;
use super::link::Call;
use super::link::Failure;
use super::link::Link;
use super::link::Running;
use super::refusal::Refusal;
use super::resp::Command;
use super::resp::Value;

/// It connects again as its type does.
pub(super) struct Given<C>(pub(super) C);

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Link for Given<C> {
    fn run<'a>(&'a self, commands: &'a [Command], call: Call) -> Running<'a> {
        Box::pin(async move {
            let mut pipeline = ::redis::pipe();
            for command in commands {
                let mut theirs = ::redis::Cmd::new();
                for word in command.words() {
                    theirs.arg(word);
                }
                pipeline.add_command(theirs);
            }
            let mut connection = self.0.clone();
            let answers = pipeline.ignore_errors().query_async::<Vec<RedisResult<Theirs>>>(&mut connection);
            match tokio::time::timeout_at(call.until.into(), answers).await {
                Ok(Ok(answers)) => answers.into_iter().map(answer).collect::<Option<Answers>>().ok_or_else(foreign),
                Ok(Err(error)) => Err(Failure::unanswered(&error)),
                Err(_) => Err(Failure::silent(call.timeout)),
            }
        })
    }
}

fn answer(answer: RedisResult<Theirs>) -> Option<Value> {
    match answer {
        Ok(theirs) => value(theirs),
        Err(error) => Some(Value::Error(refusal(&error))),
    }
}

/// A value of the types that scripts and `GET` return; `None` for another one.
fn value(theirs: Theirs) -> Option<Value> {
    Some(match theirs {
        Theirs::Array(values) => Value::Array(values.into_iter().map(value).collect::<Option<_>>()?),
        Theirs::BulkString(bytes) => Value::Text(bytes),
        Theirs::Int(number) => Value::Int(number),
        Theirs::Nil => Value::Nil,
        Theirs::Okay => Value::Text(b"OK".to_vec()),
        Theirs::ServerError(error) => Value::Error(refusal(&error.into())),
        Theirs::SimpleString(text) => Value::Text(text.into_bytes()),
        _ => return None,
    })
}

/// The text as Redis sent it, if it is from there.
fn refusal(error: &RedisError) -> Refusal {
    Refusal::new(match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    })
}

fn foreign() -> Failure {
    let remedy = "pass a connection that does not change the types of replies";
    Failure::lasting("the given connection answered by a type that scripts do not return", remedy)
}
