//! Moves frames from one side of a connection to the other.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::tcp::OwnedWriteHalf;

use super::Direction;
use super::Fault;
use super::Frame;
use super::Shared;
use super::frames::Correlations;

/// The limit of a frame's size.
const FRAME_BYTES_MAX: usize = 256 << 20;

/// The bytes before the body of a record of TLS: its type, its version and its size.
const TLS_HEAD_BYTES: usize = 5;

/// The bytes that are written at once where their rate is limited.
const RATION: usize = 4 * 1024;

/// Serves a connection until either side, or a fault, ends it.
pub(super) async fn connection(shared: Arc<Shared>, number: u64, client: TcpStream) {
    let mut cuts = shared.cuts.subscribe();
    let Ok(broker) = TcpStream::connect(shared.broker).await else { return };
    // Without it frames wait for each other. It is optional.
    let _ = (client.set_nodelay(true), broker.set_nodelay(true));
    let correlations = Mutex::default();
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let pump = |direction, from, to| Pump { shared: &shared, correlations: &correlations, number, direction, from, to };
    let requests = pump(Direction::Request, from_client, to_broker);
    let responses = pump(Direction::Response, from_broker, to_client);
    // Both sides are closed in every case.
    tokio::select! {
        _ = requests.run() => {}
        _ = responses.run() => {}
        _ = cuts.changed() => {}
    }
}

struct Pump<'a> {
    shared: &'a Shared,
    correlations: &'a Mutex<Correlations>,
    number: u64,
    direction: Direction,
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
}

impl Pump<'_> {
    async fn run(mut self) -> io::Result<()> {
        // Waits for the one behind it.
        let mut swapped: Option<Vec<u8>> = None;
        loop {
            let frame = self.read().await?;
            match self.fault(&frame) {
                Some(Fault::Cut) => return Ok(()),
                Some(Fault::Drop) => continue,
                Some(Fault::Swap) if swapped.is_none() => {
                    swapped = Some(frame);
                    continue;
                }
                Some(Fault::Truncate) => {
                    self.write(&frame[..frame.len() / 2]).await?;
                    return Ok(());
                }
                Some(Fault::Delay(wait)) => tokio::time::sleep(wait).await,
                Some(Fault::Hold(gate)) => gate.pass().await,
                Some(Fault::Swap) | None => {}
            }
            self.write(&frame).await?;
            if let Some(first) = swapped.take() {
                self.write(&first).await?;
            }
        }
    }

    /// A whole frame, with its length, or a whole record of TLS.
    async fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut head = [0; 4];
        self.from.read_exact(&mut head).await?;
        let mut frame = head.to_vec();
        let length = if is_tls(&head) {
            frame.push(self.from.read_u8().await?);
            usize::from(u16::from_be_bytes([frame[3], frame[4]]))
        } else {
            let length = usize::try_from(i32::from_be_bytes(head)).ok().filter(|length| *length <= FRAME_BYTES_MAX);
            length.ok_or(io::ErrorKind::InvalidData)?
        };
        let body = (&mut self.from).take(u64::try_from(length).expect("a length fits")).read_to_end(&mut frame).await?;
        if body < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(frame) }
    }

    /// Logs a frame, and returns its fault.
    fn fault(&self, frame: &[u8]) -> Option<Fault> {
        let head = if is_tls(frame) {
            None
        } else {
            self.correlations.lock().unwrap_or_else(PoisonError::into_inner).head(self.direction, &frame[4..])
        };
        let (api_key, version, correlation) = head.unwrap_or((-1, -1, -1));
        let mut state = self.shared.state();
        let fault = state.faults.take(self.direction, api_key);
        state.frames.push(Frame {
            at: self.shared.start.elapsed(),
            connection: self.number,
            direction: self.direction,
            api_key,
            version,
            correlation,
            length: frame.len() - if is_tls(frame) { TLS_HEAD_BYTES } else { 4 },
            fault: fault.as_ref().map(|fault| format!("{fault:?}")),
        });
        fault
    }

    /// Writes bytes as the weather allows.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut weather = self.shared.weather.subscribe();
        let latency = weather.borrow().latency;
        tokio::time::sleep(latency).await;
        let mut rest = bytes;
        while !rest.is_empty() {
            let now = *weather.wait_for(|weather| !weather.stalled).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
            let ration = now.bytes_per_second.map_or(rest.len(), |_| rest.len().min(RATION));
            self.to.write_all(&rest[..ration]).await?;
            rest = &rest[ration..];
            if let Some(rate) = now.bytes_per_second {
                let ration = u32::try_from(ration).expect("a ration is small");
                tokio::time::sleep(Duration::from_secs(1) * ration / rate.max(1)).await;
            }
        }
        Ok(())
    }
}

/// Whether these bytes begin a record of TLS. A frame that began so would be larger than [`FRAME_BYTES_MAX`].
fn is_tls(head: &[u8]) -> bool {
    matches!(head, [0x14..=0x17, 3, ..])
}
