//! One request to a token endpoint, by HTTP/1.1 over a connection of its own.

use std::convert::Infallible;
use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use hyper::Request;
use hyper::Response;
use hyper::body::Body;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::body::SizeHint;
use hyper::client::conn::http1;
use hyper::header;
use hyper::header::HeaderValue;
use hyper::rt::ReadBufCursor;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use zeroize::Zeroizing;

use super::grant::Answer;
use super::grant::Form;
use super::url::Url;
use crate::net::Stream;

/// The largest body that is read, in bytes. Tokens take a few KiB.
const BODY_MAX: usize = 64 << 10;
/// The largest head that is read, in bytes.
const HEAD_MAX: usize = 16 << 10;

/// Why a request failed.
pub(super) enum Failure {
    /// It may pass.
    Connection(hyper::Error),
    /// The server is no token endpoint. The text follows its name.
    Server(&'static str),
}

/// Sends the form, and reads the whole answer. The future may be dropped at any point.
pub(super) async fn post(stream: Box<dyn Stream>, url: &Url, form: &Form) -> Result<Answer, Failure> {
    let request = request(url, form)?;
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_MAX).handshake(Io(stream)).await.map_err(Failure::Connection)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(of_head)?;
        answer(response).await
    };
    driven(connection, exchange).await
}

fn request(url: &Url, form: &Form) -> Result<Request<Whole>, Failure> {
    let mut request = Request::post(url.target.as_str())
        .header(header::HOST, url.authority())
        .header(header::USER_AGENT, concat!("ottla/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, "application/json")
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::CONNECTION, "close");
    if let Some(authorization) = &form.authorization {
        let mut value = HeaderValue::from_bytes(authorization.expose())
            .map_err(|_| Failure::Server("cannot be sent these credentials"))?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    let body = Whole(Some(Bytes::copy_from_slice(form.body.expose())));
    request.body(body).map_err(|_| Failure::Server("has a URL that cannot be requested"))
}

/// The error of an answer whose head could not be read.
fn of_head(error: hyper::Error) -> Failure {
    if error.is_parse() {
        Failure::Server("does not speak HTTP/1.1: check its URL")
    } else {
        Failure::Connection(error)
    }
}

async fn answer(response: Response<Incoming>) -> Result<Answer, Failure> {
    const TOO_LARGE: Failure = Failure::Server("answered with more than 64 KiB: check its URL");
    let status = response.status().as_u16();
    let location = response.headers().get(header::LOCATION);
    let location = location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut incoming = response.into_body();
    // Made whole at once, so that no shorter copy of a token is left in freed memory.
    let mut body = Zeroizing::new(Vec::with_capacity(BODY_MAX));
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
        let frame = frame.map_err(Failure::Connection)?;
        let Some(data) = frame.data_ref() else { continue };
        if body.len() + data.len() > BODY_MAX {
            return Err(TOO_LARGE);
        }
        body.extend_from_slice(data);
    }
    Ok(Answer { status, location, body })
}

/// Awaits an exchange, and drives its connection meanwhile.
async fn driven<C: Future, E: Future>(connection: C, exchange: E) -> E::Output {
    let (mut connection, mut exchange) = (pin!(connection), pin!(exchange));
    let mut has_ended = false;
    poll_fn(|cx| {
        // The exchange learns of the end by itself.
        has_ended = has_ended || connection.as_mut().poll(cx).is_ready();
        exchange.as_mut().poll(cx)
    })
    .await
}

/// A body that is there.
struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// A stream of tokio's as hyper takes it.
struct Io(Box<dyn Stream>);

impl hyper::rt::Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        // Its buffer is not initialized, and only `unsafe` could read into it.
        let mut bytes = Zeroizing::new([0; 4_096]);
        let free = cursor.remaining().min(bytes.len());
        let mut buffer = ReadBuf::new(&mut bytes[..free]);
        std::task::ready!(Pin::new(&mut self.0).poll_read(cx, &mut buffer))?;
        cursor.put_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
