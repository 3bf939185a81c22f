//! A TLS handshake and one ApiVersions request without a Kafka client: rustls with graviola, as ours uses it, and OpenSSL.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;

use common::Meter;
use common::Outcome;
use openssl::ssl::SslConnector;
use openssl::ssl::SslMethod;
use openssl::ssl::SslSession;
use openssl::ssl::SslSessionCacheMode;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::HandshakeKind;
use rustls::RootCertStore;
use rustls::StreamOwned;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;

use super::WARM_UP;
use super::report;

/// ApiVersions, version 0: its length, its key, its version, an id, no client id.
const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];

/// Sends the request and reads the response, with the session tickets before it.
fn ask(stream: &mut (impl Read + Write)) -> Outcome {
    stream.write_all(&REQUEST)?;
    stream.flush()?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut response = vec![0; u32::from_be_bytes(length).min(1 << 20) as usize];
    Ok(stream.read_exact(&mut response)?)
}

fn dial(broker: &str) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(broker)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn measure(what: &str, count: usize, mut connect: impl FnMut() -> Outcome<bool>) -> Outcome {
    for _ in 0..WARM_UP {
        connect()?;
    }
    let (meter, mut resumed) = (Meter::start()?, 0);
    for _ in 0..count {
        resumed += usize::from(connect()?);
    }
    report(what, &meter, count, count as u64, resumed)
}

pub fn graviola(what: &str, resumes: bool, broker: &str, count: usize, ca: &str) -> Outcome {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()));
    let mut config = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth();
    if !resumes {
        config.resumption = Resumption::disabled();
    }
    let config = Arc::new(config);
    let name = ServerName::try_from("localhost")?;
    measure(what, count, || {
        let connection = ClientConnection::new(Arc::clone(&config), name.clone())?;
        let mut stream = StreamOwned::new(connection, dial(broker)?);
        ask(&mut stream)?;
        let resumed = stream.conn.handshake_kind() == Some(HandshakeKind::Resumed);
        stream.conn.send_close_notify();
        stream.flush()?;
        Ok(resumed)
    })
}

pub fn openssl(what: &str, resumes: bool, broker: &str, count: usize, ca: &str) -> Outcome {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_ca_file(ca)?;
    let known: Arc<Mutex<Option<SslSession>>> = Arc::default();
    let noted = Arc::clone(&known);
    builder.set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
    builder.set_new_session_callback(move |_, session| {
        if let Ok(mut noted) = noted.lock() {
            *noted = Some(session);
        }
    });
    let connector = builder.build();
    measure(what, count, || {
        let mut configured = connector.configure()?;
        let session = known.lock().map_err(|_| "a callback panicked")?.take().filter(|_| resumes);
        if let Some(session) = session {
            // SAFETY: the session comes from a context with the same settings: it is the same context.
            unsafe { configured.set_session(&session)? };
        }
        let mut stream = configured.connect("localhost", dial(broker)?)?;
        ask(&mut stream)?;
        let resumed = stream.ssl().session_reused();
        stream.shutdown()?;
        Ok(resumed)
    })
}
