//! From a host and a port to a connected stream: every address is tried.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

/// A connected stream of bytes.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What a [`Connector`] gives in the end.
pub type Dialling<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 'a>>;

/// Makes connections. The default is TCP; a tunnel, a proxy or a test puts its own here.
pub trait Connector: Send + Sync + fmt::Debug {
    /// Connects to `host` at `port`. Dropping the future gives up.
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
