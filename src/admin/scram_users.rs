//! SCRAM credentials of users (KIP-554).

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;

use super::Admin;
use super::items::InOrder;
use super::items::accepted;
use super::items::check_text;
use super::items::left_out;
use super::items::of_valid;
use super::refused;
use crate::error::Error;
use crate::types::ScramMechanism;
use crate::wire::message as m;

/// A mechanism that a user may use, and how often its password is hashed. Returned by [`Admin::describe_scram_users`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScramCredential {
    /// The mechanism; `None` for one that this release does not know.
    pub mechanism: Option<ScramMechanism>,
    /// The number of iterations.
    pub iterations: i32,
}

/// A password that is salted and hashed (`SaltedPassword` of RFC 5802), as brokers store it. `Debug` does not show it.
///
/// It is as good as the password for whoever wants to log in: keep it as secret. With the feature `scram`, `ScramChange::password`
/// computes it.
#[derive(Clone, PartialEq, Eq)]
pub struct SaltedPassword {
    /// The random bytes that were added to the password.
    pub salt: Bytes,
    /// The result: 32 bytes of SCRAM-SHA-256, 64 of SCRAM-SHA-512.
    pub salted: Bytes,
    /// How often it was hashed; brokers accept 4,096 to 16,384.
    pub iterations: i32,
}

impl fmt::Debug for SaltedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaltedPassword").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// A change of a user's credential: set, or deleted.
///
/// ```
/// use ottla::admin::ScramChange;
/// use ottla::types::ScramMechanism;
///
/// let delete = ScramChange::delete("alice", ScramMechanism::Sha256);
/// # #[cfg(feature = "scram")]
/// let set = ScramChange::password("alice", ScramMechanism::Sha512, "correct horse battery staple");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScramChange {
    user: String,
    mechanism: ScramMechanism,
    /// `None` deletes the credential.
    password: Option<SaltedPassword>,
}

impl ScramChange {
    /// Sets the password of a user for a mechanism, under a new random salt and with 8,192 iterations.
    ///
    /// The password is hashed here, in one to three milliseconds, and does not leave this process.
    #[cfg(feature = "scram")]
    pub fn password(user: impl Into<String>, mechanism: ScramMechanism, password: &str) -> Self {
        const ITERATIONS: u32 = 8_192;
        let salt = salt();
        let salted = crate::sasl::scram::keys::salted_password(mechanism, password.as_bytes(), &salt, ITERATIONS);
        let iterations = i32::try_from(ITERATIONS).expect("a small number");
        Self::salted(user, mechanism, SaltedPassword { salt: salt.to_vec().into(), salted: salted.into(), iterations })
    }

    /// Sets the password of a user for a mechanism, which was hashed elsewhere.
    pub fn salted(user: impl Into<String>, mechanism: ScramMechanism, password: SaltedPassword) -> Self {
        Self { user: user.into(), mechanism, password: Some(password) }
    }

    /// Deletes the password of a user for a mechanism.
    pub fn delete(user: impl Into<String>, mechanism: ScramMechanism) -> Self {
        Self { user: user.into(), mechanism, password: None }
    }

    /// The user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The mechanism.
    pub fn mechanism(&self) -> ScramMechanism {
        self.mechanism
    }

    fn to_deletion(&self) -> Option<m::ScramDeletion> {
        let deletion = m::ScramDeletion { name: self.user.clone(), mechanism: self.mechanism.to_wire() };
        self.password.is_none().then_some(deletion)
    }

    fn to_upsertion(&self) -> Option<m::ScramUpsertion> {
        let password = self.password.as_ref()?;
        Some(m::ScramUpsertion {
            name: self.user.clone(),
            mechanism: self.mechanism.to_wire(),
            iterations: password.iterations,
            salt: password.salt.clone(),
            salted_password: m::SecretBytes(password.salted.clone()),
        })
    }
}

/// A new salt. It is no secret; it differs for each password, and nobody can compute it in advance.
#[cfg(feature = "scram")]
fn salt() -> [u8; 24] {
    let mut salt = [0; 24];
    salt.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&crate::net::clock::seed().to_be_bytes()));
    salt
}

/// The outcome for each user.
pub type ScramUsers = Vec<(String, Result<Vec<ScramCredential>, Error>)>;

impl Admin {
    /// The mechanisms of all users that have a SCRAM credential, by name. Any broker answers (API DescribeUserScramCredentials,
    /// Kafka 2.7). Passwords are never returned.
    pub async fn list_scram_users(&self) -> Result<ScramUsers, Error> {
        let mut users: ScramUsers = self.request_scram(None).await?.into_iter().collect();
        users.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(users)
    }

    /// The mechanisms of these users. Each has an outcome of its own, in the order of the call. A user without a credential has the error
    /// [`RESOURCE_NOT_FOUND`](crate::error::Code::ResourceNotFound).
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// for (user, credentials) in admin.describe_scram_users(["alice", "etl"]).await {
    ///     println!("{user}: {:?}", credentials?);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn describe_scram_users<U: Into<String>>(&self, users: impl IntoIterator<Item = U>) -> ScramUsers {
        let describe = async |users: Vec<String>| {
            if users.is_empty() {
                return Vec::new();
            }
            match self.request_scram(Some(&users)).await {
                Ok(found) => {
                    let failed = |user: &String| left_out(&format!("could not describe user {user}"));
                    users.iter().map(|user| found.get(user).cloned().unwrap_or_else(|| Err(failed(user)))).collect()
                }
                Err(error) => users.iter().map(|_| Err(error.clone())).collect(),
            }
        };
        of_valid(users.into_iter().map(Into::into).collect(), |user| check_text("user", user), describe).await
    }

    async fn request_scram(
        &self,
        users: Option<&[String]>,
    ) -> Result<BTreeMap<String, Result<Vec<ScramCredential>, Error>>, Error> {
        // A broker refuses a user that is there twice.
        let distinct = |users: &[String]| -> Vec<m::ScramUserName> {
            let users: BTreeSet<&String> = users.iter().collect();
            users.into_iter().map(|name| m::ScramUserName { name: name.clone() }).collect()
        };
        let request = m::DescribeUserScramCredentialsRequest { users: users.map(distinct) };
        let response = self.cluster.call_any(request, self.deadline()).await?;
        accepted(response.error, "could not describe SCRAM users", response.error_message.as_deref())?;
        let credential = |one: m::ScramCredential| ScramCredential {
            mechanism: ScramMechanism::from_wire(one.mechanism),
            iterations: one.iterations,
        };
        let user = |result: m::DescribedScramUser| {
            let failed = format!("could not describe user {}", result.user);
            let outcome = match result.error {
                Some(code) => Err(refused(code, &failed, result.error_message.as_deref())),
                None => Ok(result.credentials.into_iter().map(credential).collect()),
            };
            (result.user.into(), outcome)
        };
        Ok(response.results.into_iter().map(user).collect())
    }

    /// Sets and deletes SCRAM credentials. Each change has an outcome of its own, in the order of the call.
    ///
    /// Several changes of one user are sent one after the other, because a request may change each user once.
    /// Requests go to the controller (API AlterUserScramCredentials, Kafka 2.7). Deleting a credential that does not exist is the error
    /// [`RESOURCE_NOT_FOUND`](crate::error::Code::ResourceNotFound). If the response to a change was lost, the errors say that its
    /// outcome is unknown (`is_written`).
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::admin::ScramChange;
    /// use ottla::types::ScramMechanism;
    ///
    /// for (change, outcome) in admin.alter_scram_users([ScramChange::delete("alice", ScramMechanism::Sha256)]).await {
    ///     outcome?;
    ///     println!("changed {}", change.user());
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn alter_scram_users(
        &self,
        changes: impl IntoIterator<Item = ScramChange>,
    ) -> Vec<(ScramChange, Result<(), Error>)> {
        let alter = async |changes: Vec<ScramChange>| {
            let mut outcomes: Vec<Option<Result<(), Error>>> = vec![None; changes.len()];
            for round in rounds(&changes) {
                let of_round: Vec<&ScramChange> = round.iter().map(|at| &changes[*at]).collect();
                for (at, outcome) in round.iter().zip(self.alter_distinct_users(&of_round).await) {
                    outcomes[*at] = Some(outcome);
                }
            }
            let missing = || Err(left_out("could not change the credentials"));
            outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(missing)).collect()
        };
        of_valid(changes.into_iter().collect(), |change| check_text("user", &change.user), alter).await
    }

    async fn alter_distinct_users(&self, changes: &[&ScramChange]) -> InOrder<()> {
        let request = |changes: &[&&ScramChange], _| m::AlterUserScramCredentialsRequest {
            deletions: changes.iter().filter_map(|change| change.to_deletion()).collect(),
            upsertions: changes.iter().filter_map(|change| change.to_upsertion()).collect(),
        };
        let outcomes = |changes: &[&&ScramChange], response: m::AlterUserScramCredentialsResponse| {
            let found: BTreeMap<&str, &m::AlteredScramUser> =
                response.results.iter().map(|result| (&*result.user, result)).collect();
            let outcome = |change: &&&ScramChange| {
                let failed = format!("could not change the credentials of user {}", change.user);
                let result = found.get(&*change.user).ok_or_else(|| left_out(&failed))?;
                accepted(result.error, &failed, result.error_message.as_deref())
            };
            changes.iter().map(outcome).collect()
        };
        self.each_at_controller(changes, request, outcomes).await
    }
}

/// Indexes of the changes, so that no round has a user twice.
fn rounds(changes: &[ScramChange]) -> Vec<Vec<usize>> {
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    let mut times: HashMap<&str, usize> = HashMap::new();
    for (at, change) in changes.iter().enumerate() {
        let round = times.entry(&change.user).or_default();
        if rounds.len() == *round {
            rounds.push(Vec::new());
        }
        rounds[*round].push(at);
        *round += 1;
    }
    rounds
}

#[cfg(all(test, feature = "scram"))]
mod tests {
    use super::*;

    #[test]
    fn each_password_has_a_salt_of_its_own_and_is_not_shown() {
        let change = || ScramChange::password("alice", ScramMechanism::Sha256, "pencil");
        let salt = |change: ScramChange| change.password.expect("it is set").salt;
        assert_ne!(salt(change()), salt(change()));
        let salted = change().password.expect("it is set").salted;
        assert_eq!(salted.len(), 32);
        assert!(!format!("{:?}", change()).contains(&format!("{salted:?}")));
    }
}
