//! The faults of the cluster and of the connections to it. All are drawn from the seed; only the moment of their effect depends on
//! the machine.

use std::time::Duration;

use fastrand::Rng;
use ottla::Client;
use protocol_tests::history::Body;
use protocol_tests::history::Recorder;
use protocol_tests::proxy::Direction;
use protocol_tests::proxy::Fault;
use protocol_tests::proxy::Proxy;
use protocol_tests::proxy::Weather;

use super::PARTITIONS;
use super::Run;
use super::nodes;

/// The process that faults are recorded for.
const NEMESIS: u32 = u32::MAX;

/// Kills leaders and leaves their connections alone, until `until`. Returns the number of kills.
pub(super) async fn kill_leaders(run: &Run, client: &Client, until: Duration) -> u32 {
    Nodes::new(run, client).kill_leaders(until).await
}

/// Injects faults into nodes and connections until `until`. Returns the numbers of kills and of pauses.
pub(super) async fn strike(run: &Run, client: &Client, proxies: &[Proxy], until: Duration) -> (u32, u32) {
    let nodes = Nodes::new(run, client);
    let links = Links { run, proxies, rng: Rng::with_seed(run.seed.wrapping_add(1)) };
    let (counts, ()) = tokio::join!(nodes.strike(until), links.strike(until));
    counts
}

fn note(recorder: &Recorder, what: String) {
    recorder.push(NEMESIS, Body::Fault(what));
}

async fn wait(rng: &mut Rng, millis: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(rng.u64(millis))).await;
}

struct Nodes<'a> {
    run: &'a Run,
    client: &'a Client,
    rng: Rng,
    kills: u32,
    pauses: u32,
}

impl<'a> Nodes<'a> {
    fn new(run: &'a Run, client: &'a Client) -> Self {
        Self { run, client, rng: Rng::with_seed(run.seed), kills: 0, pauses: 0 }
    }

    async fn kill_leaders(mut self, until: Duration) -> u32 {
        while self.run.recorder.now() < until {
            wait(&mut self.rng, 500..2_500).await;
            let (leader, _) = self.leader().await;
            self.kill(leader).await;
            self.wait_for_replicas().await;
        }
        self.kills
    }

    /// Disturbs one node at a time: without two of three nothing could be written, which would test little.
    async fn strike(mut self, until: Duration) -> (u32, u32) {
        let mut turn = 0;
        while self.run.recorder.now() < until {
            wait(&mut self.rng, 500..2_500).await;
            let (leader, any) = self.leader().await;
            // Followers are disturbed too, now and then.
            let node = if self.rng.u8(..5) == 0 { any } else { leader };
            match (turn, self.rng.u8(..10)) {
                (0, _) | (2.., 0..5) => self.kill(node).await,
                // Longer than a broker's session (6 s), so that others take over.
                (1, _) | (2.., 5..8) => self.pause(node, 7_000..11_000).await,
                _ => self.pause(node, 200..4_000).await,
            }
            turn += 1;
            self.wait_for_replicas().await;
        }
        (self.kills, self.pauses)
    }

    /// The leader of some partition, or any node while there is no leader; and any node.
    async fn leader(&mut self) -> (i32, i32) {
        let partition = self.rng.i32(0..PARTITIONS);
        let any = self.rng.i32(1..=3);
        (nodes::leader(self.client, &self.run.topic, partition).await.unwrap_or(any), any)
    }

    async fn wait_for_replicas(&self) {
        if !nodes::in_sync(self.client, &self.run.topic, Duration::from_secs(30)).await {
            note(&self.run.recorder, "replicas are not in sync after 30 s".into());
        }
    }

    async fn kill(&mut self, node: i32) {
        note(&self.run.recorder, format!("kill {node}"));
        nodes::kill(&self.run.site, node).await;
        self.kills += 1;
        let down = if self.rng.u8(..4) == 0 { 7_000..9_000 } else { 200..3_000 };
        wait(&mut self.rng, down).await;
        nodes::start(&self.run.site, node).await;
        note(&self.run.recorder, format!("start {node}"));
    }

    async fn pause(&mut self, node: i32, millis: std::ops::Range<u64>) {
        note(&self.run.recorder, format!("pause {node}"));
        nodes::pause(&self.run.site, node).await;
        self.pauses += 1;
        wait(&mut self.rng, millis).await;
        nodes::unpause(&self.run.site, node).await;
        note(&self.run.recorder, format!("unpause {node}"));
    }
}

/// The APIs whose frames are tampered with: Produce, Fetch, ListOffsets, Metadata, OffsetCommit, OffsetFetch, FindCoordinator,
/// JoinGroup, Heartbeat, LeaveGroup, SyncGroup, ApiVersions, InitProducerId, OffsetForLeaderEpoch, ConsumerGroupHeartbeat.
const APIS: [i16; 15] = [0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 18, 22, 23, 68];

struct Links<'a> {
    run: &'a Run,
    proxies: &'a [Proxy],
    rng: Rng,
}

impl Links<'_> {
    async fn strike(mut self, until: Duration) {
        while self.run.recorder.now() < until {
            wait(&mut self.rng, 200..1_500).await;
            let proxy = self.rng.choice(self.proxies).expect("there are three");
            match self.rng.u8(..12) {
                0 => {
                    self.note(proxy, "cut");
                    proxy.cut();
                }
                1 => {
                    let latency = Duration::from_millis(self.rng.u64(20..400));
                    self.weather(proxy, Weather { latency, ..Weather::default() }, 500..4_000).await;
                }
                2 => {
                    let rate = Some(self.rng.u32(10_000..200_000));
                    self.weather(proxy, Weather { bytes_per_second: rate, ..Weather::default() }, 500..4_000).await;
                }
                3 => self.weather(proxy, Weather { stalled: true, ..Weather::default() }, 300..8_000).await,
                4 => {
                    proxy.cut();
                    self.weather(proxy, Weather { refusing: true, ..Weather::default() }, 300..3_000).await;
                }
                5..9 => self.tamper(proxy),
                _ => {}
            }
        }
    }

    fn note(&self, proxy: &Proxy, what: &str) {
        note(&self.run.recorder, format!("{what} to {}", proxy.broker().port()));
    }

    async fn weather(&mut self, proxy: &Proxy, weather: Weather, millis: std::ops::Range<u64>) {
        self.note(proxy, &format!("{weather:?}"));
        proxy.set_weather(weather);
        wait(&mut self.rng, millis).await;
        proxy.calm();
        self.note(proxy, "fine weather");
    }

    fn tamper(&mut self, proxy: &Proxy) {
        let api = self.rng.choice(APIS).filter(|_| self.run.site.shows_requests());
        let direction = if self.rng.bool() { Direction::Request } else { Direction::Response };
        let fault = match self.rng.u8(..6) {
            0 => Fault::Cut,
            1 => Fault::Drop,
            2 => Fault::Swap,
            3 => Fault::Truncate,
            _ => Fault::Delay(Duration::from_millis(self.rng.u64(50..5_000))),
        };
        let of = api.map_or_else(|| "any API".to_owned(), |api| format!("API {api}"));
        self.note(proxy, &format!("{fault:?} a {direction:?} of {of}"));
        proxy.inject(direction, api, fault, self.rng.u32(1..4));
    }
}
