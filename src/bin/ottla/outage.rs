//! Reports on standard error that brokers cannot be reached, and that they can again.

use indicatif::ProgressBar;
use ottla::Client;
use ottla::client::State;

use crate::terminal;

/// Reports each change of the client's state, above the bar, until the client is dropped.
pub(crate) fn report(client: &Client, bar: ProgressBar) {
    let mut states = client.state();
    tokio::spawn(async move {
        let mut was_out = false;
        while let Some(state) = states.changed().await {
            let (is_out, text) = match state {
                State::Connected if was_out => (false, "all brokers can be reached again".to_owned()),
                State::Degraded { brokers } => (true, format!("cannot reach brokers {brokers:?}; trying again")),
                State::Unreachable { error, .. } => (true, format!("cannot reach any broker; trying again: {error:#}")),
                _ => continue,
            };
            was_out = is_out;
            bar.suspend(|| terminal::warn(text));
        }
    });
}
