//! The login to Redis: its commands, and what the replies to them say. It may be a Redis 5, which knows no users.

use super::link::Cause;
use super::link::Failure;
use super::refusal::Code;
use super::refusal::Refusal;
use super::resp::Command;
use super::resp::Value;
use crate::secret::Secret;

/// Who logs in, and to which database.
#[derive(Clone, Debug, Default)]
pub(super) struct Login {
    /// It is sent with a password only.
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) database: i64,
}

/// How a login went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Done,
    /// This Redis knows no users: it wants the password alone.
    WithoutUser,
}

impl Login {
    /// All commands, which are sent together.
    pub(super) fn commands(&self, with_user: bool) -> Vec<Command> {
        let mut commands = Vec::new();
        if let Some(password) = &self.password {
            let mut command = Command::new("AUTH");
            if let Some(user) = self.user.as_deref().filter(|_| with_user) {
                command = command.arg(user);
            }
            commands.push(command.arg(password.expose()));
        }
        if self.database != 0 {
            commands.push(Command::new("SELECT").arg(self.database.to_string()));
        }
        for (name, value) in [("LIB-NAME", "ottla"), ("LIB-VER", env!("CARGO_PKG_VERSION"))] {
            commands.push(Command::new("CLIENT").arg("SETINFO").arg(name).arg(value));
        }
        commands
    }

    /// Decides by the replies, or by as many of them as came before the connection ended.
    pub(super) fn step(&self, with_user: bool, replies: &[Value]) -> Result<Step, Failure> {
        let is_known = |reply: &Value| matches!(reply, Value::Error(_)) || *reply == Value::Text(b"OK".to_vec());
        if !replies.iter().all(is_known) {
            return Err(
                no_redis().caused_by(Cause("a login was answered neither with OK nor with an error".to_owned()))
            );
        }
        let mut replies = replies.iter();
        if self.password.is_some()
            && let Some(Value::Error(refusal)) = replies.next()
        {
            if with_user && self.user.is_some() && wants_no_user(refusal) {
                return Ok(Step::WithoutUser);
            }
            return Err(refused_password(refusal));
        }
        if self.database != 0
            && let Some(Value::Error(refusal)) = replies.next()
        {
            let database = || Failure::lasting("Redis refused the database", "correct its number in the address");
            return Err(refused(refusal).unwrap_or_else(database).caused_by(Cause(refusal.to_string())));
        }
        // A Redis that does not know `CLIENT SETINFO` is as good as one that does.
        let refusal = replies.find_map(|reply| match reply {
            Value::Error(refusal) => Some(refusal),
            _ => None,
        });
        match refusal.and_then(refused_connection) {
            Some(failure) => Err(failure),
            None => Ok(Step::Done),
        }
    }
}

/// The failure of a connection to another server.
pub(super) fn no_redis() -> Failure {
    Failure::lasting("this is not the protocol of Redis", "check the port: write rediss:// for one with TLS")
}

/// The failure of a connection that got this error, whatever it sent. `None` for an error about one command.
pub(super) fn refused_connection(refusal: &Refusal) -> Option<Failure> {
    refused(refusal).map(|failure| failure.caused_by(Cause(refusal.to_string())))
}

fn refused(refusal: &Refusal) -> Option<Failure> {
    Some(match refusal.code() {
        Code::Denied => Failure::lasting("Redis refused the connection", Code::Denied.remedy()),
        Code::Login => Failure::lasting("Redis wants a login", Code::Login.remedy()),
        Code::Loading | Code::NotReady => Failure::passing("Redis is not ready", "wait, or look at its log"),
        _ if refusal.is_crowded() => {
            Failure::passing("Redis refused the connection", "raise maxclients in redis.conf, or close other clients")
        }
        _ => return None,
    })
}

fn no_login() -> Failure {
    Failure::lasting("Redis refused the login", "correct the user and the password in the address")
}

/// An error to `AUTH`. Its text is never shown, because Redis quotes the arguments of a command that it does not know.
fn refused_password(refusal: &Refusal) -> Failure {
    let text = refusal.text();
    let unknown = "AUTH was answered with an error";
    let (failure, cause) = if text.contains("without any password configured") || text.contains("no password is set") {
        let remedy = "leave the password out of the address, or set one in Redis";
        (Failure::lasting("Redis refused the login", remedy), "this Redis has no password")
    } else if text.starts_with("ERR ") && !refusal.is_crowded() {
        // A code in it may be part of the password.
        (no_login(), unknown)
    } else if refusal.code() == Code::Login {
        (no_login(), "the user or the password is wrong (WRONGPASS)")
    } else {
        (refused(refusal).unwrap_or_else(no_login), unknown)
    };
    failure.caused_by(Cause(cause.to_owned()))
}

/// Redis 5 takes the password alone.
fn wants_no_user(refusal: &Refusal) -> bool {
    refusal.text().contains("wrong number of arguments for 'auth' command")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(user: Option<&str>, password: Option<&str>, database: i64) -> Login {
        Login { user: user.map(str::to_owned), password: password.map(Secret::from), database }
    }

    fn error(text: &str) -> Value {
        Value::Error(Refusal::new(text))
    }

    fn ok() -> Value {
        Value::Text(b"OK".to_vec())
    }

    fn sent(login: &Login, with_user: bool) -> Vec<String> {
        let words = |command: &Command| {
            let words = command.words().iter().map(|word| String::from_utf8_lossy(word).into_owned());
            words.collect::<Vec<_>>().join(" ")
        };
        login.commands(with_user).iter().map(words).filter(|words| !words.starts_with("CLIENT SETINFO LIB-")).collect()
    }

    #[test]
    fn only_what_the_address_says_is_sent() {
        assert_eq!(sent(&login(Some("u"), Some("p"), 3), true), ["AUTH u p", "SELECT 3"]);
        assert_eq!(sent(&login(Some("u"), Some("p"), 3), false), ["AUTH p", "SELECT 3"]);
        assert_eq!(sent(&login(None, Some("p"), 0), true), ["AUTH p"]);
        assert!(sent(&login(Some("u"), None, 0), true).is_empty());
        assert_eq!(login(None, None, 0).commands(true).len(), 2, "the name and the version of the client");
    }

    #[test]
    fn login_goes_on_where_redis_is_old() {
        let login = login(Some("u"), Some("p"), 3);
        let old = error("ERR wrong number of arguments for 'auth' command");
        assert_eq!(login.step(true, &[old, error("NOAUTH")]).expect("it goes on"), Step::WithoutUser);
        let unknown = error("ERR Unknown subcommand or wrong number of arguments for 'SETINFO'");
        assert_eq!(login.step(false, &[ok(), ok(), unknown.clone(), unknown]).expect("it goes on"), Step::Done);
    }

    #[test]
    fn refused_login_names_the_remedy_and_never_the_password() {
        let with = login(Some("u"), Some("hunter2"), 3);
        let without = login(None, None, 0);
        for (login, replies, shown, is_final) in [
            (&with, vec![error("WRONGPASS invalid username-password pair")], "correct the user and the password", true),
            (
                &with,
                vec![error("ERR unknown command 'AUTH', with args beginning with: 'u' 'hunter2'")],
                "AUTH was",
                true,
            ),
            (
                &with,
                vec![error("ERR unknown command 'AUTH', with args: 'my LOADING hunter2'")],
                "correct the user",
                true,
            ),
            (&with, vec![error("LOADING hunter2")], "Redis is not ready", false),
            (&with, vec![error("hunter2")], "correct the user and the password", true),
            (&with, vec![Value::Text(b"hunter2".to_vec())], "neither with OK nor", true),
            (
                &with,
                vec![error("ERR AUTH <password> called without any password configured")],
                "leave the password",
                true,
            ),
            (&with, vec![error("ERR wrong number of arguments for 'auth' command")], "correct the user", true),
            (&with, vec![error("DENIED Redis is running in protected mode")], "set a password in redis.conf", true),
            (&with, vec![ok(), error("ERR DB index is out of range")], "correct its number", true),
            (&with, vec![ok(), error("LOADING Redis is loading")], "Redis is not ready", false),
            (&without, vec![error("NOAUTH Authentication required.")], "redis://USER:PASSWORD@HOST", true),
            (&without, vec![error("ERR max number of clients reached")], "raise maxclients", false),
        ] {
            let failure = login.step(false, &replies).expect_err(shown);
            let text = format!("{failure} {:?}", failure.cause);
            assert!(text.contains(shown) && !text.contains("hunter2"), "{replies:?}: {text}");
            assert_eq!(failure.is_final, is_final, "{replies:?}");
        }
        assert!(!format!("{with:?}").contains("hunter2"));
    }

    #[test]
    fn replies_that_did_not_come_refuse_nothing() {
        assert_eq!(login(Some("u"), Some("p"), 3).step(true, &[]).expect("no refusal"), Step::Done);
        assert_eq!(login(Some("u"), Some("p"), 3).step(true, &[ok()]).expect("no refusal"), Step::Done);
    }
}
