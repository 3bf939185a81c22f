//! The table of states and events.

use super::super::Event as E;
use super::super::State as S;

const STATES: [S; 9] = [
    S::Unsubscribed,
    S::Joining,
    S::Reconciling,
    S::Acknowledging,
    S::Stable,
    S::Fenced,
    S::Leaving,
    S::Stale,
    S::Fatal,
];

/// One row for each event, one column for each state, by the first letters of the states: `-` cannot happen.
#[rustfmt::skip]
const TABLE: [(E, &str); 12] = [
    //                     Unsub Joini Recon Ackno Stabl Fence Leavi Stale Fatal
    (E::Subscribed,       "Joini Joini Recon Ackno Stabl Fence Leavi Stale Fence"),
    (E::Assigned,         "-     Recon Recon Recon Recon -     -     -     -    "),
    (E::Applied,          "-     -     Ackno -     -     -     -     -     -    "),
    (E::Acknowledged,     "-     -     -     Stabl -     -     -     -     -    "),
    (E::PartAcknowledged, "-     -     -     Recon -     -     -     -     -    "),
    (E::Fenced,           "-     Fence Fence Fence Fence -     -     -     -    "),
    (E::Released,         "-     -     -     -     -     Joini -     -     -    "),
    (E::PollExpired,      "-     Stale Stale Stale Stale -     -     -     -    "),
    (E::Polled,           "Unsub Joini Recon Ackno Stabl Fence Leavi Fence Fatal"),
    (E::LeaveWanted,      "Unsub Leavi Leavi Leavi Leavi Unsub Leavi Unsub Unsub"),
    (E::Left,             "-     -     -     -     -     -     Unsub -     -    "),
    (E::Failed,           "-     Fatal Fatal Fatal Fatal -     -     -     -    "),
];

#[test]
fn every_event_in_every_state_has_its_place_in_the_table() {
    for (event, row) in TABLE {
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells.len(), STATES.len());
        for (state, expected) in STATES.into_iter().zip(cells) {
            let next = state.after(event).map_or("-".to_owned(), |next| format!("{next:?}").chars().take(5).collect());
            assert_eq!(next, expected, "{event:?} in {state:?}");
        }
    }
}

#[test]
fn heartbeats_are_sent_in_the_states_of_a_member_and_at_once_where_it_owes_one() {
    for state in STATES {
        let in_group = [S::Joining, S::Reconciling, S::Acknowledging, S::Stable].contains(&state);
        assert_eq!(state.is_in_group(), in_group, "{state:?}");
        assert_eq!(state.is_urgent(), [S::Joining, S::Acknowledging].contains(&state), "{state:?}");
    }
}
