//! From a host and a port to a connected stream, by way of the one trait that all connections are made through.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

/// A connected stream of bytes: whatever reads and writes.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What a [`Connector`] is doing, and gives in the end.
pub type Dialling<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 'a>>;

/// Makes connections to brokers. The default is [`Tcp`]; a tunnel, a proxy or a test puts its own into
/// [`ClientBuilder::connector`](crate::client::ClientBuilder::connector).
///
/// Nothing else of a client does input or output: over pipes in memory ([`tokio::io::duplex`]) and a paused clock, all of
/// it runs without a network.
///
/// # Examples
///
/// By way of a proxy that speaks HTTP's `CONNECT`:
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
///             // Byte by byte: what follows the head is the broker's.
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
    /// future may be dropped at any point, which gives up. An error makes the client try again later, or elsewhere.
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Dialling<'a>;
}

/// TCP without Nagle's delay, to each of the host's addresses in turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Connector for Tcp {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Dialling<'a> {
        Box::pin(async move {
            // A name that DNS says is absolute ends in a dot, which is not part of it.
            let host = host.strip_suffix('.').unwrap_or(host);
            let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            for address in tokio::net::lookup_host((host, port)).await? {
                match TcpStream::connect(address).await {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        return Ok(Box::new(stream) as Box<dyn Stream>);
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        })
    }
}
