//! The faults that strike, one after the other until the world heals.

use ottla::error::Code;
use ottla::internals::wire::Api;
use ottla::mock;

use super::Context;
use super::event::Event;
use super::login::Users;
use super::setting::Fault;
use super::setting::Odd;

/// Faults that strike by themselves; the others strike when bytes are on the wire.
const STRIKES: &[Fault] = &[
    Fault::BatchLimit,
    Fault::Clog,
    Fault::ClockJump,
    Fault::Compaction,
    Fault::CoordinatorMove,
    Fault::Corrupt,
    Fault::Crash,
    Fault::CrashWithLoss,
    Fault::Delay,
    Fault::ErrorAfter,
    Fault::ErrorCode,
    Fault::Eviction,
    Fault::Expiry,
    Fault::FollowerReads,
    Fault::HoldReplication,
    Fault::IdleClose,
    Fault::Lag,
    Fault::LeaderMove,
    Fault::LoginFault,
    Fault::LostReply,
    Fault::PartitionCount,
    Fault::PasswordChange,
    Fault::Recreate,
    Fault::Refuse,
    Fault::RenewalRefusal,
    Fault::Retention,
    Fault::Swallow,
    Fault::Throttle,
    Fault::Transactions,
    Fault::WallClock,
];

/// Error codes that a broker may answer to a request without effect.
///
/// `OUT_OF_ORDER_SEQUENCE_NUMBER` and `DUPLICATE_SEQUENCE_NUMBER` are not among them, because they state what the log has.
const CODES: &[(Api, &[i16])] = &[
    (Api::Produce, &[2, 3, 5, 6, 7, 9, 10, 19, 20, 29, 31, 47, 56, 59, 74, 75, 87, 89, 100, 103, -1, 999]),
    (Api::Fetch, &[1, 2, 3, 5, 6, 9, 29, 56, 74, 75, 78, 100, 103, -1, 999]),
    (Api::ListOffsets, &[3, 5, 6, 7, 29, 56, 74, 75, 78, -1]),
    (Api::OffsetForLeaderEpoch, &[3, 5, 6, 7, 56, 74, 75, 78, -1]),
    (Api::OffsetCommit, &[3, 7, 12, 14, 15, 16, 28, 30]),
    (Api::OffsetFetch, &[14, 15, 16, 30, -1]),
    (Api::FindCoordinator, &[7, 14, 15, 30]),
    (Api::InitProducerId, &[7, 14, 15, 51, 31]),
    (Api::Metadata, &[3, 5, 29, -1]),
];

/// As [`CODES`], for requests of members.
const CODES_OF_GROUPS: &[(Api, &[i16])] = &[
    (Api::JoinGroup, &[14, 15, 16, 25, 30]),
    (Api::SyncGroup, &[14, 15, 16, 22, 25, 27]),
    (Api::Heartbeat, &[14, 15, 16, 22, 25, 27]),
    (Api::LeaveGroup, &[14, 15, 16, 25]),
    (Api::OffsetCommit, &[14, 15, 16, 22, 25, 27]),
    (Api::ConsumerGroupHeartbeat, &[14, 15, 16, 25, 110]),
];

/// As [`CODES`], for requests of an authentication.
const CODES_OF_LOGINS: &[(Api, &[i16])] = &[(Api::SaslHandshake, &[33, 34, -1]), (Api::SaslAuthenticate, &[58])];

/// Error codes that a broker may answer after a request has taken effect: [`mock::Fault::ErrorAfter`] names the places in
/// Kafka that do.
const LATE_CODES: &[(Api, &[i16])] = &[(Api::Produce, &[3, 6, 7, 13, 20, 56, -1]), (Api::OffsetCommit, &[15, 16])];

impl Context {
    /// A fault strikes, and another will.
    pub(super) fn strike(&mut self) {
        if self.healed {
            return;
        }
        let wait = self.rng.u64(1_000..60_000);
        self.at(self.now + wait, Event::Strike);
        let ready: Vec<Fault> = STRIKES.iter().copied().filter(|fault| self.setting.has(*fault)).collect();
        let Some(fault) = self.rng.choice(&ready).copied() else { return };
        let broker = self.rng.i32(1..=self.setting.brokers);
        if self.apply(fault, broker) {
            self.trace.say(self.now, || format!("* {fault} (broker {broker})"));
            self.trace.count(fault.name());
        }
        self.observe();
        self.poll_mock();
    }

    fn apply(&mut self, fault: Fault, broker: i32) -> bool {
        let place = (self.rng.usize(..self.topics.len()), self.rng.i32(0..self.setting.partitions));
        let name = self.topics[place.0].clone();
        let lasts = self.rng.u64(1_000..400_000);
        match fault {
            Fault::BatchLimit
            | Fault::Crash
            | Fault::FollowerReads
            | Fault::HoldReplication
            | Fault::Lag
            | Fault::PasswordChange
            | Fault::Refuse
            | Fault::Throttle => {
                self.begin(fault, broker, place);
                self.at(self.now + lasts, Event::Over { fault, broker });
            }
            Fault::Clog => self.swizzle(lasts),
            Fault::ClockJump => {
                self.now += lasts * 5;
                self.ghost.jumped(self.now);
            }
            Fault::Compaction => return self.compact(place),
            Fault::CoordinatorMove => {
                let groups = self.setting.readers + usize::from(self.setting.members > 0);
                let reader = self.rng.usize(..groups.max(1));
                self.ghost.coordinator_moves();
                self.mock.move_coordinator(0, &super::reader::group(reader), broker);
            }
            Fault::Corrupt => self.corrupt(&name, place.1),
            Fault::CrashWithLoss => return self.lose_tail(place, lasts),
            Fault::Delay => {
                let (api, _) = self.some_codes();
                let delay = std::time::Duration::from_micros(lasts);
                self.mock.inject_at(broker, api.key(), mock::Fault::Delay(delay), 1);
            }
            Fault::ErrorAfter => self.fail_late(),
            Fault::ErrorCode => self.answer_wrongly(),
            Fault::Eviction => return self.evict(),
            Fault::Expiry => return self.expire(place),
            Fault::IdleClose => return self.close_idle(broker),
            Fault::LeaderMove => return self.mock.is_up(broker) && self.mock.move_leader(&name, place.1, broker),
            Fault::LoginFault => self.fail_login(broker, lasts),
            Fault::RenewalRefusal => self.refuse_renewals(),
            Fault::LostReply | Fault::Swallow => {
                let (api, _) = self.some_codes();
                let fault = if fault == Fault::Swallow { mock::Fault::Swallowed } else { mock::Fault::Lost };
                self.mock.inject(api.key(), fault, 1);
            }
            Fault::Recreate => {
                if self.rng.u8(..4) != 0 {
                    return false;
                }
                self.recreate(place.0);
            }
            Fault::PartitionCount => return self.count_partitions(place.0),
            Fault::Retention => return self.retain(place),
            // Several steps at once, so that a fetch brings several transactions.
            Fault::Transactions => return (0..self.rng.u8(1..9)).all(|_| self.transact(place)),
            Fault::WallClock => self.wall_ms = self.rng.i64(1..2_000_000),
            Fault::CutAfter
            | Fault::CutBefore
            | Fault::CutInside
            | Fault::HalfFrames
            | Fault::Latency
            | Fault::SlowDrip
            | Fault::WrongCorrelation => return false,
        }
        true
    }

    /// A fault begins that lasts.
    fn begin(&mut self, fault: Fault, broker: i32, place: (usize, i32)) {
        match fault {
            Fault::BatchLimit => {
                let bytes = self.rng.usize(60..300);
                self.mock.set_batch_bytes_max(&self.topics[place.0], bytes);
            }
            Fault::Crash => {
                self.ghost.coordinator_moves();
                self.mock.set_down(broker);
                self.sever_all(broker);
            }
            Fault::FollowerReads => {
                let end = self.mock.high_watermark(&self.topics[place.0], place.1).unwrap_or(0);
                let end = self.rng.i64(0..=end);
                self.mock.set_follower_end(&self.topics[place.0], place.1, broker, Some(end));
            }
            Fault::HoldReplication => drop(self.mock.hold_replication(&self.topics[place.0], place.1, true)),
            Fault::Lag => self.mock.set_stale(broker, true),
            Fault::PasswordChange => self.door.users().is_changed = true,
            Fault::Refuse => drop(self.net.refusing.insert(broker)),
            Fault::Throttle => {
                let throttle_ms = self.rng.i32(1..50);
                self.mock.set_throttle_ms(throttle_ms);
            }
            _ => unreachable!("it does not last"),
        }
    }

    /// A partition forgets its producers. In Kafka this takes a day, so no request that was sent before may arrive after it.
    fn expire(&mut self, place: (usize, i32)) -> bool {
        let waits = self.setting.has(Fault::Delay) || self.setting.has(Fault::HoldReplication);
        if waits || self.net.writes > 0 || !self.ghost.is_quiet(place) {
            return false;
        }
        self.mock.expire_producers(&self.topics[place.0], place.1);
        self.ghost.forgot(place);
        true
    }

    /// A fault that lasts ends.
    pub(super) fn over(&mut self, fault: Fault, broker: i32) {
        match fault {
            Fault::BatchLimit => {
                for name in &self.topics {
                    self.mock.set_batch_bytes_max(name, 1 << 20);
                }
            }
            Fault::Crash => self.mock.set_up(broker),
            Fault::FollowerReads => self.catch_up(),
            Fault::HoldReplication => self.release(),
            Fault::Lag => self.mock.set_stale(broker, false),
            Fault::PasswordChange => self.door.users().is_changed = false,
            Fault::Refuse => drop(self.net.refusing.remove(&broker)),
            Fault::Throttle => self.mock.set_throttle_ms(0),
            _ => {}
        }
        self.observe();
        self.poll_mock();
    }

    /// Every follower catches up.
    fn release(&mut self) {
        for place in self.places() {
            self.mock.hold_replication(&self.topics[place.0], place.1, false);
        }
    }

    /// A topic gets another partition, or becomes another topic with another number of them.
    fn count_partitions(&mut self, topic: usize) -> bool {
        let name = &self.topics[topic];
        let count =
            (0..self.setting.partitions).take_while(|partition| self.mock.offsets(name, *partition).is_some()).count();
        let count = i32::try_from(count).expect("few");
        if count < self.setting.partitions && self.rng.bool() {
            return self.mock.add_partitions(name, count + 1);
        }
        // Names alone cannot tell a topic from its successor.
        if self.setting.has_odd(Odd::OldVersions) || self.rng.u8(..6) != 0 {
            return false;
        }
        self.recreate(topic);
        true
    }

    /// The copies of all followers catch up.
    fn catch_up(&mut self) {
        for place in self.places() {
            for broker in self.mock.brokers() {
                self.mock.set_follower_end(&self.topics[place.0], place.1, broker, None);
            }
        }
    }

    fn compact(&mut self, place: (usize, i32)) -> bool {
        let name = &self.topics[place.0];
        let Some((start, end)) = self.mock.offsets(name, place.1).filter(|(start, end)| start + 1 < *end) else {
            return false;
        };
        // The last batch is never compacted, as Kafka's active segment is not.
        let until = self.rng.i64(start + 1..end);
        self.observe();
        self.mock.compact(&self.topics[place.0], place.1, until);
        let kept = self.mock.log(&self.topics[place.0], place.1);
        self.ghost.compacted(place, &kept.iter().map(|record| record.offset).collect());
        true
    }

    /// A topic is deleted, and another is created under its name.
    pub(super) fn recreate(&mut self, topic: usize) {
        self.ghost.recreated(topic);
        let most = self.setting.partitions;
        let count = if self.setting.has(Fault::PartitionCount) { self.rng.i32(1..=most) } else { most };
        let id = self.mock.create_topic(&self.topics[topic], count);
        self.ghost.created(topic, Some(id));
    }

    /// Clogs links one by one, in random order, and unclogs them in another.
    fn swizzle(&mut self, lasts: u64) {
        let clients = self.setting.writers + self.setting.readers + self.setting.members;
        let mut pairs: Vec<(usize, i32)> =
            (0..clients).flat_map(|client| (1..=self.setting.brokers).map(move |broker| (client, broker))).collect();
        self.rng.shuffle(&mut pairs);
        pairs.truncate(self.rng.usize(1..=pairs.len()));
        self.net.clogged.extend(&pairs);
        self.rng.shuffle(&mut pairs);
        let mut at = self.now;
        for (client, broker) in pairs {
            at += self.rng.u64(..lasts);
            self.at(at, Event::Unclog { client, broker });
        }
    }

    /// An API, and error codes that it may answer with.
    fn some_codes(&mut self) -> (Api, &'static [i16]) {
        let list = if self.setting.members > 0 && self.rng.bool() { CODES_OF_GROUPS } else { CODES };
        *self.rng.choice(list).expect("some")
    }

    /// The coordinator takes a member for dead, or begins a rebalance.
    fn evict(&mut self) -> bool {
        let group = super::reader::group(self.setting.readers);
        let members = self.mock.describe_group(&group).map(|group| group.members).unwrap_or_default();
        match self.rng.choice(&members) {
            Some(member) if self.rng.bool() => self.mock.expire_member(&group, &member.id),
            _ => self.mock.rebalance_group(&group),
        }
    }

    fn answer_wrongly(&mut self) {
        let (api, codes) = self.some_codes();
        let code = *self.rng.choice(codes).expect("some");
        let times = self.rng.u32(1..4);
        if api == Api::Fetch && code == 1 {
            self.ghost.lied(times);
        }
        self.trace.say(self.now, || format!("* {} answered with {code} {times} times", api.name()));
        self.mock.inject(api.key(), mock::Fault::Error(error(code)), times);
    }

    fn fail_late(&mut self) {
        let (api, codes) = LATE_CODES[usize::from(self.rng.u8(..4) == 0)];
        let code = *self.rng.choice(codes).expect("some");
        let times = self.rng.u32(1..8);
        self.trace.say(self.now, || format!("* {} done and answered with {code} {times} times", api.name()));
        self.mock.inject(api.key(), mock::Fault::ErrorAfter(error(code)), times);
    }

    /// Fetches of a partition bring damaged records.
    fn corrupt(&mut self, name: &str, partition: i32) {
        let on = mock::On::api(Api::Fetch.key()).partition(name, partition);
        self.mock.play(on.then(mock::Fault::CorruptRecords).times(self.rng.u32(1..20)));
    }

    /// The next renewals are refused, or find that the user is another one.
    fn refuse_renewals(&mut self) {
        let times = self.rng.u32(1..3);
        let mut users = self.door.users();
        *if self.rng.bool() { &mut users.refusals } else { &mut users.impostors } += times;
    }

    /// A request of an authentication goes wrong.
    fn fail_login(&mut self, broker: i32, lasts: u64) {
        let (api, codes) = *self.rng.choice(CODES_OF_LOGINS).expect("some");
        let fault = match self.rng.u8(..6) {
            0 => mock::Fault::CloseAfter,
            1 => mock::Fault::CloseBefore,
            2 => mock::Fault::Delay(std::time::Duration::from_micros(lasts)),
            3 => mock::Fault::Lost,
            4 => mock::Fault::Swallowed,
            _ => mock::Fault::Error(error(*self.rng.choice(codes).expect("some"))),
        };
        self.trace.say(self.now, || format!("* {} at {broker}: {fault:?}", api.name()));
        self.mock.inject_at(broker, api.key(), fault, 1);
    }

    fn retain(&mut self, place: (usize, i32)) -> bool {
        let name = self.topics[place.0].clone();
        let Some((start, end)) = self.mock.offsets(&name, place.1).filter(|(start, end)| start < end) else {
            return false;
        };
        let to = self.rng.i64(start + 1..=end);
        self.observe();
        let started = self.mock.delete_before(&name, place.1, to);
        self.ghost.retained(place, started.unwrap_or(to));
        true
    }

    /// A partition's leader crashes with the records that only it has; its successor may lack even acknowledged ones.
    fn lose_tail(&mut self, place: (usize, i32), lasts: u64) -> bool {
        let name = self.topics[place.0].clone();
        let Some((start, end)) = self.mock.offsets(&name, place.1).filter(|(start, end)| start < end) else {
            return false;
        };
        if self.rng.bool() {
            self.mock.truncate(&name, place.1, self.rng.i64(start.max(end - 8)..end));
            return true;
        }
        let Some((leader, _)) = self.mock.leader(&name, place.1) else { return false };
        self.ghost.coordinator_moves();
        self.mock.crash(leader);
        self.sever_all(leader);
        self.at(self.now + lasts, Event::Over { fault: Fault::Crash, broker: leader });
        true
    }

    /// The faults end, and everything works again.
    pub(super) fn heal(&mut self) {
        self.trace.say(self.now, || "* the world heals".to_owned());
        self.healed = true;
        self.ghost.healed(self.now);
        self.net.rough = false;
        self.net.refusing.clear();
        self.release();
        self.catch_up();
        self.mock.clear_faults();
        *self.door.users() = Users::default();
        self.mock.set_throttle_ms(0);
        for broker in self.mock.brokers() {
            self.mock.set_up(broker);
            self.mock.set_stale(broker, false);
        }
        self.end_transactions();
        for name in &self.topics {
            self.mock.set_batch_bytes_max(name, 1 << 20);
        }
        for pair in self.net.clogged.clone() {
            self.unclog(pair);
        }
        self.observe();
        self.poll_mock();
    }
}

/// The error of a code that the lists above have.
fn error(code: i16) -> Code {
    Code::from_wire(code).expect("no list has zero")
}
