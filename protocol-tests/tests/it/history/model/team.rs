//! The members of a group that subscribe. They come and go, keep or give up partitions in a rebalance, crash, and read on for a
//! while after the group has removed them.

use std::collections::BTreeMap;

use ottla::types::TopicPartition;
use protocol_tests::history::Body;
use protocol_tests::history::Change;
use protocol_tests::history::CommitOutcome;
use protocol_tests::history::Role;
use protocol_tests::history::Seen;

use super::Model;

/// The group of the members.
pub(in crate::history) const TEAM: &str = "team";
const MEMBERS_MAX: usize = 4;

#[derive(Debug)]
struct Member {
    process: u32,
    generation: i32,
    owned: BTreeMap<TopicPartition, i64>,
    /// The group has removed it, and it does not know.
    removed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Team {
    members: Vec<Member>,
    generation: i32,
}

impl Model {
    pub(super) fn begin_team(&mut self) {
        self.join();
        self.join();
    }

    pub(super) fn team_step(&mut self) {
        match self.rng.u32(..30) {
            0 if self.team.members.len() < MEMBERS_MAX => self.join(),
            1 => self.rebalance(),
            2 => self.leave(),
            3 => self.crash(),
            4 => self.remove(),
            5 => self.notice(),
            6..12 => {
                if let Some(at) = self.any_member() {
                    self.commit_of(at);
                }
            }
            _ => {
                if let Some(at) = self.any_member() {
                    self.read_of(at, 8);
                }
            }
        }
    }

    fn any_member(&mut self) -> Option<usize> {
        let count = self.team.members.len();
        (count > 0).then(|| self.rng.usize(..count))
    }

    fn join(&mut self) {
        let process = self.open(Role::Consumer { group: Some(TEAM.to_owned()) });
        self.push(process, Body::Subscribed(vec!["a".into(), "b".into()]));
        self.team.members.push(Member { process, generation: 0, owned: BTreeMap::new(), removed: false });
        self.rebalance();
    }

    /// Gives the partitions to the members that the group knows, in another generation. Some stay where they are.
    fn rebalance(&mut self) {
        let known: Vec<usize> = (0..self.team.members.len()).filter(|at| !self.team.members[*at].removed).collect();
        let keeps = self.rng.bool();
        let mut targets: BTreeMap<TopicPartition, usize> = BTreeMap::new();
        for partition in self.partitions.clone() {
            let owner = known.iter().copied().find(|at| self.team.members[*at].owned.contains_key(&partition));
            let Some(any) = self.rng.choice(&known).copied() else { continue };
            targets.insert(partition, owner.filter(|_| keeps).unwrap_or(any));
        }
        for at in &known {
            let owned = self.team.members[*at].owned.keys();
            let gone: Vec<_> = owned.filter(|partition| targets[partition] != *at).cloned().collect();
            self.give_up(*at, gone);
        }
        self.team.generation += 1;
        let generation = self.team.generation;
        for at in known {
            let member = &self.team.members[at];
            let gained =
                targets.iter().filter(|(partition, owner)| **owner == at && !member.owned.contains_key(*partition));
            let gained: Vec<TopicPartition> = gained.map(|(partition, _)| partition.clone()).collect();
            let process = member.process;
            self.team.members[at].generation = generation;
            for partition in &gained {
                let key = (TEAM.to_owned(), partition.clone());
                let start = self.committed.get(&key).copied().unwrap_or(0);
                self.team.members[at].owned.insert(partition.clone(), start);
            }
            self.push(process, Body::Rebalanced { change: Change::Assigned, generation, partitions: gained });
        }
    }

    /// A member commits, and then gives partitions up.
    fn give_up(&mut self, at: usize, partitions: Vec<TopicPartition>) {
        if partitions.is_empty() {
            return;
        }
        self.commit_of(at);
        let member = &mut self.team.members[at];
        member.owned.retain(|partition, _| !partitions.contains(partition));
        let (process, generation) = (member.process, member.generation);
        self.push(process, Body::Rebalanced { change: Change::Revoked, generation, partitions });
    }

    fn leave(&mut self) {
        let Some(at) = self.any_member().filter(|at| !self.team.members[*at].removed) else { return };
        let all = self.team.members[at].owned.keys().cloned().collect();
        self.give_up(at, all);
        self.team.members.remove(at);
        self.rebalance();
    }

    fn crash(&mut self) {
        let Some(at) = self.any_member() else { return };
        let member = self.team.members.remove(at);
        self.push(member.process, Body::Crashed);
        if !member.removed {
            self.rebalance();
        }
    }

    /// The group removes a member that is cut off. Others get its partitions while it reads on.
    fn remove(&mut self) {
        let Some(at) = self.any_member().filter(|at| !self.team.members[*at].removed) else { return };
        self.team.members[at].removed = true;
        self.rebalance();
    }

    /// A member notices that it was removed, and joins again.
    fn notice(&mut self) {
        let Some(at) = self.team.members.iter().position(|member| member.removed) else { return };
        let member = &mut self.team.members[at];
        member.removed = false;
        let partitions: Vec<_> = std::mem::take(&mut member.owned).into_keys().collect();
        let process = member.process;
        self.push(process, Body::Rebalanced { change: Change::Lost, generation: -1, partitions });
        self.rebalance();
    }

    fn commit_of(&mut self, at: usize) {
        let member = &self.team.members[at];
        let (process, removed) = (member.process, member.removed);
        let positions: Vec<_> = member.owned.iter().map(|(at, offset)| (at.clone(), *offset)).collect();
        self.push(process, Body::CommitInvoked(positions.clone()));
        let (applied, outcome) = match self.rng.u32(..5) {
            _ if removed => (false, CommitOutcome::Failed("it is no member".into())),
            0 => (false, CommitOutcome::Failed("refused".into())),
            1 => (self.rng.bool(), CommitOutcome::InDoubt("no answer".into())),
            _ => (true, CommitOutcome::Done),
        };
        if applied {
            self.committed.extend(positions.into_iter().map(|(at, offset)| ((TEAM.to_owned(), at), offset)));
        }
        self.push(process, Body::Committed(outcome));
    }

    /// Returns up to `most` records of each partition that a member owns; whether it reached every end.
    fn read_of(&mut self, at: usize, most: usize) -> bool {
        let mut records = Vec::new();
        let (member, rng, logs) = (&mut self.team.members[at], &mut self.rng, &self.logs);
        let mut ended = true;
        for (partition, position) in &mut member.owned {
            let log = &logs[partition];
            let from = usize::try_from(*position).expect("not negative");
            let until = log.len().min(from + rng.usize(0..=most));
            for (offset, value) in (*position..).zip(&log[from..until]) {
                let Some(value) = value.clone() else { continue };
                records.push(Seen { partition: partition.clone(), offset, value });
            }
            *position = i64::try_from(until).expect("small");
            ended &= until == log.len();
        }
        let process = member.process;
        self.push(process, Body::Polled { records, moved: Vec::new(), error: None });
        ended
    }

    /// The members notice everything, read to the end, and leave.
    pub(super) fn finish_team(&mut self) {
        while self.team.members.iter().any(|member| member.removed) {
            self.notice();
        }
        if self.team.members.is_empty() {
            self.join();
        }
        for at in 0..self.team.members.len() {
            while !self.read_of(at, 50) {}
            let all = self.team.members[at].owned.keys().cloned().collect();
            self.give_up(at, all);
        }
    }
}
