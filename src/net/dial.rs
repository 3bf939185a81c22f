//! From a host and a port to a connected stream, through the one trait that all connections are dialled by.

use std::fmt;
use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::pin::Pin;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::net::lookup_host;

use super::clock;

/// A connected stream of bytes. Every type that reads and writes is one.
///
/// It may buffer, as a stream over TLS does: a client flushes it after the last of its writes, and shuts it down when the
/// connection ends in order.
///
/// ```
/// use ottla::client::Stream;
/// use tokio::io::BufWriter;
/// use tokio::net::TcpStream;
///
/// fn boxed(stream: TcpStream) -> Box<dyn Stream> {
///     Box::new(BufWriter::new(stream))
/// }
/// ```
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The future of [`Connector::connect`]: a stream, or the reason why there is none.
pub type Dialling<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 'a>>;

/// Dials brokers. The default is [`Tcp`]; pass another one to
/// [`ClientBuilder::connector`](crate::client::ClientBuilder::connector) for TLS, a tunnel, a proxy or a test.
///
/// A client does no other input or output: with pipes in memory ([`tokio::io::duplex`]) and a paused clock it runs without a
/// network.
///
/// # Examples
///
/// Through an HTTP proxy (`CONNECT`):
///
/// ```
/// use std::io;
/// use std::net::SocketAddr;
///
/// use ottla::client::{Connector, Dialling, Stream};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use tokio::net::TcpStream;
///
/// #[derive(Debug)]
/// struct Proxy(SocketAddr);
///
/// impl Connector for Proxy {
///     fn connect<'a>(&'a self, host: &'a str, port: u16) -> Dialling<'a> {
///         Box::pin(async move {
///             let mut stream = TcpStream::connect(self.0).await?;
///             stream.set_nodelay(true)?;
///             let request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
///             stream.write_all(request.as_bytes()).await?;
///             let mut head = Vec::new();
///             // Byte by byte: the bytes after the head are the broker's.
///             while !head.ends_with(b"\r\n\r\n") && head.len() < 8_192 {
///                 head.push(stream.read_u8().await?);
///             }
///             if !head.starts_with(b"HTTP/1.1 200") {
///                 return Err(io::Error::other(String::from_utf8_lossy(&head).into_owned()));
///             }
///             Ok(Box::new(stream) as Box<dyn Stream>)
///         })
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let address = listener.local_addr()?;
/// # tokio::spawn(async move {
/// #     let (mut stream, _) = listener.accept().await?;
/// #     let mut request = [0; 64];
/// #     let length = stream.read(&mut request).await?;
/// #     assert!(request[..length].starts_with(b"CONNECT broker.example:9092 "));
/// #     stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nkafka").await
/// # });
/// let builder = ottla::Client::builder(["broker.example:9092"])?.connector(Proxy(address));
/// # let mut stream = Proxy(address).connect("broker.example", 9092).await?;
/// # assert_eq!(stream.read_u8().await?, b'k');
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Connector: Send + Sync + fmt::Debug {
    /// Connects to `host`, a name or an address without brackets, at `port`.
    ///
    /// Called once for each attempt; pauses between attempts and the time that one may take are the client's business. The
    /// future may be dropped at any point, which gives up. An error makes the client try again later, or elsewhere, with two
    /// exceptions: an [`Error`](crate::Error) of [`Kind::Authentication`](crate::error::Kind::Authentication) or
    /// [`Kind::Tls`](crate::error::Kind::Tls), made into an `io::Error` by `into()`, fails all requests that wait for this broker,
    /// and the broker is not dialled again before `reconnect.backoff.max.ms` has passed. The same holds for such an error from the
    /// stream while the connection is being set up.
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Dialling<'a>;

    /// Whether nobody else can read what its streams carry, because they are encrypted, for example. A mechanism of SASL that sends its
    /// secret as it is needs that: see [`Sasl::allow_plaintext_credentials`](crate::sasl::Sasl::allow_plaintext_credentials). The
    /// default is `false`.
    fn is_private(&self) -> bool {
        false
    }
}

/// TCP without Nagle's delay, to the first of the host's addresses that accepts.
///
/// The addresses are tried one after another, IPv4 and IPv6 in turn, each with a head start of 250 ms over the next (RFC 8305).
/// An address that swallows packets delays a connection by no more than that. Names are resolved again for every attempt.
///
/// ```
/// // The default, made explicit.
/// let builder = ottla::Client::builder(["localhost:9092"])?.connector(ottla::client::Tcp);
/// # Ok::<(), ottla::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

/// The head start of one address over the next (RFC 8305, "Connection Attempt Delay").
const HEAD_START: Duration = Duration::from_millis(250);

impl Connector for Tcp {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Dialling<'a> {
        Box::pin(async move {
            let addresses = in_turn(resolve(host, port).await?);
            let stream = race(addresses, HEAD_START, TcpStream::connect).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    // A dot at the end makes a name absolute, so the resolver must see it. An address may end in a dot, too.
    if let Ok(address) = host.strip_suffix('.').unwrap_or(host).parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = match (lookup(host, port).await, host.strip_suffix('.')) {
        // The hosts file of the system has no names that end in a dot.
        (Err(_), Some(relative)) => lookup(relative, port).await,
        (found, _) => found,
    };
    found.map_err(|error| io::Error::new(io::ErrorKind::NotFound, error.to_string()))
}

async fn lookup(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host((host, port)).await?.collect())
}

/// Sorts address families to alternate from the resolver's first choice on, and keeps its order otherwise.
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let count = addresses.len();
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::with_capacity(count);
    while ordered.len() < count {
        ordered.extend(first.next());
        ordered.extend(second.next());
    }
    ordered
}

/// Connects to the addresses in order until one accepts. An attempt starts when the one before failed or had its head start.
async fn race<S, F>(
    addresses: Vec<SocketAddr>,
    head_start: Duration,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<S>
where
    F: Future<Output = io::Result<S>>,
{
    let mut left = addresses.into_iter();
    let mut attempts: Vec<(SocketAddr, Pin<Box<F>>)> = Vec::new();
    let mut failures: Vec<(SocketAddr, io::Error)> = Vec::new();
    let mut timer = pin!(tokio::time::sleep(head_start));
    poll_fn(|cx| {
        loop {
            let mut index = 0;
            let mut lost = false;
            while let Some((address, attempt)) = attempts.get_mut(index) {
                match attempt.as_mut().poll(cx) {
                    Poll::Pending => index += 1,
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        failures.push((*address, error));
                        drop(attempts.remove(index));
                        lost = true;
                    }
                }
            }
            if !lost && !attempts.is_empty() && timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            match left.next() {
                Some(address) => {
                    attempts.push((address, Box::pin(connect(address))));
                    timer.as_mut().reset((clock::now() + head_start).into());
                }
                None if attempts.is_empty() => return Poll::Ready(Err(all_failed(std::mem::take(&mut failures)))),
                None => return Poll::Pending,
            }
        }
    })
    .await
}

/// Returns a single failure as it is. Combines several into one of the first one's kind, which says how each address failed.
fn all_failed(mut failures: Vec<(SocketAddr, io::Error)>) -> io::Error {
    match &failures[..] {
        [] => io::Error::new(io::ErrorKind::NotFound, "there is no address to connect to"),
        [_] => failures.remove(0).1,
        [(_, first), ..] => {
            let each: Vec<String> = failures.iter().map(|(address, error)| format!("{address}: {error}")).collect();
            io::Error::new(first.kind(), each.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(hosts: &[&str]) -> Vec<SocketAddr> {
        hosts.iter().map(|host| SocketAddr::new(host.parse().expect("an address"), 9092)).collect()
    }

    /// The last letter of an address decides: `1` never responds, `2` refuses at once, `3` accepts at once.
    async fn scripted(address: SocketAddr) -> io::Result<SocketAddr> {
        match address.ip().to_string().chars().last() {
            Some('1') => std::future::pending().await,
            Some('2') => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => Ok(address),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silent_address_delays_by_its_head_start_only() {
        let begun = clock::now();
        let all = addresses(&["10.0.0.1", "10.0.1.1", "10.0.0.3"]);
        let won = race(all, HEAD_START, scripted).await.expect("the third accepts");
        assert_eq!(won.ip().to_string(), "10.0.0.3");
        assert_eq!(clock::now() - begun, 2 * HEAD_START);
    }

    #[tokio::test(start_paused = true)]
    async fn next_address_is_tried_at_once_after_a_refusal() {
        let begun = clock::now();
        let won = race(addresses(&["10.0.0.2", "10.0.1.2", "10.0.0.3"]), HEAD_START, scripted).await;
        assert!(won.is_ok());
        assert_eq!(clock::now(), begun);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_address_wins_if_the_others_fail() {
        let slow = |address: SocketAddr| async move {
            if address.is_ipv6() {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok(address)
        };
        let won = race(addresses(&["10.0.0.1", "::2", "::3"]), HEAD_START, slow).await.expect("the slow one");
        assert!(won.is_ipv4());
    }

    #[tokio::test(start_paused = true)]
    async fn error_lists_every_address_that_failed() {
        let error = race(addresses(&["10.0.0.2", "::2"]), HEAD_START, scripted).await.expect_err("both refuse");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let text = error.to_string();
        assert!(text.contains("10.0.0.2:9092: ") && text.contains("[::2]:9092: "), "{text}");
    }

    #[test]
    fn address_families_alternate_from_the_first_choice() {
        let ordered = in_turn(addresses(&["::1", "::2", "::3", "10.0.0.1"]));
        let expected = addresses(&["::1", "10.0.0.1", "::2", "::3"]);
        assert_eq!(ordered, expected);
    }

    #[tokio::test]
    async fn trailing_dot_is_kept_for_names_and_cut_from_addresses() {
        for host in ["127.0.0.1", "127.0.0.1."] {
            let found = resolve(host, 9092).await.expect("an address");
            assert_eq!(found, addresses(&["127.0.0.1"]), "{host}");
        }
        assert!(resolve("localhost.", 9092).await.is_ok());
        let error = resolve("nosuch.invalid.", 9092).await.expect_err("RFC 6761 reserves it");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn tcp_refusal_keeps_its_kind() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        assert!(Tcp.connect("127.0.0.1", port).await.is_ok());
        drop(listener);
        let refused = Tcp.connect("127.0.0.1", port).await.err().expect("the port is closed");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
