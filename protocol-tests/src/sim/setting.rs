//! The setting that a seed stands for: sizes, faults, and the configuration of the clients. It can be made smaller.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$about])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name on the command line and in reports.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            fn bit(self) -> u64 {
                1 << self as u32
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

kinds! {
    /// Faults of the network and of brokers.
    Fault {
        /// Batches above a small size are refused for a while.
        BatchLimit = "batch-limit",
        /// All bytes between some clients and brokers stop, in random order, and go on in another.
        Clog = "clog",
        /// The process is not scheduled for a while: everything that was due happens late and at once.
        ClockJump = "clock-jump",
        /// Another broker coordinates the groups.
        CoordinatorMove = "coordinator-move",
        /// A broker stops and starts again; other brokers lead its partitions.
        Crash = "crash",
        /// A leader crashes with the end of its log, which no other replica has (an unclean election).
        CrashWithLoss = "crash-with-loss",
        /// The connection is lost after the request has taken effect.
        CutAfter = "cut-after",
        /// The connection is lost before the request takes effect.
        CutBefore = "cut-before",
        /// The connection is lost within the response.
        CutInside = "cut-inside",
        /// A response comes much later; those behind it wait.
        Delay = "delay",
        /// A request gets an error code and has no effect.
        ErrorCode = "error-code",
        /// Partitions forget producers that are idle.
        Expiry = "expiry",
        /// Responses arrive in pieces.
        HalfFrames = "half-frames",
        /// Followers stop fetching: new records are not committed for a while, and may be lost with their leader.
        HoldReplication = "hold-replication",
        /// The metadata of one broker is stale.
        Lag = "lag",
        /// Frames take longer, each connection at its own pace.
        Latency = "latency",
        /// Another broker leads.
        LeaderMove = "leader-move",
        /// The response is lost and the connection stays.
        LostReply = "lost-reply",
        /// A topic is deleted and created again.
        Recreate = "recreate",
        /// A broker accepts no connections.
        Refuse = "refuse",
        /// The oldest records are deleted.
        Retention = "retention",
        /// Responses arrive a few bytes at a time.
        SlowDrip = "slow-drip",
        /// The request is lost and the connection stays.
        Swallow = "swallow",
        /// Responses throttle the client.
        Throttle = "throttle",
        /// The wall clock is wrong.
        WallClock = "wall-clock",
        /// A response has another correlation id.
        WrongCorrelation = "wrong-correlation",
        /// A request takes effect and gets an error code.
        ErrorAfter = "error-after",
        /// Other producers write transactions, which commit or abort.
        Transactions = "transactions",
        /// Logs are compacted.
        Compaction = "compaction",
        /// Readers are sent to the replica of their rack, which may be behind the leader.
        FollowerReads = "follower-reads",
        /// Records arrive damaged, although the log is whole.
        Corrupt = "corrupt",
        /// Brokers close connections that are idle.
        IdleClose = "idle-close",
        /// Topics get more partitions, or are created again with fewer.
        PartitionCount = "partition-count",
        /// The coordinator takes a member for dead, or begins a rebalance.
        Eviction = "eviction",
        /// The password of the clients' user is another one for a while.
        PasswordChange = "password-change",
        /// A broker refuses to authenticate a connection again.
        RenewalRefusal = "renewal-refusal",
        /// A request of an authentication, or its response, is lost, late or an error.
        LoginFault = "login-fault",
    }
}

kinds! {
    /// Configurations and uses of clients that are allowed and rare.
    Odd {
        /// Commits are dropped before they complete.
        CancelCommits = "cancel-commits",
        /// Brokers have few slots for fetch sessions.
        FewSessions = "few-sessions",
        /// Fetches are limited to one byte.
        OneByteFetches = "one-byte-fetches",
        /// Batches have one record.
        OneRecordBatches = "one-record-batches",
        /// Brokers support older versions only.
        OldVersions = "old-versions",
        /// Partitions are paused and resumed.
        Pauses = "pauses",
        /// Readers are dropped and started again at their committed offsets.
        ReaderRestarts = "reader-restarts",
        /// Readers seek.
        Seeks = "seeks",
        /// The timeouts of requests and deliveries are some milliseconds.
        ShortTimeouts = "short-timeouts",
        /// Readers are slow.
        SlowReader = "slow-reader",
        /// Timers fire that were not set.
        SpuriousTimers = "spurious-timers",
        /// Buffers and budgets are tiny.
        TinyBudgets = "tiny-budgets",
        /// Writers are closed in the middle of their work and started again.
        WriterRestarts = "writer-restarts",
        /// Some producers use acks = 0.
        AcksNone = "acks-none",
        /// Some producers use acks = 1.
        AcksLeader = "acks-leader",
        /// Some producers use acks = all without idempotence.
        AcksPlain = "acks-plain",
        /// Producers begin near the largest sequence.
        LateSequences = "late-sequences",
        /// Some readers stop at the end offsets of the time when they began.
        BoundedReads = "bounded-reads",
        /// Clients close connections that are idle.
        IdleClients = "idle-clients",
        /// The coordinator does not know groups that have committed nothing.
        UnknownGroups = "unknown-groups",
        /// The assignments of readers are replaced while they read.
        Reassignments = "reassignments",
        /// Some records have a deadline of their own.
        Deadlines = "deadlines",
        /// Members of the group leave it in order, and others join.
        Leavers = "leavers",
        /// Members die without a word, and others join.
        Deaths = "deaths",
        /// Members do not poll for too long.
        LatePolls = "late-polls",
        /// The processes of members are not scheduled for a while.
        Stalls = "stalls",
        /// The hooks of rebalances take their time.
        SlowHooks = "slow-hooks",
        /// Members have names (KIP-345).
        StaticMembers = "static-members",
        /// Members change their subscriptions.
        Resubscriptions = "resubscriptions",
    }
}

impl Fault {
    /// Drawn after all else, so that an old seed is unchanged without them.
    const LATER: &[Self] = &[
        Self::ErrorAfter,
        Self::Transactions,
        Self::Compaction,
        Self::FollowerReads,
        Self::Corrupt,
        Self::IdleClose,
        Self::PartitionCount,
    ];

    /// Drawn where there is a group.
    const OF_GROUPS: &[Self] = &[Self::Eviction];

    /// Drawn where brokers demand authentication.
    const OF_LOGINS: &[Self] = &[Self::PasswordChange, Self::RenewalRefusal, Self::LoginFault];

    fn is_later(self) -> bool {
        [Self::LATER, Self::OF_GROUPS, Self::OF_LOGINS].iter().any(|kinds| kinds.contains(&self))
    }
}

impl Odd {
    /// Drawn after the others, so that an old seed is otherwise unchanged.
    const LATER: &[Self] =
        &[Self::AcksNone, Self::AcksLeader, Self::AcksPlain, Self::LateSequences, Self::BoundedReads];

    /// Drawn even later.
    const LAST: &[Self] = &[Self::IdleClients, Self::UnknownGroups];

    /// Drawn after all else.
    const NEWEST: &[Self] = &[Self::Reassignments, Self::Deadlines];

    /// Drawn where there is a group.
    const OF_GROUPS: &[Self] = &[
        Self::Leavers,
        Self::Deaths,
        Self::LatePolls,
        Self::Stalls,
        Self::SlowHooks,
        Self::StaticMembers,
        Self::Resubscriptions,
    ];

    fn is_later(self) -> bool {
        [Self::LATER, Self::LAST, Self::NEWEST, Self::OF_GROUPS].iter().any(|kinds| kinds.contains(&self))
    }
}

/// The promise of a producer about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// It was passed to a connection, once.
    Sent,
    /// The leader has it, maybe more than once.
    Taken,
    /// All replicas have it, maybe more than once.
    Kept,
    /// All replicas have it once, and in order.
    Once,
}

impl Promise {
    /// The acks of its Produce requests.
    pub(super) fn acks(self) -> i16 {
        match self {
            Self::Sent => 0,
            Self::Taken => 1,
            Self::Kept | Self::Once => -1,
        }
    }

    /// Whether records may be in the log twice. Without acks they are sent once.
    pub(super) fn repeats(self) -> bool {
        matches!(self, Self::Taken | Self::Kept)
    }
}

/// The setting of a run. All of it is drawn from the seed; a smaller one may be tried with the same seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The seed that everything else is drawn from.
    pub seed: u64,
    /// The number of brokers.
    pub brokers: i32,
    /// The number of topics.
    pub topics: usize,
    /// The number of partitions of each topic.
    pub partitions: i32,
    /// The number of producers.
    pub writers: usize,
    /// The number of consumers.
    pub readers: usize,
    /// The number of members of the group; 0 if there is none.
    pub members: usize,
    /// The number of records of all producers.
    pub records: u64,
    /// How long faults may strike, in milliseconds.
    pub fault_ms: u64,
    /// The number of messages of a client by which it authenticates; 0 if brokers demand no authentication.
    pub logins: usize,
    /// How long an authentication holds, in milliseconds; 0 if it holds forever.
    pub session_ms: u64,
    faults: u64,
    odds: u64,
}

impl Setting {
    /// Draws the setting of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rate = *rng.choice(&[0, 20, 40, 40, 60, 90]).expect("some");
        let early = Fault::ALL.iter().filter(|kind| !kind.is_later());
        let faults = early.filter(|_| rng.u32(..100) < rate).map(|kind| kind.bit()).sum();
        let odd = *rng.choice(&[0, 10, 20, 40]).expect("some");
        let early = Odd::ALL.iter().filter(|kind| !kind.is_later());
        let odds = early.filter(|_| rng.u32(..100) < odd).map(|kind| kind.bit()).sum();
        let mut setting = Self {
            seed,
            brokers: *rng.choice(&[1, 2, 3, 3, 3, 4]).expect("some"),
            topics: *rng.choice(&[1, 1, 2]).expect("some"),
            partitions: rng.i32(1..=3),
            writers: *rng.choice(&[1, 1, 1, 2, 3]).expect("some"),
            readers: *rng.choice(&[0, 1, 1, 1, 2, 3]).expect("some"),
            members: 0,
            records: rng.u64(5..=90),
            fault_ms: rng.u64(50..3_000),
            logins: 0,
            session_ms: 0,
            faults,
            odds,
        };
        if setting.has_odd(Odd::OldVersions) {
            // Without ids and epochs a client cannot tell a topic from its successor, nor a log from a truncated one.
            setting = setting.without(Fault::Recreate).without(Fault::CrashWithLoss);
        }
        // When the mock truncates a log, it forgets the producers whose batches retention deleted; Kafka has snapshots of them.
        setting = if rng.bool() {
            setting.without(Fault::Retention)
        } else {
            setting.without(Fault::CrashWithLoss).without(Fault::HoldReplication)
        };
        for odd in Odd::LATER {
            if rng.u8(..10) == 0 {
                setting.odds |= odd.bit();
            }
        }
        for fault in Fault::LATER {
            if rng.u8(..4) == 0 {
                setting.faults |= fault.bit();
            }
        }
        for odd in Odd::LAST {
            if rng.u8(..8) == 0 {
                setting.odds |= odd.bit();
            }
        }
        for odd in Odd::NEWEST {
            if rng.u8(..4) == 0 {
                setting.odds |= odd.bit();
            }
        }
        // When the mock truncates a log, it forgets the producers whose batches compaction removed, too.
        if setting.has(Fault::CrashWithLoss) || setting.has(Fault::HoldReplication) {
            setting = setting.without(Fault::Compaction);
        }
        let setting = if rng.u8(..4) == 0 { setting.with_group(&mut rng) } else { setting };
        // By numbers of its own, so that everything else about an old seed is unchanged.
        if Rng::with_seed(seed ^ 0x6a7e).u8(..4) == 0 { setting.with_logins() } else { setting }
    }

    /// Draws the setting of a seed with a group, and without readers that assign partitions themselves.
    pub fn draw_with_group(seed: u64) -> Self {
        let setting = Self { readers: 0, ..Self::draw(seed) };
        if setting.members > 0 {
            return setting;
        }
        setting.with_group(&mut Rng::with_seed(seed ^ 0x6005))
    }

    /// The same setting, where brokers demand authentication.
    #[must_use]
    pub fn with_logins(mut self) -> Self {
        if self.logins > 0 {
            return self;
        }
        let mut rng = Rng::with_seed(self.seed ^ 0x10c5);
        self.logins = *rng.choice(&[1, 1, 2, 3, 4]).expect("some");
        self.session_ms = match rng.u8(..6) {
            0 => 0,
            1..4 => rng.u64(30..200),
            _ => rng.u64(200..2_000),
        };
        let rate = *rng.choice(&[0, 40, 70]).expect("some");
        for fault in Fault::OF_LOGINS {
            if self.faults != 0 && rng.u32(..100) < rate {
                self.faults |= fault.bit();
            }
        }
        self
    }

    fn with_group(mut self, rng: &mut Rng) -> Self {
        self.members = *rng.choice(&[1, 2, 2, 3, 3, 4]).expect("some");
        let rate = *rng.choice(&[0, 30, 60]).expect("some");
        for fault in Fault::OF_GROUPS {
            if self.faults != 0 && rng.u32(..100) < rate {
                self.faults |= fault.bit();
            }
        }
        for odd in Odd::OF_GROUPS {
            if rng.u32(..100) < rate {
                self.odds |= odd.bit();
            }
        }
        // Older brokers know no names of members.
        if self.has_odd(Odd::OldVersions) { self.without_odd(Odd::StaticMembers) } else { self }
    }

    /// The same setting as each older version of the simulator had it, without faults and oddities that came later.
    pub fn as_before(&self) -> [Self; 4] {
        let open = self.without_logins();
        let alone = open.without_group();
        let newest = Odd::NEWEST.iter().fold(alone.clone(), |setting, odd| setting.without_odd(*odd));
        let oldest = Fault::LATER.iter().fold(newest.clone(), |setting, fault| setting.without(*fault));
        [Odd::LAST.iter().fold(oldest, |setting, odd| setting.without_odd(*odd)), newest, alone, open]
    }

    /// The same setting without authentication.
    pub fn without_logins(&self) -> Self {
        let setting = Self { logins: 0, session_ms: 0, ..self.clone() };
        Fault::OF_LOGINS.iter().fold(setting, |setting, fault| setting.without(*fault))
    }

    /// How soon a connection may authenticate again after it last began to: as with sessions of members, all times are short.
    pub(super) fn renewals_apart(&self) -> Duration {
        Duration::from_millis([0, 30, 100][usize::try_from(self.seed % 3).expect("small")])
    }

    /// The same setting without a group.
    pub fn without_group(&self) -> Self {
        let setting = Self { members: 0, ..self.clone() };
        let setting = Fault::OF_GROUPS.iter().fold(setting, |setting, fault| setting.without(*fault));
        Odd::OF_GROUPS.iter().fold(setting, |setting, odd| setting.without_odd(*odd))
    }

    /// How long faults may strike, in microseconds. A group needs more time.
    pub(super) fn fault_us(&self) -> u64 {
        (self.fault_ms + if self.members > 0 { 2_000 } else { 0 }) * 1_000
    }

    /// Whether a fault may strike.
    pub fn has(&self, fault: Fault) -> bool {
        self.faults & fault.bit() != 0
    }

    /// Whether clients have this oddity.
    pub fn has_odd(&self, odd: Odd) -> bool {
        self.odds & odd.bit() != 0
    }

    /// The same setting without this fault.
    #[must_use]
    pub fn without(mut self, fault: Fault) -> Self {
        self.faults &= !fault.bit();
        self
    }

    /// The same setting without this oddity.
    #[must_use]
    pub fn without_odd(mut self, odd: Odd) -> Self {
        self.odds &= !odd.bit();
        self
    }

    /// The promises of producers: each has one of these.
    pub(super) fn promises(&self) -> Vec<Promise> {
        let weaker =
            [(Odd::AcksNone, Promise::Sent), (Odd::AcksLeader, Promise::Taken), (Odd::AcksPlain, Promise::Kept)];
        let drawn = weaker.into_iter().filter(|(odd, _)| self.has_odd(*odd)).map(|(_, promise)| promise);
        std::iter::once(Promise::Once).chain(drawn).collect()
    }

    /// The faults that may strike.
    pub fn faults(&self) -> impl Iterator<Item = Fault> + '_ {
        Fault::ALL.iter().copied().filter(|fault| self.has(*fault))
    }

    /// The oddities of clients.
    pub fn odds(&self) -> impl Iterator<Item = Odd> + '_ {
        Odd::ALL.iter().copied().filter(|odd| self.has_odd(*odd))
    }

    /// Parses the words that [`Setting`] displays.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let mut words = words.iter();
        let mut setting: Option<Self> = None;
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            let number = || value.parse::<u64>().map_err(|_| format!("{word} needs a number, not {value:?}"));
            if word == "--seed" {
                setting = Some(Self::draw(number()?));
                continue;
            }
            let setting = setting.as_mut().ok_or("--seed comes first")?;
            match word.as_str() {
                "--records" => setting.records = number()?,
                "--writers" => setting.writers = usize::try_from(number()?).map_err(|error| error.to_string())?,
                "--readers" => setting.readers = usize::try_from(number()?).map_err(|error| error.to_string())?,
                "--logins" => setting.logins = usize::try_from(number()?).map_err(|error| error.to_string())?,
                "--session" => setting.session_ms = number()?,
                "--members" => setting.members = usize::try_from(number()?).map_err(|error| error.to_string())?,
                "--faults" => setting.faults = bits(value, Fault::ALL, Fault::name)?,
                "--odds" => setting.odds = bits(value, Odd::ALL, Odd::name)?,
                other => return Err(format!("{other} is not known")),
            }
        }
        setting.ok_or_else(|| "--seed is missing".to_owned())
    }
}

fn bits<K: Copy>(list: &str, all: &[K], name: fn(K) -> &'static str) -> Result<u64, String> {
    let mut bits = 0;
    for word in list.split(',').filter(|word| *word != "none") {
        let at = all.iter().position(|kind| name(*kind) == word).ok_or_else(|| format!("{word} is not known"))?;
        bits |= 1 << at;
    }
    Ok(bits)
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(",") };
        write!(
            f,
            "--seed {} --records {} --writers {} --readers {} --members {} --logins {} --session {} --faults {} --odds {}",
            self.seed,
            self.records,
            self.writers,
            self.readers,
            self.members,
            self.logins,
            self.session_ms,
            list(self.faults().map(Fault::name).collect()),
            list(self.odds().map(Odd::name).collect()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_read_as_it_is_written() {
        for seed in 0..100 {
            let setting =
                if seed % 2 == 0 { Setting::draw(seed) } else { Setting::draw_with_group(seed).with_logins() };
            let smaller = Setting { records: 1, ..setting.clone() }.without(Fault::Clog).without_odd(Odd::Seeks);
            for one in [setting, smaller] {
                let words: Vec<String> = one.to_string().split(' ').map(str::to_owned).collect();
                assert_eq!(Setting::parse(&words), Ok(one));
            }
        }
    }
}
