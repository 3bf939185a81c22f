//! A token endpoint for tests, in memory or on a port. It answers, or does what no endpoint should.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::SystemTime;

use graviola::signing::rsa;
use ottla::client::Connector;
use ottla::client::Dialling;
use ottla::client::Stream;
use protocol_tests::pki::Identity;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The endpoint's reaction to a request.
pub(super) enum Act {
    /// A status and a body.
    Answer(u16, String),
    /// Bytes, whatever they are.
    Bytes(&'static str),
    /// One byte a second.
    Drip,
    /// A head without an end.
    EndlessHead,
    /// A body of a gigabyte, or as much of it as the client takes.
    Gigabyte,
    HangUp,
    Silent,
}

type Acting = Arc<dyn Fn(usize, &str) -> Act + Send + Sync>;

/// A token endpoint. Its function gets the number of a request and its text.
#[derive(Clone)]
pub(super) struct Endpoint {
    acceptor: Option<TlsAcceptor>,
    act: Acting,
    /// The hosts that were dialled.
    dialled: Arc<Mutex<Vec<String>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    /// Serves TLS by this identity, or plain HTTP.
    pub(super) fn new(identity: Option<&Identity>, act: impl Fn(usize, &str) -> Act + Send + Sync + 'static) -> Self {
        let acceptor = identity.map(|identity| TlsAcceptor::from(Arc::new(serving(identity))));
        Self { acceptor, act: Arc::new(act), dialled: Arc::default(), requests: Arc::default() }
    }

    /// Serves a free port of this machine, too.
    pub(super) async fn on_a_port(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let this = self.clone();
        drop(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(tokio::spawn(this.clone().serve(stream)));
            }
        }));
        port
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("nobody panicked").clone()
    }

    pub(super) fn dialled(&self) -> Vec<String> {
        self.dialled.lock().expect("nobody panicked").clone()
    }

    async fn serve(self, stream: impl Stream + 'static) -> io::Result<()> {
        let mut stream: Box<dyn Stream> = match &self.acceptor {
            Some(acceptor) => Box::new(acceptor.accept(stream).await?),
            None => Box::new(stream),
        };
        let request = read(&mut stream).await?;
        let number = {
            let mut requests = self.requests.lock().expect("nobody panicked");
            requests.push(request.clone());
            requests.len() - 1
        };
        match (self.act)(number, &request) {
            Act::Answer(status, body) => {
                let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(body.as_bytes()).await?;
            }
            Act::Bytes(bytes) => stream.write_all(bytes.as_bytes()).await?,
            Act::Drip => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                loop {
                    stream.write_all(b" ").await?;
                    stream.flush().await?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Act::EndlessHead => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nX: ").await?;
                pour(&mut stream).await?;
            }
            Act::Gigabyte => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await?;
                pour(&mut stream).await?;
            }
            Act::HangUp => {}
            Act::Silent => std::future::pending().await,
        }
        stream.shutdown().await
    }
}

async fn pour(stream: &mut Box<dyn Stream>) -> io::Result<()> {
    for _ in 0..250_000 {
        stream.write_all(&[b'x'; 4_000]).await?;
    }
    Ok(())
}

/// A request, its head and its body.
async fn read(stream: &mut Box<dyn Stream>) -> io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // A handshake of TLS where none is due.
        if bytes[0] == 0x16 {
            return Ok(String::new());
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_ascii_lowercase();
        let length = length.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() >= length.unwrap_or(0) {
            return Ok(text.into_owned());
        }
    }
}

fn serving(identity: &Identity) -> ServerConfig {
    let chain = CertificateDer::pem_slice_iter(identity.chain.as_bytes()).collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
    ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain.expect("certificates"), key)
        .expect("they belong together")
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Endpoint")
    }
}

impl Connector for Endpoint {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Dialling<'a> {
        self.dialled.lock().expect("nobody panicked").push(format!("{host}:{port}"));
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        drop(tokio::spawn(self.clone().serve(theirs)));
        Box::pin(async move { Ok(Box::new(ours) as Box<dyn Stream>) })
    }
}

/// The answer that grants a token of an hour.
pub(super) fn grant(token: &str) -> Act {
    Act::Answer(200, format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600}}"#))
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 for URLs (RFC 4648), without padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    let groups = bytes.chunks(3).flat_map(|group| {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        (0..=group.len()).map(move |at| char::from(LETTERS[(bits >> (18 - 6 * at) & 0x3f) as usize]))
    });
    groups.collect()
}

pub(super) fn decode(text: &str) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    for letter in text.bytes() {
        let value = LETTERS.iter().position(|known| *known == letter).expect("a letter of Base64");
        bits.extend((0..6).rev().map(|at| value >> at & 1 == 1));
    }
    let byte = |bits: &[bool]| bits.iter().fold(0, |byte: u8, bit| byte << 1 | u8::from(*bit));
    bits.chunks_exact(8).map(byte).collect()
}

/// A token without a signature.
pub(super) fn unsecured(subject: &str, expires: u64) -> String {
    let claims = format!(r#"{{"sub":"{subject}","iat":{},"exp":{expires}}}"#, now());
    format!("{}.{}.", encode(br#"{"alg":"none"}"#), encode(claims.as_bytes()))
}

/// A token that an RSA key signs, for the listener OAUTHJ of the rig.
pub(super) fn issued(key: &str, subject: &str) -> String {
    let key = rsa::SigningKey::from_pkcs8_der(&der(key)).expect("an RSA key");
    let claims = format!(
        r#"{{"sub":"{subject}","aud":"kafka","iss":"https://issuer.example","iat":{},"exp":{}}}"#,
        now(),
        now() + 3_600
    );
    let text = format!("{}.{}", encode(br#"{"alg":"RS256","typ":"JWT","kid":"ottla"}"#), encode(claims.as_bytes()));
    let mut buffer = [0; 512];
    let signature = key.sign_pkcs1_sha256(&mut buffer, text.as_bytes()).expect("a signature");
    format!("{text}.{}", encode(signature))
}

pub(super) fn der(key: &str) -> Vec<u8> {
    PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key").secret_der().to_vec()
}

/// The value of a field in the body of a request, without escapes.
pub(super) fn field(request: &str, name: &str) -> Option<String> {
    let (_, body) = request.split_once("\r\n\r\n")?;
    body.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
}
